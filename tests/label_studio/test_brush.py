"""Brush masks against a packer of the same format, written here bit by bit."""

import base64
import io

import numpy as np
import pytest
from brush import pack
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from campus_seg.label_studio.brush import decode_bitmask, decode_brush


@given(
    st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([(2, 3, 7, 15), (3, 4, 8, 16)])
)
def test_what_was_packed_is_read(width, height, seed, length_bits):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    picture[rng.random((height, width)) < 0.6] = 0
    mask = decode_brush(pack(picture, length_bits), width, height)
    np.testing.assert_array_equal(mask, picture[..., 3] > 0)


def test_the_first_bytes_of_a_real_one():
    """640 x 480 pixels, all values 0 in one run of each length: header as a real server writes it."""
    packed = pack(np.zeros((640, 480, 4), np.uint8), (3, 4, 8, 16))
    assert packed[:5] == [0, 18, 192, 0, 57]
    assert not decode_brush(packed, 480, 640).any()


@pytest.mark.parametrize(
    "rle",
    [None, "abc", [], [1, 2], [300] * 20, [0] * 20, pack(np.zeros((4, 4, 4), np.uint8))[:-1], [255] * 50],
)
def test_bytes_that_are_none(rle):
    with pytest.raises(ValueError, match="its RLE is"):
        decode_brush(rle, 4, 4)


def test_another_size_and_one_that_is_too_large():
    packed = pack(np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="of another picture"):
        decode_brush(packed, 4, 5)
    with pytest.raises(ValueError, match="too large"):
        decode_brush(packed, 10**6, 10**6)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content):
    try:
        mask = decode_brush(list(content), 3, 2)
    except ValueError:
        return
    assert mask.shape == (2, 3)


def picture(mode, size=(6, 4)):
    """A PNG as a data URL: two pixels of the middle row are painted."""
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    pixels[size[1] // 2, 2:4] = (200, 0, 0, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "RGB"])
def test_bitmasks(mode):
    expected = np.zeros((4, 6), bool)
    expected[2, 2:4] = True
    np.testing.assert_array_equal(decode_bitmask(picture(mode), 6, 4), expected)


@pytest.mark.parametrize(
    "address", [None, "", "data:image/png;base64,???", "data:image/png;base64,aGVsbG8=", picture("L", (7, 4)), "x,AAAA"]
)
def test_pictures_that_are_no_bitmask(address):
    with pytest.raises(ValueError, match="its picture"):
        decode_bitmask(address, 6, 4)
