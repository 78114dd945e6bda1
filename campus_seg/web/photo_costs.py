"""What reading a photo would cost, found out of its bytes before any decoder sees them.

Pixels are not all of it: a progressive JPEG may repeat its passes thousands of times, and EXIF data may let many
entries name the same bytes, each of which is copied.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from campus_seg.photos import PhotoError

MAX_SCANS = 100  # passes of a JPEG over its pixels; programs write 1 to 20
# Passes times megapixels: such a JPEG of 20 MB takes up to six seconds. Of the largest photos 16 passes are taken.
MAX_WORK = 3000
MAX_SEGMENTS = 5000  # of a JPEG, of at most 64 kB each
# Both are read in Python by Pillow, so for seconds if a file were made of nothing else.
MAX_FILL = 4096  # bytes of a JPEG between the parts before its picture
MAX_PHOTOSHOP = 2 << 20  # bytes of a JPEG that are for Photoshop
MAX_CHUNKS = 50_000  # of a PNG, which programs make 8 kB or larger
MAX_EXIF = 4 << 20  # bytes of EXIF data, and that their entries may name in all
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # TIFF 6.0
EXIF = b"Exif\0\0"
MPF = b"MPF\0"  # of a JPEG, a list of its photos, a TIFF as EXIF is
MAX_PROFILE = 1 << 20  # bytes of a PNG's text, which Pillow takes as well
PROFILE = b"Raw profile type exif\0"  # how ImageMagick writes EXIF into a PNG's text

# All up to a marker that ends a pass, and its kind; 0xff00 is a byte of the pass's data, and restarts are part of them.
# Nothing is looked at twice: else a run of 0xff would take hours, for all, as `re` lets no other thread work.
_MARKER = re.compile(rb"[^\xff]*+(?:\xff++[\x00\xd0-\xd7][^\xff]*+)*+\xff++([^\x00\xff\xd0-\xd7])", re.DOTALL)
_SOS, _EOI, _APP1, _APP2, _APP13 = 0xDA, 0xD9, 0xE1, 0xE2, 0xED
_BARE = (0x01, 0xD8)  # markers without content: TEM, SOI
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # frame headers; the others are tables
TOO_MUCH_BESIDE = "This photo holds a great deal beside its picture. Save it anew as JPEG or PNG and try again."
DAMAGED = "This photo is damaged. Save it anew, or choose another one."


class Jpeg(NamedTuple):
    """What the markers of a JPEG say: its sizes (width, height), as a rule one, where it ends, and its passes."""

    sizes: set[tuple[int, int]]
    end: int
    scans: int


def checked_jpeg(content: bytes) -> Jpeg:
    """Reads a JPEG's markers as libjpeg does.

    Returns:
        `scans` are no fewer than the decoder can find in `content[:end]`, whatever it takes for a marker: every place
        counts that may be the beginning of a pass.

    Raises:
        PhotoError: too many passes, or too much besides the picture.
    """
    sizes, exif, position, segments, passes = set(), b"", 2, 0, 0
    end, fill, photoshop = len(content), 0, 0
    while marker := _MARKER.match(content, position):
        kind, gap, position = marker[1][0], marker.end() - position - 2, marker.end()
        segments += 1
        fill += 0 if passes else gap
        if segments > MAX_SEGMENTS or fill > MAX_FILL:
            raise PhotoError(TOO_MUCH_BESIDE)
        passes += kind == _SOS
        _check_scans(passes, 0)
        if kind == _EOI:
            end = position
            break
        if kind in _BARE:
            continue
        length = int.from_bytes(content[position : position + 2], "big")
        segment = content[position + 2 : position + length]
        position += max(length, 2)
        if kind in _SOF and len(segment) >= 5:
            height, width = struct.unpack_from(">HH", segment, 1)
            sizes.add((width, height))
        elif kind == _APP1 and segment.startswith(EXIF):
            exif += segment[len(EXIF) :] if exif else segment  # as Pillow does, in as many copies
            if len(exif) > MAX_EXIF:
                raise PhotoError(TOO_MUCH_BESIDE)
        elif kind == _APP2 and segment.startswith(MPF):
            check_exif(segment[len(MPF) :])
        elif kind == _APP13:
            photoshop += len(segment)
    if photoshop > MAX_PHOTOSHOP:
        raise PhotoError(TOO_MUCH_BESIDE)
    check_exif(exif)
    scans = content.count(b"\xff\xda", 0, end)
    _check_scans(scans, 0)
    return Jpeg(sizes, end, scans)


def check_work(jpeg: Jpeg) -> None:
    """Refuses a JPEG whose passes over so many pixels would take too long.

    Raises:
        PhotoError: it is one.
    """
    _check_scans(jpeg.scans, max((width * height for width, height in jpeg.sizes), default=0))


def _check_scans(scans: int, pixels: int) -> None:
    if scans > MAX_SCANS or scans * pixels > MAX_WORK * 1e6:
        raise PhotoError(
            f"This photo is stored in {min(scans, MAX_SCANS + 1)} passes or more, which take too long to read. Save it "
            "anew as JPEG or PNG and try again."
        )


def check_png(content: bytes) -> None:
    """Looks through a PNG's chunks.

    Raises:
        PhotoError: there are too many, or its EXIF data are not to be read.
    """
    profiles = 0
    for count, (kind, data) in enumerate(_chunks(content)):
        if count > MAX_CHUNKS or profiles > 1:
            raise PhotoError(TOO_MUCH_BESIDE)
        if kind == b"eXIf":
            check_exif(bytes(data))
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and bytes(data[: len(PROFILE)]) == PROFILE:
            profiles += 1
            check_exif(_profile(kind, bytes(data[len(PROFILE) :])))


def _profile(kind: bytes, data: bytes) -> bytes:
    """EXIF data that stand in a text: three lines about them, then hexadecimal numbers."""
    if kind == b"iTXt":
        raise PhotoError(TOO_MUCH_BESIDE)  # no program writes it so
    if kind == b"zTXt":
        try:
            data = zlib.decompressobj().decompress(data[1:], MAX_PROFILE)
        except zlib.error:
            raise PhotoError(DAMAGED) from None
    if len(data) >= MAX_PROFILE:
        raise PhotoError(TOO_MUCH_BESIDE)
    try:
        return bytes.fromhex(b"".join(data.split(b"\n", 3)[3:]).decode("ascii", "replace"))
    except ValueError:
        return b""  # nor can anybody else read them


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, position = memoryview(content), 8
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        yield kind, view[position + 8 : position + 8 + length]
        position += 12 + length


def check_exif(exif: bytes) -> None:
    """Refuses EXIF data whose entries name far more bytes than there are.

    Args:
        exif: a TIFF, with or without "Exif" before it; b"" for none.

    Raises:
        PhotoError: they do.
    """
    while exif.startswith(EXIF):
        exif = exif[len(EXIF) :]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return
    magic, start = struct.unpack_from(f"{order}HI", exif, 2)
    if magic == 43:  # BigTIFF, which no camera writes
        raise PhotoError(TOO_MUCH_BESIDE)
    if start + 2 > len(exif):
        return
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    named = 0
    for entry in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        kind, number = struct.unpack_from(f"{order}HI", exif, entry + 2)
        named += min(TYPE_SIZES.get(kind, 1) * number, len(exif))
    if named > MAX_EXIF + 2 * len(exif):
        raise PhotoError(TOO_MUCH_BESIDE)
