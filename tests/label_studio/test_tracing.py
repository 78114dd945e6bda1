"""Brush masks traced by OpenCV, as BRUSH_TO_COCO does, and back."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from campus_seg.label_studio.tracing import LONG, fill_tracing, find_brushed, is_tracing


def trace(mask):
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [outline[:, 0].astype(float) for outline in outlines]


def blot(seed, spread, share):
    """A mask of soft blots, its holes filled."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).random((50, 70)).astype(np.float32), (0, 0), spread)
    mask = np.zeros(field.shape, np.uint8)
    for ring in trace(field > np.quantile(field, share)):
        cv2.fillPoly(mask, [ring.astype(np.int32)], 1)
    return mask


@given(st.integers(0, 2**32 - 1), st.floats(0.8, 5), st.floats(0.5, 0.98))
def test_a_traced_mask_comes_back_to_the_pixel(seed, spread, share):
    mask = blot(seed, spread, share)
    rings = trace(mask)
    assert all(is_tracing(ring) for ring in rings)
    filled = [coco_mask.decode(fill_tracing(ring, 70, 50)) for ring in rings]
    np.testing.assert_array_equal(np.max(filled, axis=0), mask)


@pytest.mark.parametrize("ring", [[[5, 5]], [[5, 5], [9, 5]], [[5, 5], [5, 9], [9, 9], [9, 5]]])
def test_pixels_lines_and_boxes(ring):
    assert is_tracing(np.array(ring, dtype=float))
    low, high = np.min(ring, axis=0), np.max(ring, axis=0) + 1
    expected = np.zeros((20, 20), np.uint8)
    expected[low[1] : high[1], low[0] : high[0]] = 1
    np.testing.assert_array_equal(coco_mask.decode(fill_tracing(np.array(ring), 20, 20)), expected)


@pytest.mark.parametrize(
    "ring",
    [
        [[5, 5], [19, 8], [8, 19]],  # no straight edges
        [[5.5, 5], [5.5, 9], [9, 9], [9, 5]],  # no whole pixels
        [[5, 5], [9, 5], [9, 9], [5, 9]],  # the other way round
        [[5, 9], [9, 9], [9, 5], [5, 5]],  # another start
        [[5, 5], [5, 7], [5, 9], [9, 9], [9, 5]],  # a point that says nothing
        [[0, 0], [0, 40000], [40000, 40000], [40000, 0]],  # too large to be drawn
    ],
)
def test_what_people_draw_is_no_tracing(ring):
    assert not is_tracing(np.array(ring, dtype=float))


def test_short_tracings_count_among_long_ones_alone():
    long = max(trace(blot(3, 2, 0.5)), key=len)
    assert len(long) >= LONG
    short, drawn = np.array([[5.0, 5], [5, 9], [9, 9], [9, 5]]), np.array([[5.0, 5], [19, 8], [8, 19]])
    assert find_brushed([long, short]) == [True, True]
    assert find_brushed([short, short]) == [False, False]
    assert find_brushed([long, short, drawn]) == [True, False, False]
