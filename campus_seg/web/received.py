"""A photo that somebody sent: its name made harmless, and all that can be wrong with it found before it is decoded."""

import io
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from campus_seg.photos import FORMATS, MAX_SIDE, PhotoError, named_errors, read_photo_bytes
from campus_seg.web.codec_process import CODECS, read_in_process
from campus_seg.web.limits import CEILING, MAX_MEGAPIXELS
from campus_seg.web.photo_costs import DAMAGED, TOO_MUCH_BESIDE, check_exif, check_png, check_work, checked_jpeg

MAX_NAME = 100  # characters, with the ending
MAX_NAME_BYTES = 200  # file systems take 255, and downloads add what they show to it
LONGEST_ENDING = 10  # characters
NAMELESS = "photo"
# Of what controls other characters or cannot be written: a name's end could be shown as its middle (bidi).
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

# How files begin (https://en.wikipedia.org/wiki/List_of_file_signatures).
_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\0\0\x01\0", "icon"),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"miaf")
_BRANDS = {**dict.fromkeys(_HEIC, "HEIF"), b"avif": "AVIF", b"avis": "AVIF"}
_TAKEN = tuple(name for name in ("JPEG", "PNG", "WEBP", "BMP", "HEIF", "AVIF") if name in FORMATS)
NO_PHOTO = "This file is no photo. Choose a JPEG, PNG, WebP or HEIC photo."


@dataclass(frozen=True)
class ReceivedPhoto:
    """A photo whose header is sound.

    Attributes:
        name: of `clean_name`.
        content: the bytes that were sent.
        kind: "JPEG", "PNG", "WEBP", "BMP", "HEIF" or "AVIF".
        width: in pixels as it is stored, which its EXIF orientation may turn.
        height: likewise.
        end: how many bytes of the content are the photo; a phone's film may follow.
    """

    name: str
    content: bytes
    kind: str
    width: int
    height: int
    end: int


def receive(name: str, content: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> ReceivedPhoto:
    """Checks a photo without decoding it.

    Args:
        name: as it was sent, of any kind.
        content: of the file, of a size that was bounded by who took it.
        max_megapixels: that it may have; never more than `CEILING`.

    Raises:
        PhotoError: it is not taken, in words for people.
    """
    name = clean_name(name)
    if not content:
        raise PhotoError("This file is empty: it has no bytes at all. Choose another one.")
    kind = kind_of(content)
    if not kind:
        raise PhotoError(NO_PHOTO)
    if kind not in _TAKEN:
        raise PhotoError(f"This file is no photo of a kind that can be used here ({kind}). Save it as JPEG or PNG.")
    end = len(content)
    if kind == "JPEG":
        jpeg = checked_jpeg(content)
        end = jpeg.end
    elif kind == "PNG":
        check_png(content)
    try:
        if kind in CODECS:
            (width, height), _ = read_in_process(content, 0, decode=False)
        else:
            width, height = _size(content[:end], kind)
    except PhotoError as error:
        raise _plain(error) from None
    if kind == "JPEG" and jpeg.sizes != {(width, height)}:
        raise PhotoError(DAMAGED)
    _check_size(width, height, max_megapixels)
    if kind == "JPEG":
        check_work(jpeg)
    return ReceivedPhoto(name, content, kind, width, height, end)


def decode(photo: ReceivedPhoto) -> np.ndarray:
    """The photo's pixels, those of `campus_seg.photos.read_photo` of the same bytes in a file.

    Returns:
        (H, W, 3) uint8, BGR, upright.

    Raises:
        PhotoError: it is damaged, in words for people.
    """
    try:
        if photo.kind in CODECS:
            _, pixels = read_in_process(photo.content, photo.width * photo.height, decode=True)
            if pixels is None:  # it is another photo than was received
                raise PhotoError("damaged")
        else:
            whole = photo.end == len(photo.content)
            content = photo.content if whole else photo.content[: photo.end]
            pixels = read_photo_bytes(content, formats=(photo.kind,))  # what was looked through as one is no other
    except PhotoError as error:
        raise _plain(error) from None
    if sorted(pixels.shape[:2]) != sorted((photo.width, photo.height)):
        raise PhotoError(DAMAGED)
    return pixels


def clean_name(raw: str) -> str:
    """A file's name as it is shown, and written into what is downloaded.

    Folders before it, and characters that are not seen, are left out; names that differ only in these become the same.
    HTML in it stays as it is, text: whoever shows a name escapes it.

    Args:
        raw: of any kind: a path of any system, or empty.

    Returns:
        1 to `MAX_NAME` characters without slashes and controls, which neither begins nor ends with a dot or a space.
    """
    last = raw.replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in last if unicodedata.category(character) not in _HIDDEN)
    name = _trimmed(name)
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > LONGEST_ENDING:
        stem, dot, ending = name, "", ""
    ending = dot + ending
    stem = stem[: MAX_NAME - len(ending)]
    while len((stem + ending).encode()) > MAX_NAME_BYTES:
        stem = stem[:-1]
    return _trimmed(stem + ending) or NAMELESS


def _trimmed(name: str) -> str:
    """A name without the dots and spaces, of whatever width, around it."""
    kept = [i for i, letter in enumerate(name) if letter != "." and unicodedata.category(letter) != "Zs"]
    return name[kept[0] : kept[-1] + 1] if kept else ""


def stem_of(name: str) -> str:
    """A name without its ending, which the photo's pictures are called, as those of visualize.py are."""
    return str(PurePosixPath(name).with_suffix(""))


def kind_of(content: bytes) -> str:
    """What a file is by how it begins; "" where that says nothing."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "film")
    return next((kind for beginning, kind in _BEGINNINGS if content.startswith(beginning)), "")


def _size(content: bytes, kind: str) -> tuple[int, int]:
    with named_errors(), Image.open(io.BytesIO(content), formats=(kind,)) as image:
        if any(tile.codec_name == "bmp_rle" for tile in image.tile):  # Pillow unpacks it byte by byte in Python
            raise PhotoError(TOO_MUCH_BESIDE)
        if kind == "WEBP":
            check_exif(image.info.get("exif", b""))
        return image.size


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    most = min(max_megapixels, CEILING)
    if width < 1 or height < 1:
        raise PhotoError(DAMAGED)
    if width * height > most * 1e6:
        raise PhotoError(
            f"This photo is too large: {width:,} x {height:,} pixels are {width * height / 1e6:,.1f} megapixels, and "
            f"at most {most:g} are taken here. Make it smaller and try again."
        )
    if max(width, height) > MAX_SIDE:
        raise PhotoError(f"This photo is too long: {width:,} x {height:,} pixels, at most {MAX_SIDE:,} a side.")


def _plain(error: PhotoError) -> PhotoError:
    """What a reader says of a photo, in words for people who never heard of a decoder."""
    said = str(error)
    if said in (TOO_MUCH_BESIDE, DAMAGED):
        return error
    if said.startswith("too large"):
        return PhotoError("This photo is too large. Make it smaller and try again.")
    if "truncated" in said.lower() or "cut short" in said:
        return PhotoError("This photo is not whole: its end is missing. Send it again, or choose another one.")
    return PhotoError(DAMAGED)
