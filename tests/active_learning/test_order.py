"""Orders worked out by hand. Features are chosen such that their mean is zero: they are what they seem."""

import numpy as np
import pytest

from campus_seg.active_learning.order import NEAREST, NOTHING, distances, order_photos, unit_features
from campus_seg.active_learning.uncertainty import Look

EAST, NORTH, WEST, SOUTH = (np.array(each, np.float32) for each in ((1, 0), (0, 1), (-1, 0), (0, -1)))
SIDE = np.sqrt(0.5)  # of a right angle: half of sqrt(2)
NOBODY = np.zeros(2)


def look(bits, feature, found=(0, 0)):
    return Look(np.array(found, float), np.array(bits, float), np.zeros(2), feature)


def test_distances():
    features = np.stack([EAST, NORTH, WEST, (EAST + NORTH) * SIDE])
    assert distances(features, EAST) == pytest.approx([0, SIDE, 1, np.sin(np.pi / 8)], abs=1e-6)
    assert distances(np.zeros((2, 2)), np.zeros(2)).tolist() == [0, 0]


def test_features_are_compared_without_what_they_share():
    features = 3 * np.stack([EAST, NORTH, WEST, SOUTH]) + 100
    assert unit_features(features) == pytest.approx(np.stack([EAST, NORTH, WEST, SOUTH]), abs=1e-5)
    same = np.random.default_rng(0).normal(size=5).astype(np.float32)
    for count in range(2, 8):  # whatever is left by rounding
        assert unit_features(np.stack([same] * count)).tolist() == [[0] * 5] * count


def test_of_photos_that_are_alike_otherwise_the_least_sure_one_goes_first():
    looks = [look((1, 0), EAST), look((0, 3), NORTH), look((2, 0), WEST), look((0, 0), SOUTH)]
    places = order_photos(looks, [], NOBODY, limit=4)
    # North first (3 bits). Then the west counts 2 * SIDE, the east 1 * SIDE; at last nothing is found in the south.
    assert [place.index for place in places] == [1, 2, 0, 3]
    assert [place.distance for place in places] == pytest.approx([1, SIDE, SIDE, SIDE])
    assert [place.gain for place in places] == pytest.approx([3, 2 * SIDE, SIDE, NOTHING * SIDE], rel=1e-5)


def test_a_second_photo_of_the_same_scene_goes_after_all_others_in_which_something_is_found():
    looks = [look((5, 0), EAST), look((4.9, 0), EAST), look((1, 0), WEST), look((0.1, 0), NORTH), look((0, 0), SOUTH)]
    features = [WEST]  # labelled; with it the mean is zero again
    places = order_photos(looks, features, NOBODY, limit=5)
    assert [place.index for place in places] == [0, 3, 1, 2, 4]
    assert [place.gain for place in places[2:4]] == pytest.approx([4.9 * NEAREST, 1 * NEAREST])


@pytest.mark.parametrize("known", [[], [NORTH]])
def test_of_photos_that_are_all_alike_the_least_sure_one_goes_first(known):
    looks = [look((bits, 0), NORTH) for bits in (1, 3, 0, 2)]
    places = order_photos(looks, known, NOBODY, limit=4)
    assert [place.index for place in places] == [1, 3, 0, 2]
    assert [place.distance for place in places[1:]] == [0, 0, 0]


def test_rare_classes_go_first():
    looks = [look((2, 0), EAST), look((0, 1), WEST), look((0, 0), NORTH), look((0, 0), SOUTH)]
    # 2 / sqrt(8 + 1) < 1 / sqrt(1 + 1), and 2 / sqrt(2 + 1) > 1 / sqrt(1 + 1).
    assert order_photos(looks, [], np.array([8, 1]), limit=4)[0][:2] == pytest.approx((1, SIDE), rel=1e-5)
    assert order_photos(looks, [], np.array([2, 1]), limit=4)[0][:2] == pytest.approx((0, 2 / 3**0.5), rel=1e-5)


def test_a_class_is_less_rare_with_each_photo_taken():
    looks = [
        look((3, 0), EAST, found=(3, 0)),
        look((2, 0), WEST, found=(2, 0)),
        look((0, 1.5), NORTH, found=(0, 1)),
        look((0, 0), SOUTH),
    ]
    # After the first: 2 / sqrt(3 + 1) * 1 in the west, 1.5 * SIDE = 1.06 in the north.
    places = order_photos(looks, [], NOBODY, limit=4)
    assert [place.index for place in places] == [0, 2, 1, 3]
    # Then the west is a quarter turn from the north.
    assert [place.gain for place in places[:3]] == pytest.approx([3, 1.5 * SIDE, 1 * SIDE], rel=1e-5)


def test_beyond_the_limit_photos_follow_by_what_they_would_teach_then():
    scenes = [(5, WEST), (2, NORTH), (1.9, NORTH), (1, SOUTH), (0.5, SOUTH), (0.1, EAST)]
    looks = [look((bits, 0), feature) for bits, feature in scenes]
    one_by_one = order_photos(looks, [], NOBODY, limit=6)
    assert [place.index for place in one_by_one[:4]] == [0, 1, 3, 5]  # then the second photos of two scenes
    some = order_photos(looks, [], NOBODY, limit=1)
    assert [place.index for place in some] == [0, 1, 2, 3, 4, 5]
    assert some[:2] == one_by_one[:2]
    assert [place.gain for place in some[1:]] == pytest.approx([2 * SIDE, 1.9 * SIDE, SIDE, 0.5 * SIDE, 0.1], rel=1e-4)


def test_every_photo_has_a_place():
    rng = np.random.default_rng(0)
    looks = [look(rng.uniform(0, 1, 2), rng.normal(size=2).astype(np.float32), rng.uniform(0, 2, 2)) for _ in range(50)]
    for limit in (1, 20, 50, 100):
        places = order_photos(looks, [EAST, NORTH], np.array([4, 2]), limit)
        assert sorted(place.index for place in places) == list(range(50))
        gains = [place.gain for place in places[:limit]]
        assert gains == sorted(gains, reverse=True)  # what is taken lowers the others, and raises none
