"""The EXIF data that stay with a photo: a list of tags, each with values that cannot be anything else.

A value is looked at, not only its tag: a damaged or a made-up count brings along the text that lies behind it.
"""

import contextlib
import math
import re
from collections.abc import Callable
from fractions import Fraction

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from campus_seg.photos import DAMAGED, UPRIGHT

PREFIX = b"Exif\0\0"  # before EXIF data, in some formats
TIME = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
DIGITS = re.compile(r"\d{1,9}")
NAME = re.compile(r"[ -~]{1,64}")  # of a camera's make or model
LARGEST = 1 << 24  # of a number: the four letters of a text are a larger one
FINEST = 100_000  # of what a fraction counts, such as an exposure's 1/32000 s


def _text(pattern: re.Pattern) -> Callable[[object], str | None]:
    def kept(value: object) -> str | None:
        text = value.partition("\0")[0] if isinstance(value, str) else ""
        return text if pattern.fullmatch(text) else None

    return kept


def _number(value: object) -> int | IFDRational | None:
    if isinstance(value, float) and math.isfinite(value):
        value = IFDRational(Fraction(value))
    if isinstance(value, IFDRational):
        over, under = value.limit_rational(FINEST)
        return IFDRational(over, under) if under and abs(over) < LARGEST else None
    return value if isinstance(value, int) and abs(value) < LARGEST else None


def _orientation(value: object) -> int | None:
    return value if isinstance(value, int) and (value in UPRIGHT or value == 1) else None


# https://exiv2.org/tags.html: how the photo is shown, when it was taken, with what kind of camera and how exposed. The
# offset from UTC is left out: it tells of the place.
_TAGS = ExifTags.Base
KEPT = {
    _TAGS.Orientation: _orientation,
    _TAGS.Make: _text(NAME),
    _TAGS.Model: _text(NAME),
    _TAGS.DateTime: _text(TIME),
    _TAGS.YCbCrPositioning: _number,
}
KEPT_DETAILS = {
    _TAGS.DateTimeOriginal: _text(TIME),
    _TAGS.DateTimeDigitized: _text(TIME),
    _TAGS.SubsecTimeOriginal: _text(DIGITS),
    **dict.fromkeys(
        (
            *(_TAGS.ExposureTime, _TAGS.FNumber, _TAGS.ExposureProgram, _TAGS.ISOSpeedRatings),
            *(_TAGS.ExposureBiasValue, _TAGS.MeteringMode, _TAGS.Flash, _TAGS.FocalLength),
            *(_TAGS.FocalLengthIn35mmFilm, _TAGS.DigitalZoomRatio, _TAGS.WhiteBalance, _TAGS.ColorSpace),
            *(_TAGS.ExifImageWidth, _TAGS.ExifImageHeight),
        ),
        _number,
    ),
}


def kept_exif(image: Image.Image) -> Image.Exif:
    """New EXIF data with what is kept of a photo's; empty where there is nothing, or they are damaged."""
    kept = Image.Exif()
    with contextlib.suppress(*DAMAGED):
        found = image.getexif()
        kept.update(_checked(found, KEPT))
        if details := _checked(found.get_ifd(ExifTags.IFD.Exif), KEPT_DETAILS):
            kept.get_ifd(ExifTags.IFD.Exif).update(details)
    return kept


def _checked(found: Image.Exif | dict, kept: dict[int, Callable]) -> dict[int, object]:
    """Those of some tags that are kept and have a value of their kind; one that cannot be read is none."""
    values = {}
    for tag, check in kept.items():
        with contextlib.suppress(*DAMAGED, AttributeError):
            if tag in found and (value := check(found[tag])) is not None:
                values[tag] = value
    return values


def encoded(exif: Image.Exif) -> bytes:
    """EXIF data as a TIFF; b"" where there are none."""
    return exif.tobytes().removeprefix(PREFIX) if len(exif) or exif.get_ifd(ExifTags.IFD.Exif) else b""
