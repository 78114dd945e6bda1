"""Where tiles lie, and how many there may be."""

from fractions import Fraction

import numpy as np
import pytest
from blobs import Eye
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from campus_seg.errors import ConfigError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.tiles import MOST_TILES, TiledPredictor, check_number_of_tiles, tile_grid
from campus_seg.videos import Frame, VideoWriter


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 96), [(0, 0, 96, 96), (0, 4, 96, 100)]),
        ((96, 96), [(0, 0, 96, 96)]),
        ((50, 20), [(0, 0, 20, 50)]),
        ((50, 200), [(0, 0, 96, 50), (72, 0, 168, 50), (104, 0, 200, 50)]),
        ((50, 168), [(0, 0, 96, 50), (72, 0, 168, 50)]),
    ],
)
def test_a_grid(size, expected):
    assert [tuple(tile) for tile in tile_grid(*size, 96, 0.25).tolist()] == expected


def test_so_many_tiles_that_a_photo_takes_days_are_refused(tmp_path):
    """By its header alone: 64 megapixels in steps of 80 are 10,000 tiles, in steps of 25 they are 102,400."""
    Image.new("1", (8000, 8000)).save(tmp_path / "large.png")
    (tmp_path / "cut.jpg").write_bytes(b"")
    photos = [InputPhoto(tmp_path / name, name) for name in ("cut.jpg", "large.png")]
    assert len(tile_grid(8000, 8000, 100, 0.2)) == MOST_TILES
    check_number_of_tiles(photos, 100, 0.2)
    with pytest.raises(ConfigError, match=r"--tile 32 --overlap 0.2: some 102400 tiles of .*large.png, each"):
        check_number_of_tiles(photos, 32, 0.2)


def test_so_many_tiles_that_a_video_takes_years_are_refused(tmp_path):
    """1024 x 1000 pixels in steps of 1 are some million tiles."""
    with VideoWriter(tmp_path / "large.mp4", Fraction(25), Fraction(1, 25)) as movie:
        movie.add(Frame(0, Fraction(0), np.zeros((1000, 1024, 3), np.uint8)))
    (tmp_path / "cut.mp4").write_bytes(b"")
    videos = [InputPhoto(tmp_path / name, name) for name in ("cut.mp4", "large.mp4")]
    check_number_of_tiles([], 32, 0.2, videos)
    with pytest.raises(ConfigError, match=r"some 1024000 tiles of .*large.mp4, each"):
        check_number_of_tiles([], 32, 0.99, videos)


@settings(max_examples=300)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(32, 120), st.floats(0, 0.95))
def test_tiles_cover_the_photo_and_whatever_fits_the_overlap_is_whole_in_one(height, width, tile, overlap):
    grid = tile_grid(height, width, tile, overlap)
    assert (grid >= 0).all()
    assert (grid[:, 2] <= width).all() and (grid[:, 3] <= height).all()
    assert (grid[:, 2:] - grid[:, :2] == (min(tile, width), min(tile, height))).all()
    covered = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in grid:
        covered[y0:y1, x0:x1] = True
    assert covered.all()
    for axis, side in ((0, width), (1, height)):
        part = max(1, min(side, int(np.ceil(tile * overlap - 1e-9))))
        starts = np.arange(side - part + 1)[:, None]
        assert ((grid[:, axis] <= starts) & (starts + part <= grid[:, axis + 2])).any(axis=1).all()


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (31, 0.2, "--tile 31: a tile has at least 32 pixels a side"),
        (-1, 0.2, "--tile -1"),
        (96, 1.0, "--overlap 1: a share from 0 to below 1 is wanted"),
        (96, -0.1, "--overlap -0.1"),
        (96, float("nan"), "--overlap nan"),
    ],
)
def test_tiles_that_cannot_be(tile, overlap, message):
    with pytest.raises(ConfigError, match=message):
        TiledPredictor(Eye(), tile, overlap)
