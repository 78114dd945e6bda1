"""Masks as RLE, against pycocotools and numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from campus_seg.label_studio.masks import (
    checked_rle,
    encode_mask,
    mask_of_rings,
    merge_masks,
    resized_mask,
    rle_runs,
)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_rle_runs(seed, share):
    mask = np.random.default_rng(seed).random((40, 50)) < share
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()  # the first run is of zeros
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert rle_runs(rle["counts"].decode()) == np.diff([0, *edges, flat.size]).tolist()


@pytest.mark.parametrize("counts", ["ü", "12 3", "1o", "p"])
def test_strings_that_are_no_rle(counts):
    with pytest.raises(ValueError):
        rle_runs(counts)


def test_joined_masks():
    first, second = np.zeros((2, 20, 30), bool)
    first[2:8, 3:9] = second[5:12, 7:20] = True
    merged = merge_masks([encode_mask(first), encode_mask(second)])
    np.testing.assert_array_equal(coco_mask.decode(merged), first | second)
    assert merged["size"] == [20, 30] and isinstance(merged["counts"], str)


def test_rings_become_a_mask_however_far_they_lead():
    far = np.array([[-1e8, 5], [1e8, 5], [1e8, 15], [-1e8, 15]])
    own = np.array([[3.0, 0], [6, 0], [6, 5], [3, 5]])
    expected = np.zeros((20, 30), bool)
    expected[5:15] = expected[0:5, 3:6] = True
    np.testing.assert_array_equal(coco_mask.decode(mask_of_rings([far, own], 30, 20)), expected)
    assert not coco_mask.decode(mask_of_rings([far + (0, 100)], 30, 20)).any()


def test_a_mask_at_another_size():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    larger = resized_mask(encode_mask(mask), 18, 12)
    np.testing.assert_array_equal(coco_mask.decode(larger), mask.repeat(3, axis=0).repeat(3, axis=1))
    np.testing.assert_array_equal(coco_mask.decode(resized_mask(larger, 6, 4)), mask)


@pytest.mark.parametrize(
    "rle, message",
    [
        ({"size": [4, 7], "counts": [28]}, "not of the photo's size"),
        ({"size": [4, 6], "counts": 24}, "not of the photo's size"),
        ({"counts": [24]}, "not of the photo's size"),
        ({"size": [4, 6], "counts": [23]}, "does not fill"),
        ({"size": [4, 6], "counts": [30, -6]}, "does not fill"),
        ({"size": [4, 6], "counts": [24.0]}, "does not fill"),
        ({"size": [4, 6], "counts": "ü"}, "does not occur"),
    ],
)
def test_rles_that_are_none(rle, message):
    with pytest.raises(ValueError, match=message):
        checked_rle(rle, 6, 4)
