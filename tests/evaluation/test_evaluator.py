"""Figures of a model that finds nothing, worked out by hand: 0 where there is something to find, else undefined."""

import json
import math

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from drawn import SMALL_MODEL, add_polygon, draw_export, read_drawn

from campus_seg.config import load_config
from campus_seg.data.datasets import register_datasets, write_datasets
from campus_seg.evaluation.cocoeval import coco_figures
from campus_seg.evaluation.evaluator import build_evaluator, without_nan, write_metrics
from campus_seg.tools.train_net import main

SQUARE = [[10, 10], [60, 10], [60, 60], [10, 60]]  # 2500 pixels: of middle size, between 32 and 96 squared


def evaluate(tmp_path, *objects, found=()):
    """The figures on two photos, the first with these objects, for a model that finds what is said in the first."""
    drawn = draw_export(photos=2)
    drawn.coco["annotations"] = []
    for label in objects:
        add_polygon(drawn, 0, label, SQUARE)
    add_polygon(drawn, 1, "dog", SQUARE)  # a photo without one would make the export one without objects
    export = read_drawn(drawn, tmp_path, classes=("car", "dog"))
    first, second = (photo.name for photo in export.photos)
    write_datasets(export, {"train": [second], "val": [first], "test": []}, tmp_path)
    register_datasets(tmp_path, export.classes)
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["OUTPUT_DIR", str(tmp_path)])
    evaluator = build_evaluator(cfg, "campus_val")
    evaluator.reset()
    instances = Instances((96, 128))
    instances.pred_boxes = Boxes(torch.tensor([[10.0, 10, 60, 60]] * len(found)).reshape(-1, 4))
    instances.scores = torch.ones(len(found))
    instances.pred_classes = torch.tensor([("car", "dog").index(label) for label in found], dtype=torch.int64)
    instances.pred_masks = torch.zeros(len(found), 96, 128, dtype=torch.bool)
    instances.pred_masks[:, 10:60, 10:60] = True
    (photo,) = DatasetCatalog.get("campus_val")
    evaluator.process([photo], [{"instances": instances}])
    results = evaluator.evaluate()
    write_metrics(cfg, "campus_val", results)
    written = json.loads((tmp_path / "inference/campus_val/metrics.json").read_text())
    assert {task: {k: v for k, v in each.items() if v is not None} for task, each in written.items()} == without_nan(
        results
    )
    return results


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("masks", [True, False])
def test_the_config_says_what_is_compared_and_by_which_backend(backend, masks, tmp_path, monkeypatch):
    name = "nothing"
    (tmp_path / "nothing.json").write_text('{"images": [], "annotations": [], "categories": []}')
    MetadataCatalog.get(name).set(json_file=str(tmp_path / "nothing.json"), thing_classes=[])
    opts = ["CAMPUS.EVALUATION.BACKEND", backend, "MODEL.MASK_ON", str(masks), "OUTPUT_DIR", str(tmp_path)]
    evaluator = build_evaluator(load_config("mask_rcnn_mini_FPN.yaml", opts), name)
    taken = []

    def figures(truth, results, task, by):
        taken.append((task, by))
        return coco_figures(truth, results, task, by)

    monkeypatch.setattr("campus_seg.evaluation.evaluator.coco_figures", figures)
    evaluator._predictions = [{"image_id": 1, "instances": []}]
    evaluator.evaluate()
    MetadataCatalog.remove(name)
    assert taken == [(task, backend) for task in (["bbox", "segm"] if masks else ["bbox"])]


OVERALL = {"AP", "AP50", "AP75"}


@pytest.mark.parametrize(
    "objects, found, expected",
    [
        (["car"], [], {**dict.fromkeys(OVERALL, 0), "APm": 0, "AP-car": 0}),
        (["car", "dog"], [], {**dict.fromkeys(OVERALL, 0), "APm": 0, "AP-car": 0, "AP-dog": 0}),
        ([], [], {}),
        ([], ["dog"], {}),
        (["car"], ["dog"], {**dict.fromkeys(OVERALL, 0), "APm": 0, "AP-car": 0}),
        (["car"], ["car"], {**dict.fromkeys(OVERALL, 100), "APm": 100, "AP-car": 100}),
    ],
)
def test_only_what_has_no_ground_truth_is_undefined(objects, found, expected, tmp_path):
    for figures in evaluate(tmp_path, *objects, found=found).values():
        assert set(figures) == {*OVERALL, "APs", "APm", "APl", "AP-car", "AP-dog"}
        assert {name: value for name, value in figures.items() if not math.isnan(value)} == pytest.approx(expected)


@pytest.mark.usefixtures("one_thread")
def test_evaluations_in_which_nothing_is_found_wear_the_patience_out(tmp_path):
    output = tmp_path / "run"
    export = draw_export(photos=12).write_zip(tmp_path / "export.zip")
    given = ["CAMPUS.EXPORT", export, "OUTPUT_DIR", output, "DATALOADER.NUM_WORKERS", 0, "SOLVER.MAX_ITER", 6]
    given += ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", 1, "TEST.EVAL_PERIOD", 1, "CAMPUS.PATIENCE", 2]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *SMALL_MODEL, *map(str, given)])
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    assert [line["campus_val/segm/AP"] for line in lines] == [0, 0, 0]
    assert torch.load(output / "model_best.pth")["iteration"] == 0
    assert torch.load(output / "model_final.pth")["iteration"] == 2
    assert json.loads((output / "inference/campus_val/metrics.json").read_text())["segm"]["AP"] == 0
