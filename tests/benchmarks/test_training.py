"""The comparison of training steps, on a small model and a few drawn photos."""

import json

import numpy as np
import pytest
import torch
from drawn import SMALL_MODEL, draw_export
from fake_worker import fake_worker

from campus_seg.benchmarks import training, training_sides
from campus_seg.benchmarks.training import Work, import_once
from campus_seg.tools.benchmark import main

pytestmark = pytest.mark.usefixtures("threads_as_they_were")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return str(draw_export(photos=6).write_zip(tmp_path_factory.mktemp("export") / "export.zip"))


def test_the_mini_network_is_compared(export, tmp_path, capsys):
    file = tmp_path / "train.json"
    argv = ["train", "--export", export, "--turns", "2", "--threads", "1", "--workers", "1", "--json", str(file)]
    assert main([*argv, "--sides", "ours_mini", "stock_mini", "--opts", *SMALL_MODEL]) == 0
    figures = json.loads(file.read_text())
    for side in figures["sides"].values():
        assert side["photos_a_second"] == pytest.approx(4 / side["seconds_a_step"])
        assert 0 <= side["data_time_share"] < 1 and side["peak_mb"] > 100
    speeds = [figures["sides"][side]["photos_a_second"] for side in ("ours_mini", "stock_mini")]
    assert figures["ratios"] == {"train_mini_vs_stock": speeds[0] / speeds[1]}
    assert figures["table"] in capsys.readouterr().out


def test_the_median_of_the_turns_counts_and_the_order_changes(export, monkeypatch, tmp_path):
    taken = {"ours_r50": iter([9, 2, 4, 3]), "torchvision_r50": iter([9, 8, 80, 6])}
    order = []

    def answer(side, steps):
        seconds = next(taken[side])
        return seconds, seconds / 4

    peaks = dict.fromkeys(taken, 100.0)
    monkeypatch.setattr(training, "Worker", fake_worker(answer, order, peaks))
    file = tmp_path / "train.json"
    argv = ["train", "--export", export, "--turns", "3", "--json", str(file)]
    assert main([*argv, "--sides", "ours_r50", "torchvision_r50"]) == 0
    figures = json.loads(file.read_text())
    assert figures["sides"]["ours_r50"]["seconds_a_step"] == 3
    assert figures["sides"]["torchvision_r50"]["seconds_a_step"] == 8
    assert figures["sides"]["torchvision_r50"]["data_time_share"] == 0.25
    assert figures["ratios"] == {"train_r50_vs_torchvision": pytest.approx(8 / 3)}
    warm_up = [("ours_r50", (2,)), ("torchvision_r50", (2,))]
    first = [("ours_r50", (1,)), ("torchvision_r50", (1,))]
    second = first[::-1]
    assert order == [*warm_up, *first, *second, *first]


def test_torchvisions_loop_trains_the_same_photos(export, tmp_path):
    classes = import_once(export, tmp_path / "import", [])
    opts = ["CAMPUS.INPUT_SIZE", "64"]
    work = Work("mask_rcnn_R_50_FPN.yaml", str(tmp_path / "import"), classes, 2, 1, 0, opts)
    what, train = training_sides.torchvision(work)
    seconds, waited = train(1)
    assert "maskrcnn_resnet50_fpn" in what
    assert 0 < waited < seconds


def test_masks_and_boxes_for_torchvision_are_those_of_the_outlines(tmp_path):
    import cv2

    photo = np.zeros((40, 60, 3), np.uint8)
    photo[10:30, 5:25] = (255, 0, 0)  # blue in OpenCV's order
    cv2.imwrite(str(tmp_path / "a.png"), photo)
    outline = [5.0, 10.0, 25.0, 10.0, 25.0, 30.0, 5.0, 30.0]
    record = {"file_name": str(tmp_path / "a.png"), "annotations": [{"segmentation": [outline], "category_id": 2}]}
    dataset = training_sides.MaskDataset([record, {"annotations": []}])
    assert len(dataset) == 1
    boxes = set()
    for seed in range(8):
        torch.manual_seed(seed)
        image, target = dataset[0]
        (box,) = target["boxes"].tolist()
        boxes.add(tuple(box))
        x0, y0, x1, y1 = map(int, box)
        assert target["labels"].tolist() == [3]
        assert target["masks"][0, y0:y1, x0:x1].all() and target["masks"].sum() == 400
        assert (image[2, y0:y1, x0:x1] == 1).all() and image.sum() == 400
    assert boxes == {(5, 10, 25, 30), (35, 10, 55, 30)}  # as it is, and flipped
