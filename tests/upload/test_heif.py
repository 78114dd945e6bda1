"""Boxes put together by hand, so that it is known of every byte what has to become of it."""

import struct

import pytest

from campus_seg.upload.heif import EXIF_BEGINS, NO_ENTRY, strip_heif

EXIF_LENGTH = 40


def box(kind, *parts):
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def item(number, kind):
    return box(b"infe", struct.pack(">B3xHH4s", 2, number, 0, kind))


def place(number, method, offset, length, *, elsewhere=0):
    """An item's entry in a list of places, version 1 with 4 bytes an offset and a length, and none for a base."""
    return struct.pack(">HHHHII", number, method, elsewhere, 1, offset, length)


def build(places=None, kinds=(b"hvc1", b"Exif", b"mime", b"grid"), extra=b"", infe=None):
    """A file: pixels, a gap, EXIF, a gap, XMP in "mdat"; how pixels are put together in "idat"; a film at the end."""
    stored = b"PIXELS" + b"gap!" + b"E" * EXIF_LENGTH + b"gap!" + b"<xmp/>"

    def whole(begin):
        lists = places or [
            place(1, 0, begin, 6),
            place(2, 0, begin + 10, EXIF_LENGTH),
            place(3, 0, begin + 10 + EXIF_LENGTH + 4, 6),
            place(4, 1, 2, 4),
        ]
        items = infe or [item(number, kind) for number, kind in enumerate(kinds, start=1)]
        return b"".join(
            [
                box(b"ftyp", b"heic"),
                box(
                    b"meta",
                    bytes(4),
                    box(b"iinf", bytes(4), struct.pack(">H", len(items)), *items),
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
        (b"<xmp/>", b" " * 6),
        (b"__GRID__", b"\0\0GRID\0\0"),
        (b"udtaof the owner", b"free" + bytes(12)),
        (b"mpvda film", b"free" + bytes(6)),
    ):
        assert old in expected
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
    large = content[:at] + struct.pack(">I4sQ", 1, b"mpvd", 16 + 6) + b"a film"
    assert strip_heif(large, b"")[at:] == struct.pack(">I4sQ", 1, b"free", 16 + 6) + bytes(6)
    endless = content[:at] + struct.pack(">I4s", 0, b"mpvd") + b"a film"
    assert strip_heif(endless, b"")[at:] == struct.pack(">I4s", 0, b"free") + bytes(6)


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
    ],
)
def test_what_is_not_understood_is_refused(content, expected):
    with pytest.raises(ValueError, match=expected):
        strip_heif(content(), b"")
