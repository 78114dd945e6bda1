"""Boxes put together by hand, so that it is known of every byte what has to become of it."""

import struct

import pytest

from campus_seg.photos import PhotoError
from campus_seg.upload.heif import EXIF_BEGINS, NO_ENTRY, strip_heif

EXIF_LENGTH = 40


def box(kind, *parts):
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def item(number, kind, names=b""):
    return box(b"infe", struct.pack(">B3xHH4s", 2, number, 0, kind), names)


def place(number, method, offset, length, *, elsewhere=0):
    """An item's entry in a list of places, version 1 with 4 bytes an offset and a length, and none for a base."""
    return struct.pack(">HHHHII", number, method, elsewhere, 1, offset, length)


ITEMS = (
    *((1, b"hvc1", b"of my house\0"), (2, b"Exif"), (3, b"mime", b"me\0application/rdf+xml\0"), (4, b"grid")),
    (5, b"abcd"),
)


def build(places=None, items=ITEMS, extra=b"", infe=None, main=4):
    """A file: pixels, a gap, EXIF, XMP and another item in "mdat"; a grid in "idat"; a film at the end."""
    stored = b"PIXELS" + b"gap!" + b"E" * EXIF_LENGTH + b"<xmp/>" + b"ITEM"

    def whole(begin):
        lists = places or [
            place(1, 0, begin, 6),
            place(2, 0, begin + 10, EXIF_LENGTH),
            place(3, 0, begin + 10 + EXIF_LENGTH, 6),
            place(4, 1, 2, 4),
            place(5, 0, begin + 10 + EXIF_LENGTH + 6, 4),
        ]
        listed = infe or [item(*each) for each in items]
        return b"".join(
            [
                box(b"ftyp", b"heic"),
                box(
                    b"meta",
                    bytes(4),
                    box(b"hdlr", bytes(4), b"pre!", b"pict", bytes(12), b"my camera\0"),
                    box(b"pitm", struct.pack(">4xH", main)),
                    box(b"iinf", bytes(4), struct.pack(">H", len(listed)), *listed),
                    box(
                        b"iprp",
                        box(b"ipco", box(b"ispe", b"6 x 4"), box(b"udes", b"my house"), box(b"irot", b"1")),
                        box(b"ipma", b"123"),
                        box(b"xyz ", b"north"),
                    ),
                    box(b"grpl", box(b"altr", b"1, 4"), box(b"albc", b"holidays")),
                    box(b"dinf", b"file://home"),
                    box(b"iloc", struct.pack(">B3xBBH", 1, 0x44, 0, len(lists)), *lists),
                    box(b"idat", b"__GRID__"),
                    box(b"udta", b"of the owner"),
                ),
                extra,
                box(b"mdat", stored),
                box(b"mpvd", b"a film"),
            ]
        )

    begin = whole(0).index(b"PIXELS")
    return whole(begin)


def test_each_byte_becomes_what_it_should():
    content, exif = build(), b"II*\0new"
    expected = content
    for old, new in (
        (b"gap!", bytes(4)),
        (b"E" * EXIF_LENGTH, (EXIF_BEGINS + exif).ljust(EXIF_LENGTH, b"\0")),
        (b"<xmp/>ITEM", bytes(10)),
        (b"__GRID__", b"\0\0GRID\0\0"),
        (b"of my house", bytes(11)),
        (b"me\0application/rdf+xml", bytes(22)),
        (b"pre!", bytes(4)),
        (b"my camera", bytes(9)),
        (b"udesmy house", b"free" + bytes(8)),
        (b"xyz north", b"free" + bytes(5)),
        (b"albcholidays", b"free" + bytes(8)),
        (b"dinffile://home", b"free" + bytes(11)),
        (b"udtaof the owner", b"free" + bytes(12)),
        (box(b"mpvd", b"a film"), b""),  # at the end
    ):
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    assert strip_heif(content, exif) == expected
    assert strip_heif(expected, exif) == expected


@pytest.mark.parametrize(("exif", "written"), [(b"", NO_ENTRY), (b"x" * 100, NO_ENTRY), (b"x" * 30, b"x" * 30)])
def test_exif_data_that_have_no_room_are_left_out(exif, written):
    stripped = strip_heif(build(), exif)
    begin = stripped.index(EXIF_BEGINS)
    assert stripped[begin : begin + EXIF_LENGTH] == (EXIF_BEGINS + written).ljust(EXIF_LENGTH, b"\0")


def test_a_box_of_64_bits_and_one_that_goes_to_the_end():
    content = build()
    at = content.index(b"mpvd") - 4
    for length, more in ((1, struct.pack(">Q", 16 + 6)), (0, b"")):
        film = content[:at] + struct.pack(">I4s", length, b"mpvd") + more + b"a film"
        assert strip_heif(film, b"") == strip_heif(content, b"")
    content = build(extra=struct.pack(">I4sQ", 1, b"uuid", 16 + 6) + b"a film")
    assert struct.pack(">I4sQ", 1, b"free", 16 + 6) + bytes(6) in strip_heif(content, b"")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda: build([place(1, 2, 0, 4)]), "in another one or in another file"),
        (lambda: build([place(1, 0, 0, 4, elsewhere=1)]), "in another one or in another file"),
        (lambda: build([place(1, 0, 100_000, 4)]), "outside of the file"),
        (lambda: build([place(1, 0, 20, 0)]), "outside of the file"),
        (lambda: build([place(1, 0, 20, 4)[:-3]]), "cut short"),
        (lambda: build(infe=[box(b"infe", bytes(8))]), "of a kind that is not known"),
        (lambda: build()[:-3], "ends where no box can"),
        (lambda: build(extra=struct.pack(">I4s", 4, b"odd!")), "ends where no box can"),
        (lambda: box(b"ftyp", b"heic"), "not enough values"),
        (lambda: build().replace(b"pitm", b"pitn"), "a list of what is in the file is missing"),
    ],
)
def test_what_is_not_understood_is_refused(content, expected):
    with pytest.raises(ValueError, match=expected):
        strip_heif(content(), b"")


@pytest.mark.parametrize(("main", "stored"), [(5, "abcd"), (6, "jpeg"), (7, r"\?")])
def test_a_photo_that_is_stored_otherwise_is_refused(main, stored):
    content = build(items=(*ITEMS, (6, b"jpeg")), main=main)
    with pytest.raises(PhotoError, match=f"stored as '{stored}', out of which nothing can be taken; save the photo"):
        strip_heif(content, b"")
