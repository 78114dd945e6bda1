"""Predictions from files of both forms, and files that are none."""

import json

import pytest
from random_sets import random_set

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.predictions import read_predictions


def masked(truth, predictions):
    """What visualize.py writes of them: ids of its own, names, and a photo that the truth lacks."""
    images = [
        {**image, "id": 1000 - image["id"], "file_name": f"walk/{image['file_name']}"} for image in truth["images"]
    ]
    images.insert(0, {"id": 5000, "file_name": "another.jpg", "width": 9, "height": 9})
    categories = [{"id": 1000 - c["id"], "name": c["name"]} for c in truth["categories"]]
    annotations = [
        {
            **p,
            "id": i,
            "image_id": 1000 - p["image_id"],
            "category_id": 1000 - p["category_id"],
            "area": 5,
            "iscrowd": 0,
        }
        for i, p in enumerate(predictions, start=1)
    ]
    annotations.append({**annotations[0], "image_id": 5000})
    return {"images": images, "categories": categories, "annotations": annotations}


def write(tmp_path, content):
    path = tmp_path / "predictions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("seed", [1, 5])
def test_both_forms_say_the_same(seed, tmp_path):
    truth, predictions = random_set(seed)
    assert read_predictions(write(tmp_path, predictions), truth) == predictions
    assert read_predictions(write(tmp_path, masked(truth, predictions)), truth) == predictions


def with_(**changes):
    def change(truth, predictions):
        predictions[0] = {**predictions[0], **changes}
        return predictions

    return change


def with_class(truth, predictions):
    whole = masked(truth, predictions)
    whole["categories"].append({"id": 77, "name": "zebra"})
    return whole


def with_ids(key):
    def change(truth, predictions):
        whole = masked(truth, predictions)
        whole["annotations"][0][key] = 4000
        return whole

    return change


def without_photo(truth, predictions):
    whole = masked(truth, predictions)
    del whole["images"][1]
    return whole


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda truth, predictions: "", "no predictions"),
        (lambda truth, predictions: "[" * 100_000, "no predictions"),
        (lambda truth, predictions: {"images": []}, "no predictions .*categories"),
        (lambda truth, predictions: [{"image_id": 1}], "no predictions .*category_id"),
        (with_(score="high"), "no predictions .*score"),
        (with_(image_id=5000), "image_id 5000"),
        (with_(category_id=5000), "category_id 5000"),
        (with_(bbox=[1, 2]), "no score or no box"),
        (with_(segmentation={"size": [3, 4], "counts": "12"}), "not of the photo's size"),
        (with_(segmentation={"size": [120, 150], "counts": "12"}), "does not fill the photo"),
        (with_class, "has a class zebra"),
        (without_photo, "lacks the photo .*import/images"),
        (with_ids("category_id"), "category_id 4000"),
    ],
)
def test_files_that_cannot_be_used(change, said, tmp_path):
    truth, predictions = random_set(5)
    path = write(tmp_path, change(truth, predictions))
    with pytest.raises(EvaluationError, match=said) as raised:
        read_predictions(path, truth)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_predictions(tmp_path / "none.json", {})
