"""PNG files against two decoders."""

import io
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from campus_seg.inference.png import write_png


def encoded(picture, rows):
    """A PNG file of a picture given `rows` at a time."""
    file = io.BytesIO()
    write_png(file, picture.shape[:2], (picture[y : y + rows] for y in range(0, len(picture), rows)))
    return file.getvalue()


@settings(max_examples=200)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    channels=st.sampled_from([(), (3,), (4,)]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    rows=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_opencv_reads_what_was_written(height, width, channels, dtype, rows, seed):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype=dtype, endpoint=True)
    file = encoded(picture, rows)
    read = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == dtype
    if channels:
        read = read[..., [2, 1, 0, 3][: channels[0]]]
    assert np.array_equal(read, picture)


@pytest.mark.parametrize(("channels", "mode"), [((), "L"), ((3,), "RGB"), ((4,), "RGBA")])
def test_pillow_reads_what_was_written(channels, mode):
    picture = np.random.default_rng(0).integers(0, 256, (300, 200, *channels), dtype=np.uint8)
    with Image.open(io.BytesIO(encoded(picture, 64))) as image:
        image.load()  # with its checksums
        assert image.mode == mode
        assert np.array_equal(np.asarray(image), picture)


def test_views_that_are_not_contiguous():
    picture = np.arange(24 * 30, dtype=np.uint16).reshape(24, 30)[::2, ::3]
    read = cv2.imdecode(np.frombuffer(encoded(picture, 5), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, picture)


def test_masks_are_small_and_never_whole_in_memory(tmp_path):
    shape = (4000, 5000)
    band = np.zeros((50, 5000, 4), np.uint8)
    band[:, 1000:4000] = 255
    tracemalloc.start()
    try:
        with (tmp_path / "a.png").open("wb") as file:
            write_png(file, shape, (band for _ in range(80)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6  # of 80 MB
    assert (tmp_path / "a.png").stat().st_size < 200_000
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).sum() == 4000 * 3000 * 4 * 255
