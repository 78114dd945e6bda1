"""The evaluation is compared on a small drawn set."""

import json

import numpy as np
import pytest
from pycocotools import mask as rle_tools

from campus_seg.benchmarks import evaluating
from campus_seg.benchmarks.evaluating import HEIGHT, OBJECTS, WIDTH, draw_set, furthest
from campus_seg.tools.benchmark import main


def test_the_sides_are_compared(tmp_path, capfd):
    argv = ["evaluate", "--photos", "4", "--detections", "50", "--repeats", "1", "--json", str(tmp_path / "e.json")]
    assert main(argv) == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert (figures["photos"], figures["objects"], figures["detections"]) == (4, 28, 50)
    sides = ["hotcoco", "pycocotools", "detectron2"]
    for section in ("seconds", "peak_mb", "AP"):
        assert list(figures[section]) == sides and min(figures[section].values()) > 0
    assert figures["largest_difference"] < 1e-6
    seconds = figures["seconds"]
    assert figures["ratios"] == {
        f"evaluate_vs_{side}": pytest.approx(seconds[side] / seconds["hotcoco"]) for side in sides[1:]
    }
    assert "evaluate_vs_pycocotools" in capfd.readouterr().out


@pytest.mark.parametrize(
    "other, apart",
    [
        ({"AP": 5.5, "APs": np.nan}, 0.5),
        ({"APs": np.nan, "AP": 5.0}, 0.0),
        ({"AP": np.nan, "APs": np.nan}, np.inf),
        ({"AP": 5.0, "APs": 1.0}, np.inf),
        ({"AP": 5.0}, np.inf),
    ],
)
def test_how_far_apart_two_sides_are(other, apart):
    assert furthest({"AP": 5.0, "APs": np.nan}, other) == apart
    assert furthest(other, {"AP": 5.0, "APs": np.nan}) == apart


def test_of_several_repeats_the_median_counts(tmp_path, monkeypatch):
    taken = {"hotcoco": [1.0, 3.0, 2.0], "pycocotools": [30.0, 20.0, 70.0]}
    results = {"hotcoco": {"AP": 40.0, "APs": np.nan}, "pycocotools": {"AP": 40.5, "APs": np.nan}}
    monkeypatch.setattr(evaluating, "_take_turns", lambda work, sides, repeats: (taken, {}, results))
    argv = ["evaluate", "--photos", "1", "--detections", "1", "--sides", "hotcoco", "pycocotools"]
    assert main([*argv, "--json", str(tmp_path / "e.json")]) == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert figures["seconds"] == {"hotcoco": 2.0, "pycocotools": 30.0}
    assert figures["ratios"] == {"evaluate_vs_pycocotools": 15.0}
    assert figures["largest_difference"] == 0.5


def test_the_drawn_set_is_what_it_is_said_to_be():
    classes = ("car", "dog", "person")
    truth, predictions = draw_set(30, 305, classes)
    assert draw_set(30, 305, classes) == (truth, predictions)
    assert len(truth["images"]) == len(predictions) == 30 and len(truth["annotations"]) == 30 * OBJECTS
    found = [instance for photo in predictions for instance in photo["instances"]]
    assert len(found) == 305 and {len(photo["instances"]) for photo in predictions} == {10, 11}
    assert {instance["category_id"] for instance in found} == {0, 1, 2}
    assert {annotation["category_id"] for annotation in truth["annotations"]} == {1, 2, 3}
    on_objects = right = 0
    for photo in predictions:
        known = [a for a in truth["annotations"] if a["image_id"] == photo["image_id"]]
        masks = [rle_tools.frPyObjects(a["segmentation"], HEIGHT, WIDTH)[0] for a in known]
        assert [a["area"] for a in known] == rle_tools.area(masks).tolist()
        ious = rle_tools.iou([instance["segmentation"] for instance in photo["instances"]], masks, [0] * len(known))
        for instance, row in zip(photo["instances"], ious, strict=True):
            best = int(row.argmax())
            on_objects += row[best] > 0.4
            right += row[best] > 0.4 and known[best]["category_id"] == instance["category_id"] + 1
    assert 0.65 < on_objects / 305 < 0.95
    assert 0.7 < right / on_objects < 0.98
