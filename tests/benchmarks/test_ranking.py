"""What is made of the curves of two orders, by hand, and which labels are uncovered; models are stood in for."""

import argparse

import pytest

from campus_seg.benchmarks import ranking
from campus_seg.benchmarks.ranking import Stage, compare, draw_curves, table, uncover


def curve(*points):
    """(objects, AP) with 10, 20 … labelled photos."""
    return [Stage(10 * i, objects, ap) for i, (objects, ap) in enumerate(points, start=1)]


CURVES = {
    "random": [curve((30, 10), (60, 12), (90, 16)), curve((30, 12), (60, 16), (90, 18))],  # means 11, 14, 17
    "ranked": [curve((30, 10), (70, 15), (130, 19)), curve((30, 12), (90, 19), (150, 20))],  # means 11, 17, 19.5
}


def test_the_orders_are_compared_by_the_means_of_the_seeds():
    # Ranked, 17 is reached with 20 photos and (70 + 90) / 2 objects, at random with 30 photos and 90 objects.
    assert compare(CURVES) == {
        "rank_photos_to_same_ap": pytest.approx(20 / 30),
        "rank_objects_to_same_ap": pytest.approx(80 / 90),
        "rank_ap_gain": pytest.approx((3 + 2.5) / 2),
    }
    assert table(CURVES).splitlines()[2:] == [
        "| 10 | 30 / 30 | 11.0 (10.0 to 12.0) | 11.0 (10.0 to 12.0) | 10 |",
        "| 20 | 60 / 80 | 14.0 (12.0 to 16.0) | 17.0 (15.0 to 19.0) | 15 |",  # half of the way from 11 to 17
        "| 30 | 90 / 140 | 17.0 (16.0 to 18.0) | 19.5 (19.0 to 20.0) | 20 |",
    ]


def test_what_ranking_never_reaches_has_no_share():
    worse = {"random": CURVES["ranked"], "ranked": CURVES["random"]}
    assert compare(worse) == {"rank_ap_gain": pytest.approx(-2.75)}
    assert table(worse).splitlines()[-1].endswith("| more |")


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_the_curves_are_drawn(name, tmp_path):
    draw_curves(CURVES, tmp_path / "new" / name)
    start = (tmp_path / "new" / name).read_bytes()[:5]
    assert start in (b"\x89PNG\r", b"<?xml")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


class StandIn:
    """A pool of 20 photos whose models are what they have learned from."""

    photos = list(range(100, 120))

    def learn(self, labelled, seed):
        assert len(set(labelled)) == len(labelled)
        return tuple(labelled), Stage(len(labelled), 3 * len(labelled), float(seed))

    def ranked(self, model, labelled, count):
        assert model == tuple(labelled)
        return [photo for photo in self.photos if photo not in labelled][:count]


def test_both_orders_start_alike_and_uncover_as_many():
    learned = []
    pool, args = StandIn(), argparse.Namespace(start=4, step=3, rounds=2)
    pool.learn, learn = lambda labelled, seed: learned.append(list(labelled)) or learn(labelled, seed), pool.learn
    curves = uncover(pool, 7, args, lambda: None)
    assert [[stage.photos for stage in curves[name]] for name in ranking.ORDERS] == [[4, 7, 10]] * 2
    first, *random, _, ranked = learned
    assert len(learned) == 5 and [each[:4] for each in learned] == [first] * 5
    assert random[1][:7] == random[0]
    assert ranked[4:] == [photo for photo in pool.photos if photo not in first][:6]
    other = []
    pool.learn = lambda labelled, seed: other.append(list(labelled)) or learn(labelled, seed)
    uncover(pool, 8, args, lambda: None)
    assert other[0] != first
