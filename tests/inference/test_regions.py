"""Regions against their whole masks and pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as mask_util

from campus_seg.inference import regions
from campus_seg.inference.regions import Region, row_bands


@settings(max_examples=300)
@given(
    mask=arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 5))),
    x=st.integers(0, 3),
    y=st.integers(0, 3),
    right=st.integers(0, 3),
    below=st.integers(0, 3),
    band=st.sampled_from([1, 7, 1 << 18]),
)
def test_a_region_is_its_full_mask(mask, x, y, right, below, band):
    shape = (y + mask.shape[0] + below, x + mask.shape[1] + right)
    full = np.zeros(shape, bool)
    full[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    for region in (Region(x, y, mask), Region(x, y, mask).tight()):
        assert np.array_equal(region.full(shape), full)
        assert region.area == full.sum()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(regions, "BAND", band)
            rle = region.rle(shape)
        whole = mask_util.encode(np.asfortranarray(full.astype(np.uint8)))
        assert np.array_equal(mask_util.decode(rle), full)
        assert rle == {"size": list(shape), "counts": whole["counts"].decode()}
    if full.any():
        assert list(Region(x, y, mask).tight().bbox) == mask_util.toBbox(whole).tolist()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 3), [(0, 2), (2, 4), (4, 5)]),
        ((2, 3), [(0, 2)]),
        ((2, 100, 4), [(0, 1), (1, 2)]),  # a row at least
        ((2, 0), [(0, 2)]),
        ((0, 3), []),
    ],
)
def test_bands_are_every_row_once(monkeypatch, shape, expected):
    monkeypatch.setattr(regions, "BAND", 7)
    assert [(band.start, band.stop) for band in row_bands(shape)] == expected


def test_a_large_mask_has_the_rle_of_pycocotools():
    rng = np.random.default_rng(0)
    coarse = rng.random((30, 40)) > 0.6
    mask = np.kron(coarse, np.ones((50, 50), bool)) ^ (rng.random((1500, 2000)) > 0.999)
    whole = mask_util.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert Region(0, 0, mask).rle(mask.shape)["counts"] == whole["counts"].decode()
