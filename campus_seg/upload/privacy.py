"""Takes out of a photo's file what tells of the place, the camera's owner and the camera; its pixels stay bit for bit.

What is kept is listed, and all else goes: a maker's notes, XMP, comments, previews and what follows the picture (a
motion photo's film, a depth map) hold places and serial numbers too, in forms that nobody lists.
"""

import io
import math
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

from campus_seg.photos import FORMATS, PhotoError, named_errors, photo_size
from campus_seg.upload.exif import PREFIX, encoded, kept_exif
from campus_seg.upload.heif import is_heif, strip_heif

# JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1. In a scan's data, FF is followed by 0, or begins a restart.
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
SOI, EOI, SOS, APP0, APP2, APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
ALONE = (0x01, SOI)  # without a length
PROFILE = b"ICC_PROFILE\0"  # https://www.color.org/specification/ICC.1-2022-05.pdf, B.4
LARGEST_PART = 65519  # bytes of it in a segment
DQT, DNL, DRI, JPG = 0xDB, 0xDC, 0xDD, 0xC8
# Frames' heads, Huffman's and other tables, and scans; not "reserved for extensions" (JPG), which no reader looks at.
JPEG_KEPT = {*range(0xC0, 0xD0), SOS, DQT, DNL, DRI} - {JPG}

# https://www.w3.org/TR/png-3/#11Chunks: pixels, animation, transparency and colours.
PNG = b"\x89PNG\r\n\x1a\n"
UNPACKED = 1 << 20  # bytes at a time
PNG_KEPT = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"bKGD", b"hIST", b"pHYs"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"mDCV", b"cLLI"),
)

# https://developers.google.com/speed/webp/docs/riff_container
WEBP_KEPT = (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
WEBP_EXIF, WEBP_XMP = 0x08, 0x04  # flags of VP8X


def strip_personal(content: bytes) -> bytes:
    """A photo's file without location, names and serial numbers.

    JPEG, PNG, WebP, HEIC, AVIF and BMP, by content, whatever the ending; no pixel changes. Of EXIF are kept the
    orientation, the time, the camera's make and model and the exposure; of the rest what colours need.

    Args:
        content: the file's.

    Raises:
        PhotoError: it cannot be read, or is of another format.
    """
    before = photo_size(io.BytesIO(content))
    with named_errors():
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            exif = encoded(kept_exif(image))
        if content.startswith(b"\xff\xd8\xff"):
            stripped = _strip_jpeg(content, exif)
        elif content.startswith(PNG):
            stripped = _strip_png(content, exif)
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            stripped = _strip_webp(content, exif)
        elif is_heif(content):
            stripped = strip_heif(content, exif)
        elif content.startswith(b"BM"):
            stripped = _strip_bmp(content)
        else:
            raise PhotoError("location and serial numbers cannot be taken out of this format; save it as JPEG or PNG")
    if photo_size(io.BytesIO(stripped)) != before:
        raise PhotoError("location and serial numbers cannot be taken out of it; save it anew, as JPEG or PNG")
    return stripped


def _strip_jpeg(content: bytes, exif: bytes) -> bytes:
    begin, profile, rest = [b"\xff\xd8"], [], []
    for marker, segment in _segments(content):
        body = segment[4:]
        if marker == APP0 and body.startswith(b"JFIF\0"):
            begin.append(_segment(marker, body[:12] + b"\0\0"))  # without its thumbnail
        elif marker == APP14 and body.startswith(b"Adobe"):  # how its colours are stored
            rest.append(_segment(marker, body[:12]))
        elif marker == APP2 and body.startswith(PROFILE):
            profile.append(body[len(PROFILE) :])
        elif marker in JPEG_KEPT:
            rest.append(segment)
    if exif:
        begin.append(_segment(0xE1, PREFIX + exif))
    return b"".join([*begin, *_profile(profile), *rest, b"\xff\xd9"])


def _profile(parts: list[bytes]) -> Iterator[bytes]:
    """The segments of a colour profile, which says how long it is: what more there is has come by damage."""
    whole = b"".join(part[2:] for part in sorted(parts, key=lambda part: part[:1]))  # number, count, and a part of it
    whole = whole[: int.from_bytes(whole[:4], "big")]
    count = math.ceil(len(whole) / LARGEST_PART)
    for i in range(count):
        part = whole[i * LARGEST_PART :][:LARGEST_PART]
        yield _segment(APP2, PROFILE + bytes([i + 1, count]) + part)


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
    pixels = zlib.decompressobj()
    while kind != b"IEND":
        length = int.from_bytes(content[position : position + 4], "big")
        kind, end = content[position + 4 : position + 8], position + 12 + length
        if end > len(content):
            raise PhotoError("damaged: its end is missing")
        if kind == b"IDAT":
            used = _used(content[position + 8 : end - 4], pixels)
            parts.append(content[position:end] if len(used) == length else _chunk(kind, used))
        elif kind in PNG_KEPT:
            parts.append(content[position:end])
        if kind == b"IHDR" and exif:
            parts.append(_chunk(b"eXIf", exif))
        position = end
    return b"".join(parts)


def _used(packed: bytes, pixels: Any) -> bytes:
    """What of some packed bytes, the next ones, is of the pixels: these have an end, behind which anything may lie."""
    rest = packed
    try:
        while rest and not pixels.eof:
            pixels.decompress(rest, UNPACKED)
            rest = pixels.unconsumed_tail or pixels.unused_data
    except zlib.error as error:
        raise PhotoError(f"damaged: {error}") from None
    return packed[: len(packed) - len(rest)]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


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


def _strip_bmp(content: bytes) -> bytes:
    """Written anew, since its pixels are not packed: what lies before, between and behind them stays behind."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(content), formats=("BMP",)) as image:
        image.save(stream, "BMP")
    return stream.getvalue()
