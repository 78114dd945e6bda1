"""Precision, recall and F1 over thresholds, against counting the pairs at each of them anew."""

import numpy as np
import pytest
from brute_matching import by_brute_force
from random_sets import random_set

from campus_seg.errors import ConfigError
from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.thresholds import (
    GRID,
    NO_OBJECT,
    NONE_RIGHT,
    OtherModelError,
    Ranking,
    best_threshold,
    rank,
    read_thresholds,
    score_curve,
    write_thresholds,
)


def ranking_of(scores, right, objects):
    ones = np.ones(len(scores), int)
    return Ranking(np.array(scores, float), np.array(right, bool), ones, np.ones(objects, int))


def counted(truth, predictions, label, threshold):
    """Detections that count, those that are right, and objects."""
    kept = right = 0
    for image in truth["images"]:
        for place, of in by_brute_force(truth, predictions, image["id"], threshold, across=False).items():
            if predictions[place]["category_id"] == label:
                kept += 1
                right += of is not None
    return kept, right, sum(a["category_id"] == label and not a["iscrowd"] for a in truth["annotations"])


@pytest.mark.parametrize("seed", [1, 2, 7, 11, 15])
def test_against_counting(seed):
    truth, predictions = random_set(seed)
    photos = match_photos(truth, predictions)
    ranking = rank(photos, [photo.pair(across_classes=False) for photo in photos])
    for label in [category["id"] for category in truth["categories"]]:
        own = ranking.of(label)
        curve, best = score_curve(own), best_threshold(own)
        for place in (0, 30, 50, 85, 100):
            kept, right, objects = counted(truth, predictions, label, GRID[place])
            assert curve["precision"][place] == (pytest.approx(right / kept) if kept and objects else None)
            assert curve["recall"][place] == (pytest.approx(right / objects) if objects else None)
            assert curve["f1"][place] == (pytest.approx(2 * right / (kept + objects)) if objects else None)
        scores = {p["score"] for p in predictions if p["category_id"] == label}
        f1 = []
        for threshold in scores:
            kept, right, objects = counted(truth, predictions, label, threshold)
            f1.append(2 * right / (kept + objects) if objects else 0)
        if best["threshold"] is None:
            assert max(f1, default=0) == 0 and best["reason"]
            continue
        assert best["f1"] == pytest.approx(max(f1)) and best["reason"] is None
        kept, right, objects = counted(truth, predictions, label, best["threshold"])
        assert (best["precision"], best["recall"]) == pytest.approx((right / kept, right / objects))
        assert best["f1"] == pytest.approx(2 * right / (kept + objects))


@pytest.mark.parametrize(
    "scores, right, objects, threshold, f1",
    [
        ([0.9, 0.8, 0.4], [1, 1, 0], 2, 0.6, 1.0),  # halfway between 0.8 and 0.4
        ([0.9, 0.8, 0.8, 0.4], [1, 1, 0, 0], 2, 0.6, 0.8),  # equal scores stay together: 2 * 2 / (3 + 2)
        ([0.9, 0.5, 0.3], [1, 0, 1], 2, 0.3, 0.8),  # all of them: what is below 0.3 was not judged
        ([0.9, 0.6, 0.5, 0.4], [1, 0, 0, 1], 2, 0.75, 2 / 3),  # as good with all four, and the higher one counts
    ],
)
def test_best_threshold(scores, right, objects, threshold, f1):
    best = best_threshold(ranking_of(scores, right, objects))
    assert (best["threshold"], best["f1"]) == pytest.approx((threshold, f1))


@pytest.mark.parametrize(
    "scores, right, objects, reason",
    [([], [], 0, NO_OBJECT), ([0.9], [0], 0, NO_OBJECT), ([], [], 3, NONE_RIGHT), ([0.9], [0], 3, NONE_RIGHT)],
)
def test_a_class_without_a_best_threshold_says_why(scores, right, objects, reason):
    ranking = ranking_of(scores, right, objects)
    nothing = dict.fromkeys(("threshold", "f1", "precision", "recall"))
    assert best_threshold(ranking) == {**nothing, "reason": reason}
    curve = score_curve(ranking)
    assert curve["recall"] == [0.0 if objects else None] * 101 and curve["f1"] == [0.0 if objects else None] * 101
    assert curve["precision"] == ([0.0] * 91 + [None] * 10 if scores and objects else [None] * 101)


def test_the_file(tmp_path):
    write_thresholds(tmp_path, "campus_val", {"car": {"threshold": 0.25}, "dog": {"threshold": None, "reason": "…"}})
    assert read_thresholds(tmp_path, model="of which the file does not say") == {"car": 0.25, "dog": None}


def test_thresholds_of_other_weights(tmp_path):
    write_thresholds(tmp_path, "campus_val", {"car": {"threshold": 0.25}}, "0123")
    assert read_thresholds(tmp_path) == read_thresholds(tmp_path, "0123", ["car"]) == {"car": 0.25}
    with pytest.raises(
        OtherModelError, match=r"thresholds.json: these .* other weights; evaluate the run .*--eval-only"
    ):
        read_thresholds(tmp_path, "4567")
    with pytest.raises(ConfigError, match=r"thresholds.json: has a class car, the model knows dog, bench"):
        read_thresholds(tmp_path, "0123", ["dog", "bench"])


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "[]",
        '"x"',
        '{"classes": []}',
        '{"classes": {"car": 1}}',
        '{"classes": {"car": {"threshold": "x"}}}',
        '{"classes": {"car": {"threshold": 7}}}',
    ],
)
def test_a_file_that_cannot_be_used(content, tmp_path):
    if content is not None:
        (tmp_path / "thresholds.json").write_text(content)
    with pytest.raises(ConfigError, match=r"thresholds.json: .*--eval-only"):
        read_thresholds(tmp_path)
