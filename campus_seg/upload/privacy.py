"""Takes out of a photo's file what tells of the place, the camera's owner and the camera; its pixels stay bit for bit.

What is kept is listed, and all else goes: a maker's notes, XMP, comments, previews and what follows the picture (a
motion photo's film, a depth map) hold places and serial numbers too, in forms that nobody lists.
"""

import contextlib
import io
import re
import struct
import zlib
from collections.abc import Iterator

from PIL import ExifTags, Image

from campus_seg.photos import DAMAGED, FORMATS, PhotoError, named_errors, photo_size
from campus_seg.upload.heif import is_heif, strip_heif

EXIF = b"Exif\0\0"  # before EXIF data, in some formats
# https://exiv2.org/tags.html: how the photo is shown, when it was taken, with what kind of camera and how exposed. The
# offset from UTC is left out: it tells of the place.
_TAGS = ExifTags.Base
KEPT_TAGS = (_TAGS.Orientation, _TAGS.Make, _TAGS.Model, _TAGS.DateTime, _TAGS.YCbCrPositioning)
KEPT_DETAILS = (
    *(_TAGS.DateTimeOriginal, _TAGS.DateTimeDigitized, _TAGS.SubsecTimeOriginal),
    *(_TAGS.ExposureTime, _TAGS.FNumber, _TAGS.ExposureProgram, _TAGS.ISOSpeedRatings, _TAGS.ExposureBiasValue),
    *(_TAGS.MeteringMode, _TAGS.Flash, _TAGS.FocalLength, _TAGS.FocalLengthIn35mmFilm, _TAGS.DigitalZoomRatio),
    *(_TAGS.WhiteBalance, _TAGS.ColorSpace, _TAGS.ExifImageWidth, _TAGS.ExifImageHeight),
)

# JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1. In a scan's data, FF is followed by 0, or begins a restart.
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
SOI, EOI, SOS, APP0, APP2, APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
ALONE = (0x01, SOI)  # without a length
OTHERS = range(APP0, 0xFF)  # applications' segments, extensions and comments

# https://www.w3.org/TR/png-3/#11Chunks: pixels, animation, transparency and colours.
PNG = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"bKGD", b"hIST", b"pHYs"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"mDCV", b"cLLI"),
)

# https://developers.google.com/speed/webp/docs/riff_container
WEBP_KEPT = (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
WEBP_EXIF, WEBP_XMP = 0x08, 0x04  # flags of VP8X


def strip_personal(content: bytes) -> bytes:
    """A photo's file without location, names and serial numbers.

    JPEG, PNG, WebP, HEIC, AVIF and BMP, by content, whatever the ending; nothing is encoded anew. Of EXIF are kept the
    orientation, the time, the camera's make and model and the exposure; of the rest what colours need.

    Args:
        content: the file's.

    Raises:
        PhotoError: it cannot be read, or is of another format.
    """
    before = photo_size(io.BytesIO(content))
    exif = _kept_exif(content)
    with named_errors():
        if content.startswith(b"\xff\xd8\xff"):
            stripped = _strip_jpeg(content, exif)
        elif content.startswith(PNG):
            stripped = _strip_png(content, exif)
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            stripped = _strip_webp(content, exif)
        elif is_heif(content):
            stripped = strip_heif(content, exif)
        elif content.startswith(b"BM"):  # which holds pixels and nothing else
            stripped = content
        else:
            raise PhotoError("location and serial numbers cannot be taken out of this format; save it as JPEG or PNG")
    if photo_size(io.BytesIO(stripped)) != before:
        raise PhotoError("location and serial numbers cannot be taken out of it; save it anew, as JPEG or PNG")
    return stripped


def _kept_exif(content: bytes) -> bytes:
    """The EXIF data to keep, a TIFF; b"" where there is nothing to keep, or it is damaged and turns nothing."""
    tags: dict[int, object] = {}
    details: dict[int, object] = {}
    with named_errors(), Image.open(io.BytesIO(content), formats=FORMATS) as image, contextlib.suppress(*DAMAGED):
        found = image.getexif()
        tags.update((tag, found[tag]) for tag in KEPT_TAGS if tag in found)
        found = found.get_ifd(ExifTags.IFD.Exif)
        details.update((tag, found[tag]) for tag in KEPT_DETAILS if tag in found)
    try:
        return _encoded(tags, details)
    except DAMAGED:  # a value that is not of its tag's type
        return _encoded({tag: tags[tag] for tag in KEPT_TAGS[:1] if tag in tags}, {})


def _encoded(tags: dict[int, object], details: dict[int, object]) -> bytes:
    kept = Image.Exif()
    for tag, value in tags.items():
        kept[tag] = value
    kept.get_ifd(ExifTags.IFD.Exif).update(details)
    return kept.tobytes().removeprefix(EXIF) if tags or details else b""


def _strip_jpeg(content: bytes, exif: bytes) -> bytes:
    parts = [b"\xff\xd8"]
    if exif:
        parts.append(_segment(0xE1, EXIF + exif))
    for marker, segment in _segments(content):
        body = segment[4:]
        if marker == APP0 and body.startswith(b"JFIF\0"):
            parts.insert(1, _segment(marker, body[:12] + b"\0\0"))  # without its thumbnail; it comes first
        elif marker == APP14 and body.startswith(b"Adobe"):  # how its colours are stored
            parts.append(_segment(marker, body[:12]))
        elif marker not in OTHERS or (marker == APP2 and body.startswith(b"ICC_PROFILE\0")):
            parts.append(segment)
    return b"".join([*parts, b"\xff\xd9"])


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """A JPEG's segments, each with its marker, and of a scan its data with it; nothing from the end marker on."""
    position = 2
    while found := MARKER.search(content, position):
        marker, start = found[1][0], found.end() - 2
        if marker == EOI:
            return
        position = found.end()
        if marker in ALONE:
            continue
        length = int.from_bytes(content[position : position + 2], "big")
        position += length
        if marker == SOS:
            following = MARKER.search(content, position)
            position = following.start() if following else len(content)
        if length < 2 or position > len(content):
            break
        yield marker, content[start:position]
    raise PhotoError("damaged: its end is missing")


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _strip_png(content: bytes, exif: bytes) -> bytes:
    parts, position, kind = [PNG], len(PNG), b""
    while kind != b"IEND":
        length = int.from_bytes(content[position : position + 4], "big")
        kind, end = content[position + 4 : position + 8], position + 12 + length
        if end > len(content):
            raise PhotoError("damaged: its end is missing")
        if kind in PNG_KEPT:
            parts.append(content[position:end])
        if kind == b"IHDR" and exif:
            chunk = b"eXIf" + exif
            parts.append(struct.pack(">I", len(exif)) + chunk + struct.pack(">I", zlib.crc32(chunk)))
        position = end
    return b"".join(parts)


def _strip_webp(content: bytes, exif: bytes) -> bytes:
    parts, position = [], 12
    end = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    while position + 8 <= end:
        kind = content[position : position + 4]
        following = position + 8 + int.from_bytes(content[position + 4 : position + 8], "little")
        chunk = content[position:following]
        if kind == b"VP8X":
            flags = chunk[8] & ~(WEBP_EXIF | WEBP_XMP) | (WEBP_EXIF if exif else 0)
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if kind in WEBP_KEPT:
            parts.append(chunk + b"\0" * (len(chunk) % 2))
        position = following + following % 2
    if exif:
        parts.append(b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\0" * (len(exif) % 2))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
