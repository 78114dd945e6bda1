"""Calibration by hand, and against hotcoco's, which takes no other way to it than its own matches."""

import contextlib
import io

import hotcoco
import numpy as np
import pytest
from random_sets import random_set

from campus_seg.evaluation.calibration import calibration
from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.thresholds import Ranking, rank


def test_by_hand():
    scores, right = [1.0, 0.9, 0.75, 0.7, 0.7, 0.05], [1, 0, 1, 1, 0, 0]
    ones = np.ones(6, int)
    result = calibration(Ranking(np.array(scores), np.array(right, bool), ones, ones))
    bins = {entry["low"]: entry for entry in result["bins"]}
    assert bins[0.9] == {"low": 0.9, "high": 1.0, "detections": 2, "score": pytest.approx(0.95), "right": 0.5}
    assert bins[0.7] == {
        **{"low": 0.7, "high": 0.8, "detections": 3},
        **{"score": pytest.approx(2.15 / 3), "right": pytest.approx(2 / 3)},
    }
    assert bins[0.2] == {"low": 0.2, "high": 0.3, "detections": 0, "score": None, "right": None}
    assert result["ece"] == pytest.approx((2 * 0.45 + 3 * (2.15 - 2) / 3 + 0.05) / 6)


def test_without_detections():
    nothing = Ranking(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), np.ones(3, int))
    result = calibration(nothing)
    assert result["ece"] is None and len(result["bins"]) == 10


def test_without_objects():
    wrong = Ranking(np.array([0.8]), np.zeros(1, bool), np.ones(1, int), np.zeros(0, int))
    assert calibration(wrong) == {"ece": None, "bins": []}


@pytest.mark.parametrize("seed", range(1, 30, 2))
def test_against_hotcoco(seed):
    truth, predictions = random_set(seed)
    photos = match_photos(truth, predictions)
    result = calibration(rank(photos, [photo.pair(across_classes=False) for photo in photos]))
    with contextlib.redirect_stdout(io.StringIO()):
        known = hotcoco.COCO(truth)
        keys = ("image_id", "category_id", "score", "segmentation")
        evaluation = hotcoco.COCOeval(known, known.load_res([{k: p[k] for k in keys} for p in predictions]), "segm")
        evaluation.evaluate()
    expected = evaluation.calibration()
    if all(annotation["iscrowd"] for annotation in truth["annotations"]):
        assert result == {"ece": None, "bins": []} and expected["ece"] > 0  # what nothing can be said about
        return
    assert result["ece"] == pytest.approx(expected["ece"])
    for ours, theirs in zip(result["bins"], expected["bins"], strict=True):
        assert ours["detections"] == theirs["count"]
        assert (ours["score"] or 0, ours["right"] or 0) == pytest.approx(
            (theirs["avg_confidence"], theirs["avg_accuracy"])
        )
