"""Ids and outlines against whole masks."""

import cv2
import numpy as np
import pytest

from campus_seg.inference import regions
from campus_seg.inference.regions import Region
from campus_seg.inference.scene import Outline, Scene


def blobs(count, shape, seed=0):
    """Tight regions of random shape."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        noise = cv2.resize(rng.random((6, 8)), shape[::-1], interpolation=cv2.INTER_CUBIC)
        x, y, width, height = (int(v) for v in rng.integers(0, 20, 4) + (0, 0, 10, 10))
        mask = noise[y : y + height, x : x + width] > 0.5
        region = Region(x, y, mask).tight()
        found += [region] if region.area else []
    return found


@pytest.mark.parametrize("band", [1, 50, 1 << 18])
def test_ids_are_those_of_painting_from_back_to_front(monkeypatch, band):
    monkeypatch.setattr(regions, "BAND", band)
    shape = (50, 60)
    objects = blobs(30, shape)
    expected = np.zeros(shape, int)
    for i in reversed(range(30)):
        expected[objects[i].full(shape)] = i + 1
    scene = Scene(shape)
    assert [scene.add(region) for region in objects] == list(range(1, 31))
    assert scene.ids.dtype == np.uint16
    assert np.array_equal(scene.ids, expected)


def test_ids_beyond_a_byte():
    scene = Scene((20, 20), with_outlines=False)
    for i in range(300):
        scene.add(Region(i % 20, i // 20, np.ones((1, 1), bool)))
    assert scene.ids[14, 19] == 300


def test_only_what_is_asked_for_is_kept():
    region = Region(1, 2, np.ones((3, 4), bool))
    scene = Scene((10, 10), with_ids=False)
    assert scene.add(region) == 1
    assert scene.ids is None
    assert len(scene.outlines) == 1
    scene = Scene((10, 10), with_outlines=False)
    assert [scene.add(region), scene.add(region)] == [1, 2]
    assert scene.outlines is None


def test_an_outline_by_hand():
    # the first row's middle is column (1 + 2) / 2 = 1 of the mask, the last row's column 3
    mask = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]], bool)
    outline = Outline.of(Region(5, 7, mask))
    assert outline.box == (5, 7, 9, 10)
    assert (outline.top, outline.bottom) == (6, 8)
    (contour,) = outline.contours
    assert contour[:, 0].min(axis=0).tolist() == [5, 7]
    assert contour[:, 0].max(axis=0).tolist() == [8, 9]


def test_contours_filled_again_are_the_mask_and_its_holes():
    for region in [*blobs(20, (50, 60), seed=1), Region(0, 0, np.pad(np.zeros((4, 4), bool), 3, constant_values=True))]:
        picture = np.zeros((60, 70), np.uint8)
        cv2.drawContours(picture, Outline.of(region).contours, -1, 1, cv2.FILLED)  # even-odd, with its border
        edges = np.zeros_like(picture)
        cv2.drawContours(edges, Outline.of(region).contours, -1, 1, 1, cv2.LINE_8)
        full = region.full(picture.shape)
        assert np.array_equal(picture.astype(bool) | full, picture | edges > 0)
        assert not (full & ~picture.astype(bool)).any()
