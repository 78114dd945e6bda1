"""What a JPEG would cost is found out at a small cost of its own."""

import io
import re
import struct
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from campus_seg.photos import PhotoError
from campus_seg.web import photo_costs
from campus_seg.web.photo_costs import checked_jpeg


def stored():
    """A JPEG of 44 x 30 pixels."""
    stream = io.BytesIO()
    Image.effect_noise((44, 30), 50).save(stream, "JPEG")
    return stream.getvalue()


JPEG = stored()


def one_segment(kind, data):
    return b"\xff" + bytes([kind]) + struct.pack(">H", len(data) + 2) + data


PHOTOSHOP = one_segment(0xED, b"Photoshop 3.0\0" + (b"8BIM\4\4" + bytes(6)) * 5000)


@pytest.mark.parametrize(
    "between",
    [
        b"\xff" * 5000,
        b"\xff\0" * 2500,
        b"\xff\xd0" * 2500,
        b"\xff\x01" * 6000,
        (b"\xff" * 10 + b"\xfe\0\2") * 1000,
        PHOTOSHOP * 40,
    ],
    ids=["fill", "escaped", "restarts", "bare markers", "fill in parts", "photoshop"],
)
def test_what_pillow_would_read_byte_by_byte_is_refused(between):
    with pytest.raises(PhotoError, match="beside its picture"):
        checked_jpeg(JPEG[:2] + between + JPEG[2:])


def test_some_fill_bytes_and_photoshop_data_are_taken():
    content = JPEG[:2] + b"\xff" * 1000 + PHOTOSHOP * 20 + JPEG[2:]
    assert checked_jpeg(content) == ({(44, 30)}, len(content), 1)


@pytest.mark.parametrize("run", [b"\xff", b"\xff\0", b"\xff\xd0", b"\0\xff\xff"])
@pytest.mark.parametrize("before", [b"\xff\xd8", JPEG[:-2]], ids=["alone", "in the picture"])
def test_markers_are_found_in_one_pass(before, run):
    """A second for 2 MB; all other threads wait while it is looked through."""
    began = time.process_time()
    with suppress(PhotoError):
        checked_jpeg(before + run * (2_000_000 // len(run)) + b"\0")
    assert time.process_time() - began < 1


@given(st.lists(st.sampled_from([b"\xff", b"\0", b"\xd0", b"\xd7", b"\xda", b"\xc0", b"\n", b"ab"]), max_size=40))
def test_markers_are_those_that_a_plain_search_finds(parts):
    content = b"".join(parts)
    found, position = [], 0
    while marker := photo_costs._MARKER.match(content, position):
        position = marker.end()
        found.append(position)
    assert found == [one.end() for one in re.finditer(rb"\xff+([^\x00\xff\xd0-\xd7])", content, re.DOTALL)]
