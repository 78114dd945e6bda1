"""The page's cost is measured on a small drawn run, and on a run that is there, which stays as it is."""

import json

import numpy as np
import pytest
from drawn import draw_export
from judged_runs import write_judged_run
from pycocotools import mask as rle_tools

from campus_seg.benchmarks.reporting import draw_detections
from campus_seg.tools.benchmark import main

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_drawn_run(tmp_path):
    assert main(["report", "--photos", "40", "--detections", "200", "--json", str(tmp_path / "r.json")]) == 0
    figures = json.loads((tmp_path / "r.json").read_text())
    assert 30 < figures["photos"] < 40 and figures["detections"] == 200
    assert list(figures["figures"]) == ["analysis_seconds", "page_seconds", "page_mb"]
    assert min(figures["figures"].values()) > 0


def test_a_run_that_is_there(tmp_path, capsys):
    write_judged_run(tmp_path / "run", draw_export(photos=10).write_zip(tmp_path / "e.zip"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert main(["report", "--config-file", str(tmp_path / "run/config.yaml")]) == 0
    assert "page_mb" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_detections_are_of_objects():
    square = [10.0, 10.0, 70.0, 10.0, 70.0, 70.0, 10.0, 70.0]
    truth = {
        "images": [{"id": 7, "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "segmentation": [square]}],
    }
    results = draw_detections(truth, 200, np.random.default_rng(0))
    assert len(results) == 200 and {one["image_id"] for one in results} == {7}
    assert 0.85 < np.mean([one["category_id"] == 2 for one in results]) < 0.95  # 0.8 and half of the rest
    mask = rle_tools.frPyObjects([square], 80, 100)
    ious = rle_tools.iou([one["segmentation"] for one in results], mask, [0])
    assert ious.min() > 0.3 and 0.75 < ious.mean() < 0.95
