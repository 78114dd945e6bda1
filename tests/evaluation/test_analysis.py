"""The parts of an analysis fit together, and what cannot be said is null, with a reason, and never NaN."""

import json
from collections import Counter

import pytest
from random_sets import random_set

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.analysis import analyse
from campus_seg.evaluation.cocoeval import coco_figures
from campus_seg.evaluation.error_split import KINDS
from campus_seg.evaluation.thresholds import NO_OBJECT


@pytest.mark.parametrize("seed", range(1, 16))
def test_the_parts_fit_together(seed):
    truth, predictions = random_set(seed)
    result = json.loads(json.dumps(analyse(truth, predictions, dataset="photos"), allow_nan=False))
    known = [a for a in truth["annotations"] if not a["iscrowd"]]
    assert (result["photos"], result["objects"], result["detections"]) == (
        *(len(truth["images"]), len(known)),
        sum(entry["detections"] for entry in result["by_class"]),
    )
    groups = Counter((p["image_id"], p["category_id"]) for p in predictions)
    assert result["detections"] == sum(min(count, 100) for count in groups.values())
    names = {category["id"]: category["name"] for category in truth["categories"]}
    assert result["classes"] == [names[label] for label in sorted(names)] == [c["name"] for c in result["by_class"]]
    assert result["thresholds"]["chosen_on"] == "photos"
    matrix = result["confusion"]["matrix"]
    for place, entry in enumerate(result["by_class"]):
        objects = sum(names[a["category_id"]] == entry["name"] for a in known)
        assert entry["objects"] == objects == sum(matrix[place]) == entry["accuracy"]["objects"]
        assert entry["at_thresholds"]["found"] == matrix[place][place] <= entry["accuracy"]["found"]
        assert sum(size["found"] for size in entry["sizes"].values()) == matrix[place][place]
        assert entry["quality"]["pairs"] == entry["accuracy"]["found"]
        wrong = sum(entry["errors"]["counts"][kind] for kind in KINDS if kind != "missed")
        counted = sum(each["detections"] for each in entry["calibration"]["bins"])
        if objects:
            assert wrong + entry["accuracy"]["found"] == counted <= entry["detections"]
        else:
            assert set(map(tuple, entry["curve"].values())) == {(None,) * 101}
            assert entry["calibration"] == {"ece": None, "bins": []}
            assert entry["reason"] == entry["best"]["reason"] == NO_OBJECT
            assert set(entry["figures"]["segm"].values()) == {None} and entry["precision_recall"] is None
            assert entry["accuracy"]["share"] is None
        if entry["best"]["threshold"] is not None:
            assert entry["reason"] is None
            assert entry["best"]["recall"] == pytest.approx(matrix[place][place] / objects)
            assert result["thresholds"]["by_class"][entry["name"]] == entry["best"]["threshold"]
            assert entry["curve"]["recall"][0] == pytest.approx(entry["accuracy"]["share"])
    assert result["accuracy"]["found"] == sum(entry["accuracy"]["found"] for entry in result["by_class"])
    assert result["errors"]["counts"]["missed"] == sum(e["errors"]["counts"]["missed"] for e in result["by_class"])
    for task in ("bbox", "segm"):
        figures = result["figures"][task]
        for name, value in zip(figures, coco_figures(truth, predictions, task).stats, strict=True):
            assert figures[name] == (pytest.approx(100 * value) if value >= 0 else None)
        for name in ("AP", "AP50", "AP75"):
            values = [entry["figures"][task][name] for entry in result["by_class"]]
            values = [value for value in values if value is not None]
            assert figures[name] == (pytest.approx(sum(values) / len(values)) if values else None)
    for entry in result["by_class"]:
        if entry["objects"]:
            assert sum(entry["precision_recall"]["0.50"]) / 1.01 == pytest.approx(entry["figures"]["segm"]["AP50"])
            assert sum(entry["precision_recall"]["mean"]) / 1.01 == pytest.approx(entry["figures"]["segm"]["AP"])


@pytest.mark.parametrize("objects, detections", [(False, True), (True, False), (False, False)])
def test_nothing_to_find_or_nothing_found(objects, detections):
    truth, predictions = random_set(7)
    result = analyse(
        {**truth, "annotations": truth["annotations"] if objects else []}, predictions if detections else []
    )
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text) == result
    assert result["accuracy"]["share"] == (0.0 if objects else None)
    assert result["figures"]["segm"]["AP"] == (0.0 if objects else None)
    assert (result["calibration"]["ece"] is None) == (not (objects and detections))
    assert result["quality"] == {"pairs": 0, "iou": None, "boundary_iou": None}
    assert (result["errors"]["costs"] is None) == (not objects)
    assert all(entry["best"]["threshold"] is None and entry["best"]["reason"] for entry in result["by_class"])
    assert set(result["thresholds"]["by_class"].values()) == {0.5}


def test_thresholds_of_other_photos():
    truth, predictions = random_set(7)
    first, *others = sorted(category["id"] for category in truth["categories"])
    given = {f"class {first}": 0.9, **{f"class {label}": None for label in others}}
    result = analyse(truth, predictions, thresholds=given, chosen_on="campus_val")
    by_class = {f"class {first}": 0.9, **{f"class {label}": 0.5 for label in others}}
    assert result["thresholds"] == {"chosen_on": "campus_val", "by_class": by_class}
    column = [row[0] for row in result["confusion"]["matrix"]]
    assert sum(column) == sum(p["category_id"] == first and p["score"] >= 0.9 for p in predictions)


def flat(value):
    """Numbers, and None for what is not there, by where they stand."""
    if not isinstance(value, dict | list):
        return {"": value}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {f"{name}/{rest}": number for name, part in parts for rest, number in flat(part).items()}


def test_both_backends_say_the_same():
    truth, predictions = random_set(9)
    one, other = (analyse(truth, predictions, backend=backend) for backend in ("hotcoco", "pycocotools"))
    for task in ("bbox", "segm"):
        assert one["figures"][task] == pytest.approx(other["figures"][task])
    for entries in zip(one.pop("by_class"), other.pop("by_class"), strict=True):
        taken = [{key: entry.pop(key) for key in ("figures", "precision_recall")} for entry in entries]
        assert flat(taken[0]) == pytest.approx(flat(taken[1]))
        assert entries[0] == entries[1]
    del one["figures"], other["figures"]
    assert one == other


def test_predictions_of_other_photos():
    truth, predictions = random_set(9)
    with pytest.raises(EvaluationError):
        analyse(truth, [{**predictions[0], "image_id": 12345}])
