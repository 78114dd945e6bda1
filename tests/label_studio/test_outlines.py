"""Outlines that a person can edit, judged by the pixels that the import makes of them."""

import cv2
import numpy as np
import pytest
from drawn import ellipse_mask
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from campus_seg.label_studio.masks import encode_mask, mask_of_rings
from campus_seg.label_studio.outlines import CLOSE, cut_rings, editable_rings


def iou(rings, mask):
    height, width = mask.shape
    return coco_mask.iou([mask_of_rings(rings, width, height)], [encode_mask(mask)], [False])[0, 0]


def test_a_rectangle_is_its_four_corners():
    """Of pixels 3 … 9 and 5 … 24, the edges are at 3, 10, 5 and 25."""
    mask = np.zeros((20, 30), bool)
    mask[3:10, 5:25] = True
    (ring,) = editable_rings(mask)
    assert {tuple(point) for point in ring} == {(5, 3), (25, 3), (25, 10), (5, 10)}


def test_an_ellipse_needs_few_points_and_less_closeness_fewer():
    mask = ellipse_mask(300, 400, (150, 80))
    (ring,) = editable_rings(mask)
    (rough,) = editable_rings(mask, close=0.9)
    assert iou([ring], mask) >= CLOSE and iou([rough], mask) >= 0.9
    assert 8 <= len(ring) <= 20 and 4 <= len(rough) < len(ring)


def test_parts_are_rings_and_crumbs_are_left_out():
    mask = np.zeros((60, 100), bool)
    mask[10:50, 10:40] = mask[20:40, 60:90] = mask[5, 95] = True
    rings = editable_rings(mask)
    assert [cv2.contourArea(ring.astype(np.float32)) for ring in rings] == [1200, 600]
    assert iou(rings, mask) == pytest.approx(1800 / 1801)


def test_holes_that_count_are_no_outline_and_small_ones_are_filled():
    holed = ellipse_mask(100, 120, (50, 40), hole=15)
    assert editable_rings(holed) is None
    rings = cut_rings(holed)
    assert len(rings) >= 2 and iou(rings, holed) >= CLOSE
    pierced = ellipse_mask(100, 120, (50, 40), hole=2)
    (ring,) = editable_rings(pierced)
    assert iou([ring], pierced) >= CLOSE


def test_a_hole_of_one_pixel_is_cut_between_pixels():
    """COCO would lose a pixel that is cut in two."""
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    rings = cut_rings(mask)
    assert iou(rings, mask) == 1 and np.array_equal(np.concatenate(rings), np.concatenate(rings).round())


@settings(max_examples=60)
@example(10573, 4, 8, 0)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 3, 9]))
def test_any_mask_has_outlines_that_are_close(seed, height, width, blur):
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    mask = (cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise) > 0.5
    mask[height // 2, width // 2] = True
    assert iou(editable_rings(mask) or cut_rings(mask), mask) >= CLOSE - 1e-9
