"""Predictions from files of both forms, and files that are none."""

import itertools
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from random_sets import random_set
from small_models import write_run

from campus_seg.config import load_config
from campus_seg.data.datasets import coco_file, register_datasets
from campus_seg.engine.trainer import evaluate
from campus_seg.errors import EvaluationError
from campus_seg.evaluation.predictions import read_predictions
from campus_seg.evaluation.run_analysis import analyse_predictions
from campus_seg.tools.visualize import main as visualize


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


def named(images, names):
    return [{**image, "file_name": name} for image, name in zip(images, names, strict=True)]


def with_names(known, given):
    """A predictions.json and its ground truth, of photos of these names."""
    truth, predictions = random_set(5)
    assert len(known) <= len(truth["images"])
    truth["images"] = truth["images"][: len(known)]
    ids = [image["id"] for image in truth["images"]]
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in ids]
    predictions = [p for p in predictions if p["image_id"] in ids]
    whole = masked(truth, predictions)
    whole["images"] = named(itertools.islice(itertools.cycle(whole["images"][1:]), len(given)), given)
    kept = [image["id"] for image in whole["images"]]
    whole["annotations"] = [a for a in whole["annotations"] if a["image_id"] in kept]
    truth["images"] = named(truth["images"], known)
    return truth, predictions, whole


@pytest.mark.parametrize(
    "given",
    [
        ["walk1/IMG_1.jpg", "walk2/IMG_1.jpg"],
        ["p/walk1/IMG_1.jpg", "p/walk2/IMG_1.jpg"],
        ["q/a/walk1/IMG_1.jpg", "q/b/walk2/IMG_1.jpg"],
    ],
)
def test_photos_of_one_name_are_told_apart_by_their_folders(given, tmp_path):
    truth, predictions, whole = with_names(["/p/walk1/IMG_1.jpg", "/p/walk2/IMG_1.jpg"], given)
    assert len({p["image_id"] for p in predictions}) == 2
    assert read_predictions(write(tmp_path, whole), truth) == predictions


@pytest.mark.parametrize(
    "known, given, said",
    [
        (
            ["/p/walk1/IMG_1.jpg", "/p/walk2/IMG_1.jpg"],
            ["IMG_1.jpg"],
            "which IMG_1.jpg is the photo /p/walk1/IMG_1.jpg",
        ),
        (["/p/IMG_1.jpg"], ["walk1/IMG_1.jpg"] * 2, "which IMG_1.jpg is the photo /p/IMG_1.jpg, since 2"),
        (["/p/walk1/IMG_1.jpg", "/p/walk2/IMG_1.jpg"], ["walk1/IMG_1.jpg"], "lacks the photo /p/walk2/IMG_1.jpg"),
        (["/p/walk1/IMG_1.jpg"], ["walk1/IMG_2.jpg"], "lacks the photo /p/walk1/IMG_1.jpg; mask it too"),
        (["IMG_1.jpg"], ["IMG_2.jpg"], "lacks the photo run/import/images/IMG_1.jpg; mask it too"),
    ],
)
def test_photos_that_cannot_be_told(known, given, said, tmp_path):
    truth, _, whole = with_names(known, given)
    with pytest.raises(EvaluationError, match=said):
        read_predictions(write(tmp_path, whole), truth, Path("run/import/images"))


@pytest.mark.usefixtures("one_thread")
def test_what_visualize_writes_is_judged_as_an_evaluation_judges_the_model(tmp_path):
    """Of objects that the model itself finds, every other one."""
    run, masked_folder = tmp_path / "run", tmp_path / "masked"
    (run / "import" / "images" / "walk").mkdir(parents=True)
    write_run(run)
    names = ["walk/b.png", "a.png"]
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(noise).save(run / "import" / "images" / name)
    eager = ["CAMPUS.INFERENCE.ENGINE", "eager", "CAMPUS.INFERENCE.PRECISION", "fp32", "MODEL.DEVICE", "cpu"]
    command = ["--config-file", run / "config.yaml", "--input", run / "import" / "images", "--output", masked_folder]
    visualize([*map(str, command), "--save", "predictions", "--confidence-threshold", "0", "--opts", *eager])
    found = json.loads((masked_folder / "predictions.json").read_text())
    ids = {image["id"]: 7 + names.index(image["file_name"]) for image in found["images"]}
    truth = {
        "images": [{**image, "id": ids[image["id"]]} for image in found["images"]],
        "categories": found["categories"],
        "annotations": [
            {**annotation, "image_id": ids[annotation["image_id"]], "iscrowd": 0}
            for annotation in found["annotations"][::2]
            if annotation["score"] > 0.1
        ],
    }
    coco_file(run, "val").write_text(json.dumps(truth))
    register_datasets(run, ["bench", "car"])
    given = ["OUTPUT_DIR", run, "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", run / "model_final.pth"]
    given += ["DATASETS.TEST", "('campus_val',)", "DATALOADER.NUM_WORKERS", "0"]
    cfg = load_config(str(run / "config.yaml"), list(map(str, given)))
    evaluate(cfg)
    evaluated = json.loads((run / "inference/campus_val/metrics.json").read_text())
    judged = analyse_predictions(cfg, "campus_val", masked_folder / "predictions.json")
    for name in ("AP", "AP50", "AP75", "APs"):  # of masks; visualize.py's boxes are those of the masks
        assert judged["figures"]["segm"][name] == pytest.approx(evaluated["segm"][name])
        assert 20 < evaluated["segm"][name] < 90


def test_what_is_left_out_is_counted(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("campus_seg"), "propagate", True)
    caplog.set_level(logging.INFO)
    truth, predictions = random_set(5)
    read_predictions(write(tmp_path, masked(truth, predictions)), truth)
    assert f"1 of {len(predictions) + 1} predictions are of other photos" in caplog.text


def with_(**changes):
    def change(truth, predictions):
        predictions[0] = {**predictions[0], **changes}
        return predictions

    return change


def with_infinite_box(truth, predictions):
    return json.dumps(with_(bbox=[1, 2, 3, 4.25])(truth, predictions)).replace("4.25", "1e999", 1)


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


def with_known_category(truth, predictions):
    """An id that the ground truth has, and the file's categories do not."""
    whole = masked(truth, predictions)
    whole["annotations"][0]["category_id"] = truth["categories"][0]["id"]
    return whole


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
        (with_(bbox=[1, 2]), "no box"),
        (with_infinite_box, "no predictions .*bbox"),
        (with_(score=7.5), "no score of 0 … 1"),
        (with_(score=-0.1), "no score of 0 … 1"),
        (with_(segmentation={"size": [3, 4], "counts": "12"}), "not of the photo's size"),
        (with_(segmentation={"size": [120, 150], "counts": "12"}), "does not fill the photo"),
        (with_class, "has a class zebra"),
        (without_photo, "lacks the photo .*; mask it too"),
        (with_ids("category_id"), "category_id 4000, which the file itself"),
        (with_ids("image_id"), "image_id 4000, which the file itself"),
        (with_known_category, "category_id .*, which the file itself"),
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
