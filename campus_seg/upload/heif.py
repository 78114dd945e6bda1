"""The boxes of a HEIC or AVIF file (ISO/IEC 14496-12 and 23008-12): of what it holds, only its pictures stay.

No byte moves, since boxes name others by their places in the file: what goes is overwritten.
"""

import io
import struct
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from campus_seg.photos import PhotoError

# Boxes that say how pictures are stored, of the file and of its "meta", and pictures' properties; all others go.
KEPT = (b"ftyp", b"meta", b"mdat")
KEPT_IN_META = (b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"grpl")
KEPT_PROPERTIES = {
    *(b"ispe", b"pixi", b"pasp", b"colr", b"clli", b"mdcv", b"cclv", b"amve", b"ndwt"),  # sizes and colours
    *(b"irot", b"imir", b"clap", b"rloc", b"lsel", b"auxC"),  # how they are shown, and which belong together
    *(b"hvcC", b"lhvC", b"av1C", b"a1op", b"a1lx", b"avcC", b"vvcC", b"j2kH", b"cmpd", b"uncC"),  # their codecs' heads
}
KEPT_GROUPS = (b"altr", b"ster", b"pymd")  # of pictures
# Items that are pictures, by codec or put together of others. Of a JPEG inside it is not known here what it holds.
PICTURES = {b"hvc1", b"hev1", b"lhv1", b"av01", b"avc1", b"vvc1", b"j2k1", b"unci", b"grid", b"iovl", b"iden", b"tmap"}
NO_ENTRY = b"II*\0\x08\0\0\0" + bytes(6)  # EXIF data with nothing in it
EXIF_BEGINS = struct.pack(">I", 6) + b"Exif\0\0"  # ISO/IEC 23008-12, A.2.1

Extent = tuple[int, int]  # where it begins in the file, and where it ends


class Box(NamedTuple):
    """A box: its type, and where it begins in the file, where its content does, and where both end."""

    kind: bytes
    start: int
    content: int
    end: int


def is_heif(content: bytes) -> bool:
    """Whether it is a file of this family, by its beginning."""
    return content[4:8] == b"ftyp"


def strip_heif(content: bytes, exif: bytes) -> bytes:
    """A HEIC or AVIF file that holds nothing but its pictures, in their places, and new EXIF data for old.

    Args:
        content: the file's.
        exif: a TIFF; b"" for none. It turns nothing: how the photo is turned stands in the file's own boxes.

    Raises:
        PhotoError: it is a sequence of photos, or the photo is stored in a way that is not known.
        ValueError, struct.error: it is damaged.
    """
    result = bytearray(content)
    boxes = list(_boxes(content, 0, len(content)))
    if any(box.kind == b"moov" for box in boxes):
        raise PhotoError("a sequence of photos, out of which nothing can be taken; save the photo as JPEG")
    (meta,) = (box for box in boxes if box.kind == b"meta")
    inner = list(_boxes(content, meta.content + 4, meta.end))
    names = {box.kind: box for box in inner}
    if not names.keys() >= {b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp"}:
        raise ValueError("a list of what is in the file is missing")
    kinds = _kinds(result, names[b"iinf"])
    main = int.from_bytes(content[names[b"pitm"].content + 4 : names[b"pitm"].end], "big")
    if kinds.get(main) not in PICTURES:
        kind = kinds.get(main, b"?").decode("ascii", "replace")
        raise PhotoError(
            f"the picture is stored as {kind!r}, out of which nothing can be taken; save the photo as JPEG"
        )
    items = _items(content, inner, kinds)
    pictures = [extent for kind, extents in items if kind in PICTURES for extent in extents]
    for box in (*boxes, *inner):
        if box.kind in (b"mdat", b"idat"):
            _clear(result, box, pictures)
        elif box.kind not in (KEPT_IN_META if box in inner else KEPT):
            _free(result, box)
    for kind, extents in items:
        if kind == b"Exif":
            _fill(result, extents, EXIF_BEGINS + (exif or NO_ENTRY), EXIF_BEGINS + NO_ENTRY)
        elif kind not in PICTURES:
            _fill(result, extents)
    _strip_handler(result, names[b"hdlr"])
    for properties in _keep(result, names[b"iprp"], (b"ipco", b"ipma")):
        if properties.kind == b"ipco":
            _keep(result, properties, KEPT_PROPERTIES)
    if b"grpl" in names:
        _keep(result, names[b"grpl"], KEPT_GROUPS)
    last = max(box.end for box in boxes if box.kind in KEPT)
    return bytes(result[:last])


def _strip_handler(result: bytearray, hdlr: Box) -> None:
    """Leaves of it what it is for, four letters between numbers that are 0; a name follows."""
    begin = hdlr.content + 4
    result[begin : begin + 4] = bytes(4)
    result[begin + 8 : hdlr.end] = bytes(max(0, hdlr.end - begin - 8))


def _keep(result: bytearray, above: Box, kinds: Collection[bytes]) -> list[Box]:
    """Empties the boxes inside of another one but for those of some types; returns all."""
    boxes = list(_boxes(result, above.content, above.end))
    for box in boxes:
        if box.kind not in kinds:
            _free(result, box)
    return boxes


def _boxes(content: bytes | bytearray, start: int, end: int) -> Iterator[Box]:
    """The boxes that lie there one after the other."""
    while start < end:
        size, kind = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1:
            head, size = 16, struct.unpack_from(">Q", content, start + 8)[0]
        elif size == 0:  # the last one, to the end
            size = end - start
        if size < head or start + size > end:
            raise ValueError(f"a box {kind!r} ends where no box can")
        yield Box(kind, start, start + head, start + size)
        start += size


def _items(content: bytes, boxes: Sequence[Box], kinds: dict[int, bytes]) -> list[tuple[bytes, list[Extent]]]:
    """The type of each item and where its bytes lie."""
    iloc = next(box for box in boxes if box.kind == b"iloc")
    inside = next((box.content for box in boxes if box.kind == b"idat"), 0)
    stream = io.BytesIO(content[iloc.content : iloc.end])

    def number(size: int) -> int:
        found = stream.read(size)
        if len(found) < size:
            raise ValueError("its list of pictures is cut short")
        return int.from_bytes(found, "big")

    version, _, sizes, more = number(1), number(3), number(1), number(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    wide = 4 if version == 2 else 2
    items = []
    for _ in range(number(wide)):
        kind = kinds.get(number(wide), b"")
        method = number(2) & 15 if version else 0
        elsewhere, base = number(2), number(base_size)
        if method > 1 or elsewhere:
            raise ValueError("a picture lies in another one or in another file")
        begin = base + (inside if method else 0)
        extents = []
        for _ in range(number(2)):
            number(index_size)
            start = begin + number(offset_size)
            extents.append((start, start + number(length_size)))
            if not start < extents[-1][1] <= len(content):
                raise ValueError("a picture lies outside of the file")
        items.append((kind, extents))
    return items


def _kinds(result: bytearray, iinf: Box) -> dict[int, bytes]:
    """The type of each item by its number; what follows these in the list, names of all sorts, is overwritten."""
    begin = iinf.content + (6 if result[iinf.content] == 0 else 8)
    kinds = {}
    for box in list(_boxes(result, begin, iinf.end)):
        layout = {2: ">HH4s", 3: ">IH4s"}.get(result[box.content])
        if layout is None or box.kind != b"infe":
            raise ValueError("its list of pictures is of a kind that is not known")
        number, _, kinds[number] = struct.unpack_from(layout, result, box.content + 4)
        names = box.content + 4 + struct.calcsize(layout)
        result[names : box.end] = bytes(max(0, box.end - names))
    return kinds


def _free(result: bytearray, box: Box) -> None:
    """Makes a box one that holds nothing."""
    result[box.start + 4 : box.start + 8] = b"free"
    _clear(result, box, ())


def _clear(result: bytearray, box: Box, kept: Sequence[Extent]) -> None:
    """Overwrites what a box holds, but for some extents."""
    position = box.content
    for start, end in sorted(kept):
        if start >= box.end or end <= position:
            continue
        result[position : max(position, start)] = bytes(max(position, start) - position)
        position = max(position, end)
    if position < box.end:
        result[position : box.end] = bytes(box.end - position)


def _fill(result: bytearray, extents: Sequence[Extent], *candidates: bytes) -> None:
    """Writes the first of some contents that has room there, and nothing but it."""
    room = sum(end - start for start, end in extents)
    stream = io.BytesIO(next((c for c in candidates if len(c) <= room), b"").ljust(room, b"\0"))
    for start, end in extents:
        result[start:end] = stream.read(end - start)
