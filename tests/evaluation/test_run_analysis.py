"""A run's analyses from the files that it left, and from predictions alone."""

import json
from pathlib import Path

import pytest
from drawn import draw_export, read_drawn
from pycocotools import mask as rle_tools

from campus_seg.config import load_config
from campus_seg.data.datasets import coco_file, write_datasets
from campus_seg.errors import ConfigError, EvaluationError
from campus_seg.evaluation.evaluator import inference_folder
from campus_seg.evaluation.run_analysis import analyse_predictions, read_truth, write_analyses
from campus_seg.evaluation.thresholds import read_thresholds


@pytest.fixture
def cfg(tmp_path):
    """A run that found every object of val with a score of 0.4 or 0.3, and of test with 0.6 or 0.3, by turns."""
    export = read_drawn(draw_export(photos=8), tmp_path, classes=("car", "dog", "person", "bench"))
    names = [photo.name for photo in export.photos]
    write_datasets(export, {"train": names[:2], "val": names[2:5], "test": names[5:]}, tmp_path)
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["OUTPUT_DIR", str(tmp_path)])
    for name, high in (("campus_val", 0.4), ("campus_test", 0.6)):
        annotations = json.loads(coco_file(tmp_path, name.removeprefix("campus_")).read_text())["annotations"]
        scores = [high if number % 2 else 0.3 for number in range(len(annotations))]
        folder = inference_folder(cfg.OUTPUT_DIR, name)
        folder.mkdir(parents=True)
        results = [predicted(a, score) for a, score in zip(annotations, scores, strict=True)]
        (folder / "coco_instances_results.json").write_text(json.dumps(results))
    return cfg


def predicted(annotation, score):
    rle = rle_tools.merge(rle_tools.frPyObjects(annotation["segmentation"], 96, 128))
    shape = {"size": rle["size"], "counts": rle["counts"].decode()}
    kept = {key: annotation[key] for key in ("image_id", "category_id", "bbox")}
    return {**kept, "score": score, "segmentation": shape}


def written(cfg, name):
    return json.loads((inference_folder(cfg.OUTPUT_DIR, name) / "analysis.json").read_text())


def test_thresholds_are_chosen_on_val_and_judged_on_test(cfg, tmp_path):
    cfg.DATASETS.TEST = ("campus_test", "campus_val")
    analyses = write_analyses(cfg)
    assert {name: written(cfg, name) for name in analyses} == analyses
    val, test = analyses["campus_val"], analyses["campus_test"]
    chosen = read_thresholds(tmp_path)
    assert chosen.pop("bench") is None and set(chosen) == {"car", "dog", "person"}
    assert set(chosen.values()) == {0.3, 0.4}  # every detection is right: down to the last one all of them count
    assert val["at_thresholds"]["share"] == test["at_thresholds"]["share"] == 1
    assert test["thresholds"] == {"chosen_on": "campus_val", "by_class": {**chosen, "bench": 0.5}}
    assert val["figures"]["segm"]["AP"] == pytest.approx(100)
    content = json.loads((tmp_path / "thresholds.json").read_text())
    assert content["dataset"] == "campus_val" and content["classes"]["bench"]["reason"].startswith("no object of this")


def test_without_val_nothing_is_chosen_on_test(cfg, tmp_path):
    cfg.DATASETS.TEST = ("campus_test",)
    test = write_analyses(cfg)["campus_test"]
    assert test["thresholds"] == {"chosen_on": "", "by_class": dict.fromkeys(["car", "dog", "person", "bench"], 0.5)}
    assert not (tmp_path / "thresholds.json").exists()
    assert 0 < test["at_thresholds"]["share"] < test["accuracy"]["share"] == 1


def test_from_predictions_alone(cfg, tmp_path):
    """Both forms of file; the same is said as with the run's own."""
    analyses = write_analyses(cfg)
    for name in ("campus_val", "campus_test"):
        path = inference_folder(cfg.OUTPUT_DIR, name) / "coco_instances_results.json"
        assert analyse_predictions(cfg, name, path) == analyses[name]
        truth = read_truth(cfg, name)
        whole = {**truth, "annotations": json.loads(path.read_text())}
        (tmp_path / "predictions.json").write_text(json.dumps(whole))
        assert analyse_predictions(cfg, name, tmp_path / "predictions.json") == analyses[name]


def test_a_run_without_labels(cfg, tmp_path):
    coco_file(tmp_path, "val").unlink()
    with pytest.raises(EvaluationError, match=r"campus_val.json: .*config.yaml"):
        read_truth(cfg, "campus_val")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"images": []}', '{"images": 1, "annotations": [], "categories": []}']
)
def test_damaged_labels_are_named(content, cfg, tmp_path):
    coco_file(tmp_path, "val").write_text(content)
    with pytest.raises(EvaluationError, match=r"campus_val.json: damaged"):
        write_analyses(cfg)


@pytest.mark.parametrize("content", ["", '[{"image_id": 1', '[{"image_id": 1}]', "{}"])
def test_damaged_predictions_are_named_and_no_earlier_analysis_is_left(content, cfg):
    write_analyses(cfg)
    (inference_folder(cfg.OUTPUT_DIR, "campus_val") / "coco_instances_results.json").write_text(content)
    with pytest.raises(EvaluationError, match=r"coco_instances_results.json: no predictions"):
        write_analyses(cfg)
    assert not (inference_folder(cfg.OUTPUT_DIR, "campus_test") / "analysis.json").exists()


def test_an_unknown_backend_is_named(cfg):
    cfg.CAMPUS.EVALUATION.BACKEND = "fast"
    with pytest.raises(ConfigError, match=r"CAMPUS.EVALUATION.BACKEND 'fast'"):
        write_analyses(cfg)


def test_thresholds_of_other_weights_judge_nothing(cfg, tmp_path):
    one, other = (str(tmp_path / name) for name in ("model_best.pth", "other.pth"))
    for path in (one, other):
        Path(path).write_text(path)
    chosen = write_analyses(cfg, one)["campus_val"]["thresholds"]["by_class"]
    cfg.DATASETS.TEST = ("campus_test",)
    by_class = dict.fromkeys(["car", "dog", "person", "bench"], 0.5)
    assert write_analyses(cfg, other)["campus_test"]["thresholds"] == {"chosen_on": "", "by_class": by_class}
    for weights in (one, ""):
        found = write_analyses(cfg, weights)["campus_test"]["thresholds"]
        assert found == {"chosen_on": "campus_val", "by_class": chosen}


def test_damaged_thresholds_are_named(cfg, tmp_path):
    (tmp_path / "thresholds.json").write_text("{")
    cfg.DATASETS.TEST = ("campus_test",)
    with pytest.raises(ConfigError, match=r"thresholds.json"):
        write_analyses(cfg)
