"""A photo as Label Studio takes it and browsers show it there: as it is seen here, and under a name of its own."""

import hashlib
import io
import re
import unicodedata
from typing import NamedTuple

from PIL import ExifTags, Image

from campus_seg.photos import DAMAGED, UPRIGHT_QUALITY, named_errors
from campus_seg.web.received import CEILING, ReceivedPhoto, decode, receive

AS_THEY_ARE = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
OPAQUE = ("1", "L", "P", "RGB", "I", "I;16")  # modes whose colours browsers show as they are read here
TURNING = range(2, 9)  # orientations of EXIF; others are none
LONGEST = 40  # letters of a name: Label Studio cuts what is above 100 with its folder, also what a photo is found by
FULL_COLOUR = 0  # of a JPEG: people draw along edges
LETTERS = 10  # of a content's hash: two of a hundred thousand photos share them once in 200 times


class SendablePhoto(NamedTuple):
    """A photo to be sent.

    Attributes:
        name: of the file: letters, digits, "_" and "-", as Label Studio keeps them, and one "." alone.
        mark: the end of the name, which no other photo has: begun with "-", and ended with the name's only ".png".
        content: the file's bytes.
        media_type: such as "image/jpeg".
    """

    name: str
    mark: str
    content: bytes
    media_type: str


def sendable(name: str, content: bytes) -> SendablePhoto:
    """The file to send for a photo: its own bytes where every browser shows them as they are seen here.

    Else an upright JPEG: HEIC, AVIF and BMP, which Label Studio does not take or browsers do not show; animations, what
    is transparent or in colours for print; and what is turned otherwise than by a JPEG's EXIF, which not all browsers
    follow.

    Args:
        name: of the photo, for people.
        content: of its file.

    Raises:
        PhotoError: it cannot be read.
    """
    photo = receive(name, content, CEILING)
    own = hashlib.sha256(content).hexdigest()[:LETTERS]
    if photo.kind in AS_THEY_ARE and _shown_alike(photo):
        ending, content = AS_THEY_ARE[photo.kind], content[: photo.end]
    else:
        stream = io.BytesIO()
        Image.fromarray(decode(photo)[..., ::-1]).save(stream, "JPEG", quality=UPRIGHT_QUALITY, subsampling=FULL_COLOUR)
        ending, content = "jpg", stream.getvalue()
    mark = f"-{own}.{ending}"
    return SendablePhoto(f"{_plain(name)}{mark}", mark, content, TYPES[ending])


def _shown_alike(photo: ReceivedPhoto) -> bool:
    with named_errors(), Image.open(io.BytesIO(photo.content[: photo.end]), formats=(photo.kind,)) as image:
        if photo.kind != "JPEG" and getattr(image, "n_frames", 1) > 1:
            return False
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)  # or by XMP, which browsers do not look at
            own = Image.Exif()
            own.load(image.info.get("exif", b""))
            by_exif = own.get(ExifTags.Base.Orientation, 1)
        except DAMAGED:  # not turned here, maybe by others
            return False
        if turned != by_exif or (turned in TURNING and photo.kind != "JPEG"):
            return False
        if image.mode in ("LA", "RGBA"):  # such as of a screen
            return image.getextrema()[-1] == (255, 255)
        return image.mode in OPAQUE and "transparency" not in image.info


def _plain(name: str) -> str:
    """A name without its ending, of letters that Django keeps (`get_valid_filename`); without ".", as of a mark."""
    stem, _, ending = name.rpartition(".")
    if not stem or not ending.isalnum() or len(ending) > 5:
        stem = name
    return re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", stem)).strip("_-")[:LONGEST] or "photo"
