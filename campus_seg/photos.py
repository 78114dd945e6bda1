"""The one reader of photos, shared by import, training and prediction; without torch and Detectron2."""

import ctypes
import io
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from campus_seg.errors import StorageError
from campus_seg.storage import is_http
from campus_seg.storage_cache import local_file
from campus_seg.storage_objects import parent, stat

# What Pillow may read here (MPO is read as JPEG): others of its formats start programs (EPS) or are no photos.
Image.init()
pillow_heif.register_heif_opener(thumbnails=False)  # HEIC, which iPhones write; libheif turns it upright
_WANTED = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "GIF", "JPEG2000", "PPM", "HEIF")
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
UPRIGHT_QUALITY = 95  # of a JPEG or WebP that is saved anew, which no eye tells from the first
MAX_SIDE = 65500  # of a JPEG, which the overlay is
END_MARKERS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
TAIL = 64 * 1024  # bytes in which the end marker is looked for

BAND = 1 << 20  # pixels
# With photos of more bytes than this, what was freed is given back to the system: of Pillow's reading a third more than
# the photo, which glibc would keep for the thread that read it.
LARGE = 100_000_000
LIBC = ctypes.CDLL(None)
# Of each EXIF orientation, the steps along what is stored as rows and as columns, -1 where these run backwards; from 5
# on, rows are stored as columns as well. https://exiv2.org/tags.html
STORED_BACKWARDS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}
UPRIGHT = {  # https://exiv2.org/tags.html, Exif.Image.Orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's parsers raise on damaged files, besides OSError. The first three, and of AVIF the last, turn up within
# some thousand files damaged at random; earlier versions are known for the others.
DAMAGED = (
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    RuntimeError,
)

NO_WHITE = "32-bit floating point pixels, whose white is not defined; save it with 8 or 16 bits"


class PhotoError(Exception):
    """A photo that cannot be read; the message is the reason, without the file's name.

    Attributes:
        refused: its server says so.
    """

    def __init__(self, message: str, *, refused: bool = False):
        super().__init__(message)
        self.refused = refused


def read_photo(path: Path | str, image_format: str = "BGR") -> np.ndarray:
    """Reads a photo as it is meant to be looked at.

    Detectron2's `read_image` would turn TIFFs twice (Pillow turns them while loading) and clip 16-bit greys.

    Args:
        path: a file that Pillow can read, or the URI of one. Transparency is left out, of an animation the first frame
            is taken.
        image_format: colour order, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8, upright.

    Raises:
        PhotoError: missing, empty, damaged, cut short, too large or without a defined brightness.
        StorageError: its server cannot be asked.
    """
    with photo_file(path) as local, named_errors():
        if local.stat().st_size == 0:
            raise PhotoError("the file is empty")
        return _read(local, image_format)


def read_photo_bytes(content: bytes, image_format: str = "BGR", *, formats: tuple[str, ...] = FORMATS) -> np.ndarray:
    """As `read_photo`, of a file's bytes; `formats` are Pillow's names of those that it may have.

    Raises:
        PhotoError: as of `read_photo`.
    """
    if not content:
        raise PhotoError("the file is empty")
    with named_errors():
        return _read(io.BytesIO(content), image_format, formats)


def _read(source: Path | BinaryIO, image_format: str, formats: tuple[str, ...] = FORMATS) -> np.ndarray:
    with Image.open(source, formats=formats) as image:
        _check_side(image)
        image.load()
        pixels = _upright_pixels(image, image_format)
        image.close()
    if pixels.nbytes > LARGE:
        return_freed_memory()
    return pixels


@contextmanager
def photo_file(path: Path | str) -> Iterator[Path]:
    """A photo or video as a file on this disk until the block ends; a path is one already.

    Raises:
        PhotoError: there is none behind the URI, or it is refused, and others are not.
        StorageError: its server cannot be asked.
    """
    with ExitStack() as stack:
        try:
            local = stack.enter_context(local_file(path))
        except StorageError as error:
            if fault := fault_of_file(error, str(path)):
                raise PhotoError(f"cannot be read: {fault}", refused=error.refused) from None
            raise
        yield local


def fault_of_file(error: StorageError, uri: str) -> str:
    """What is wrong with one file alone, as a server says that can be asked about others; "" where it is not so.

    Args:
        error: which asking for the file, or reading it, has raised.
        uri: of the file.
    """
    if error.missing:
        return "there is no such file behind the URI"
    if not error.refused:
        return ""
    try:
        if not is_http(uri):  # which knows no key, and may list no folder
            stat(parent(uri))  # with a key that is refused, or has run out, this fails as well
    except StorageError:
        return ""
    return "the server refuses this file; allow reading it, or bring it back from the archive"


def return_freed_memory() -> None:
    """Gives back to the system what this process has freed, where the C library can (glibc)."""
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)


def photo_size(stream: BinaryIO) -> tuple[int, int, int]:
    """The size that `read_photo` would give, from the header alone.

    A JPEG or PNG without an end marker in its last 64 KiB is decoded, to tell one that was cut short from one with a
    film behind it, as phones write them. Not seen: a JPEG cut so early that the marker of its embedded thumbnail lies
    in those 64 KiB, damage inside a photo, and photos of other formats that were cut short.

    Args:
        stream: of the file's bytes, seekable, at its start.

    Returns:
        Upright width and height in pixels, and the EXIF orientation (1-8) that makes it so; 1 where there is none, it
        is damaged, or Pillow turns the photo by itself (TIFF).

    Raises:
        PhotoError: as of `read_photo`.
    """
    with named_errors(), Image.open(stream, formats=FORMATS) as image:
        _check_side(image)
        if image.mode == "F":
            raise PhotoError(NO_WHITE)
        marker = END_MARKERS.get(image.format)
        if marker and not _ends_with(stream, marker):
            try:
                image.load()
            except OSError as error:
                raise PhotoError(f"cut short: no end-of-image marker ({error})") from None
        width, height = image.size
        orientation = 1 if image.format == "TIFF" else _orientation(image)
        return (height, width, orientation) if orientation >= 5 else (width, height, orientation)


def pixel_count(path: Path | str) -> int:
    """Pixels of a photo by its header; 0 where that cannot be read."""
    try:
        with photo_file(path) as local, named_errors():
            if local.stat().st_size == 0:  # also a pipe, whose first byte may never come
                return 0
            with Image.open(local, formats=FORMATS) as image:
                return image.width * image.height
    except PhotoError:
        return 0


def photo_ending(stream: BinaryIO) -> str:
    """The usual ending, such as ".jpg", of a photo's format, by its content; "" where it is no photo."""
    try:
        with named_errors(), Image.open(stream, formats=FORMATS) as image:
            return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}.get(image.format, f".{image.format.lower()}")
    except PhotoError:
        return ""


def upright_photo(content: bytes) -> bytes:
    """A photo's bytes with its pixels turned as its EXIF orientation says, in its own format, without that orientation.

    Raises:
        PhotoError: it cannot be read.
    """
    stream = io.BytesIO()
    with named_errors(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        upright = ImageOps.exif_transpose(image)
        kept = {key: upright.info[key] for key in ("exif", "icc_profile") if upright.info.get(key)}
        upright.save(stream, "JPEG" if image.format == "MPO" else image.format, quality=UPRIGHT_QUALITY, **kept)
    return stream.getvalue()


def _ends_with(stream: BinaryIO, marker: bytes) -> bool:
    position = stream.tell()
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL))
    tail = stream.read()
    stream.seek(position)
    return marker in tail


@contextmanager
def named_errors() -> Iterator[None]:
    """Everything that Pillow raises on damaged files becomes a PhotoError."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too large: {error}") from None
    except UnidentifiedImageError:
        raise PhotoError("no image, or one that is damaged at its beginning") from None
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror or error}") from None
    except DAMAGED as error:
        raise PhotoError(f"damaged: {error}") from None


def _check_side(image: Image.Image) -> None:
    if max(image.size) > MAX_SIDE:
        raise PhotoError(f"too large: {image.size[0]} x {image.size[1]} pixels, at most {MAX_SIDE} a side")


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:  # damaged EXIF in a sound photo: shown as it is stored, as every viewer does
        return 1
    return int(orientation) if orientation in UPRIGHT else 1


def _upright_pixels(image: Image.Image, image_format: str) -> np.ndarray:
    """The pixels of a loaded image, turned upright; a band of rows at a time, since Pillow's own copies are large."""
    orientation = _orientation(image)
    if image.mode == "F":
        raise PhotoError(NO_WHITE)
    if image.mode.startswith("I"):  # 16-bit grey, which older Pillows call "I"
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    width, height = image.size
    pixels = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), dtype=np.uint8)
    stored = _as_stored(pixels, orientation)
    rows = max(1, BAND // width)
    for first in range(0, height, rows):
        band = np.asarray(image.crop((0, first, width, min(first + rows, height))).convert("RGB"))
        stored[first : first + rows] = cv2.cvtColor(band, cv2.COLOR_RGB2BGR) if image_format == "BGR" else band
    return pixels


def _as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """A view of an upright photo (H, W, 3) in the order in which a file of this EXIF orientation stores it."""
    if orientation >= 5:
        upright = upright.transpose(1, 0, 2)
    rows, columns = STORED_BACKWARDS.get(orientation, (1, 1))
    return upright[::rows, ::columns]
