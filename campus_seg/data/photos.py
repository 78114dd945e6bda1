"""The one reader of photos, shared by training and prediction."""

import struct
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_SIDE = 65500  # of a JPEG, which the overlay is

UPRIGHT = {  # https://exiv2.org/tags.html, Exif.Image.Orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's parsers raise on damaged files, besides OSError. The first three turn up within some thousand files
# damaged at random; earlier versions are known for the others.
DAMAGED = (ValueError, SyntaxError, EOFError, struct.error, KeyError, IndexError, TypeError, OverflowError)


class PhotoError(Exception):
    """A photo that cannot be read; the message is the reason, without the file's name."""


def read_photo(path: Path, image_format: str = "BGR") -> np.ndarray:
    """Reads a photo as it is meant to be looked at.

    Detectron2's `read_image` would turn TIFFs twice (Pillow turns them while loading) and clip 16-bit greys.

    Args:
        path: a file that Pillow can read. Transparency is left out, of an animation the first frame is taken.
        image_format: colour order, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8, upright.

    Raises:
        PhotoError: missing, empty, damaged, cut short, too large or without a defined brightness.
    """
    try:
        if path.stat().st_size == 0:
            raise PhotoError("the file is empty")
        with Image.open(path) as image:
            if max(image.size) > MAX_SIDE:
                raise PhotoError(f"too large: {image.size[0]} x {image.size[1]} pixels, at most {MAX_SIDE} a side")
            image.load()
            pixels = np.asarray(_upright_rgb(image))
            return np.ascontiguousarray(pixels[:, :, ::-1] if image_format == "BGR" else pixels)
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too large: {error}") from None
    except UnidentifiedImageError:
        raise PhotoError("no image, or one that is damaged at its beginning") from None
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror or error}") from None
    except DAMAGED as error:
        raise PhotoError(f"damaged: {error}") from None


def _upright_rgb(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:  # damaged EXIF in a sound photo: shown as it is stored, as every viewer does
        orientation = None
    if image.mode == "F":
        raise PhotoError("32-bit floating point pixels, whose white is not defined; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey, which older Pillows call "I"
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    return image
