"""Mask quality against distances in pixels."""

import numpy as np
import pytest
from brute_matching import by_brute_force, overlap, pixels
from pycocotools import mask as rle_tools
from random_sets import random_set
from scipy.ndimage import distance_transform_cdt

from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.quality import PairQuality, boundary_iou, pair_quality


def by_distance(one, other):
    """Boundary IoU of two (H, W) bool masks: what is at most 2 % of the diagonal from the outside, as a king walks."""
    reach = round(0.02 * np.hypot(*one.shape))
    bands = [
        mask & (distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1] <= reach) for mask in (one, other)
    ]
    return (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()


def encoded(mask):
    return rle_tools.encode(np.asfortranarray(mask, np.uint8))


def test_squares():
    """On 300 x 400 pixels the bands are 10 wide: of a square of 60, and of one of 50 in its middle."""
    one, other = np.zeros((2, 300, 400), bool)
    one[100:160, 100:160] = True
    other[105:155, 105:155] = True
    in_both = 50**2 - 40**2
    in_either = 60**2 - 30**2
    assert boundary_iou(encoded(one), encoded(other)) == pytest.approx(in_both / in_either)
    assert boundary_iou(encoded(one), encoded(one)) == 1
    assert boundary_iou(encoded(one), encoded(~one)) == 0


def test_the_photos_edge_is_an_outline():
    whole = np.ones((300, 400), bool)
    most = whole.copy()
    most[:, 380:] = False
    assert boundary_iou(encoded(whole), encoded(most)) == pytest.approx(by_distance(whole, most))


@pytest.mark.parametrize("seed", range(1, 14, 2))
def test_pairs(seed):
    truth, predictions = random_set(seed)
    photos = match_photos(truth, predictions)
    quality = pair_quality(photos, [photo.pair(across_classes=False) for photo in photos])
    expected = []
    annotations = {annotation["id"]: annotation for annotation in truth["annotations"]}
    for image in truth["images"]:
        for place, of in by_brute_force(truth, predictions, image["id"], across=False).items():
            if of is not None:
                pair = predictions[place], annotations[of]
                values = overlap(*pair), by_distance(*map(pixels, pair))
                expected.append((annotations[of]["category_id"], *values))
    ours = zip(quality.labels.tolist(), quality.ious.tolist(), quality.boundary_ious.tolist(), strict=True)
    assert [pytest.approx(row) for row in sorted(ours)] == sorted(expected)
    for label in {row[0] for row in expected}:
        own = [row for row in expected if row[0] == label]
        means = {"iou": np.mean([row[1] for row in own]), "boundary_iou": np.mean([row[2] for row in own])}
        assert quality.mean(label) == pytest.approx({"pairs": len(own), **means})


def test_without_pairs():
    nothing = PairQuality(np.zeros(0, int), np.zeros(0), np.zeros(0))
    assert nothing.mean() == nothing.mean(3) == {"pairs": 0, "iou": None, "boundary_iou": None}
