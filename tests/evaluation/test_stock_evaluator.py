"""CampusEvaluator says what Detectron2's COCOEvaluator says, in its results, its log and its file."""

import json
import logging

import pytest
from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator
from random_sets import random_set

from campus_seg.evaluation.evaluator import CampusEvaluator

NAME = "random_set"


@pytest.fixture(params=[2, 7, 14])
def found(request, tmp_path):
    """Predictions as `process` leaves them; their photos are registered."""
    truth, predictions = random_set(request.param)
    for annotation in truth["annotations"]:
        annotation["id"] += 1  # pycocotools' matches with 0 are none
    (tmp_path / "labels.json").write_text(json.dumps(truth))
    labels = sorted(category["id"] for category in truth["categories"])
    MetadataCatalog.get(NAME).set(
        json_file=str(tmp_path / "labels.json"),
        thing_classes=[f"class {label}" for label in labels],
        thing_dataset_id_to_contiguous_id={label: place for place, label in enumerate(labels)},
    )
    yield [
        {
            "image_id": image["id"],
            "instances": [
                {**p, "category_id": labels.index(p["category_id"])}
                for p in predictions
                if p["image_id"] == image["id"]
            ],
        }
        for image in truth["images"]
    ]
    MetadataCatalog.remove(NAME)


def evaluated(evaluator, found, image_ids, caplog):
    """The results, and the lines of the tables in the log."""
    caplog.clear()
    evaluator._predictions = json.loads(json.dumps(found))
    results = evaluator.evaluate(image_ids)
    return results, [line for line in caplog.text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("some", [False, True])
def test_the_same_is_said(found, some, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "detectron2")  # which a benchmark makes silent
    image_ids = [found[0]["image_id"]] if some else None
    options = {"tasks": ("bbox", "segm"), "distributed": False}
    stock = COCOEvaluator(NAME, output_dir=str(tmp_path / "stock"), use_fast_impl=False, **options)
    expected, table = evaluated(stock, found, image_ids, caplog)
    for backend in ("hotcoco", "pycocotools"):
        ours = CampusEvaluator(NAME, output_dir=str(tmp_path / backend), backend=backend, **options)
        results, said = evaluated(ours, found, image_ids, caplog)
        assert list(results) == list(expected)
        for task, figures in results.items():
            assert list(figures) == list(expected[task])
            assert figures == pytest.approx(expected[task], abs=1e-6, nan_ok=True)
        assert said == table and len(table) > 6
        for name in ("coco_instances_results.json", "instances_predictions.pth"):
            assert (tmp_path / backend / name).is_file()
        written, stock_wrote = (
            json.loads((tmp_path / folder / "coco_instances_results.json").read_text()) for folder in (backend, "stock")
        )
        assert written == stock_wrote


def test_what_the_stock_evaluator_sets_and_ours_does_not(found):
    """Its `__init__` is not called; another version of it may set more, which then has to be looked at."""
    stock, ours = (set(vars(evaluator(NAME, distributed=False))) for evaluator in (COCOEvaluator, CampusEvaluator))
    arithmetic = {"_coco_api", "_do_evaluation", "_kpt_oks_sigmas", "_max_dets_per_image", "_use_fast_impl"}
    assert stock - ours == arithmetic and ours - stock == {"_truth", "_backend"}


def test_it_can_evaluate_twice(found):
    evaluator = CampusEvaluator(NAME, distributed=False)
    evaluator._predictions = found
    assert str(evaluator.evaluate()) == str(evaluator.evaluate())  # NaN is not equal to itself
