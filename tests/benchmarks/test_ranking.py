"""What is made of the curves of two orders, by hand, and which labels are uncovered; models are stood in for."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import get_cfg

from campus_seg.active_learning.order import order_photos
from campus_seg.active_learning.uncertainty import Look
from campus_seg.atomic_writes import write_json
from campus_seg.benchmarks import ranking
from campus_seg.benchmarks.curves import Point
from campus_seg.benchmarks.ranking import Stage, compare, draw_curves, table, uncover
from campus_seg.data.datasets import coco_file


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


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Photos 1 to 5 with objects of two classes, and what stands in for a training finds on the disk as it begins."""
    classes = {1: [1, 1], 2: [2], 3: [], 4: [1, 2], 5: [2]}
    pairs = [(image, category) for image, own in classes.items() for category in own]
    annotations = [
        {"id": i, "image_id": image, "category_id": category} for i, (image, category) in enumerate(pairs, 1)
    ]
    images = [{"id": image, "file_name": f"{image}.jpg"} for image in classes]
    categories = [{"id": 1, "name": "bench"}, {"id": 2, "name": "car"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    write_json(coco_file(tmp_path, "train"), coco)
    seen = []

    class Arm:
        def __init__(self, cfg, checkpoint):
            found = json.loads(coco_file(Path(cfg.OUTPUT_DIR), "train").read_bytes())
            ids = [{one["id"] for one in found[key]} for key in ("images", "annotations", "categories")]
            seen.append((cfg.SEED, checkpoint, *ids))
            self.model, self.curve = "model", [Point(0, 0, 0)]

        def stretch(self, iterations):
            self.curve.append(Point(iterations, 1.0, 40.0 + iterations))

    monkeypatch.setattr(ranking, "Arm", Arm)
    cfg = get_cfg()
    cfg.OUTPUT_DIR, cfg.SOLVER.MAX_ITER = str(tmp_path), 7
    pool = ranking.Pool(cfg, {"known": 1})
    pool.seen = seen
    return pool


def test_a_model_learns_from_the_labelled_photos_alone(pool):
    assert pool.learn([1, 4], seed=3) == ("model", Stage(2, 4, 47.0))
    assert pool.learn([2, 3, 5], seed=4) == ("model", Stage(3, 2, 47.0))  # the others are there again
    checkpoint = {"known": 1}
    assert pool.seen == [(3, checkpoint, {1, 4}, {1, 2, 4, 5}, {1, 2}), (4, checkpoint, {2, 3, 5}, {3, 6}, {1, 2})]


def test_ranked_photos_are_those_of_the_command(pool, monkeypatch):
    rng = np.random.default_rng(0)
    looks = {photo: Look(*rng.uniform(0, 2, (3, 2)), rng.normal(size=4)) for photo in pool.photos}
    monkeypatch.setattr(pool, "_looks", lambda model: looks)
    for labelled, objects in (([1], [2, 0]), ([5, 1], [2, 1]), ([2, 5], [0, 2])):
        left = [photo for photo in pool.photos if photo not in labelled]
        known = [looks[photo].feature for photo in labelled]
        places = order_photos([looks[photo] for photo in left], known, np.array(objects), 5)
        wanted = [left[place.index] for place in places]
        assert pool.ranked("model", labelled, 2) == wanted[:2]
    monkeypatch.setattr(pool, "_looks", lambda model: {**looks, 3: Look(*np.full((3, 2), 9.0), looks[3].feature)})
    assert pool.ranked("model", [1], 1) == [3]
