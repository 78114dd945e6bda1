import json

import cv2
import numpy as np
import pytest
import torch

from campus_seg.benchmarks import drawing
from campus_seg.benchmarks.drawing import AREAS, drawn_scene, ours, visualizer
from campus_seg.inference.paste import found_objects
from campus_seg.tools.benchmark import main

pytestmark = pytest.mark.usefixtures("threads_as_they_were")


def test_the_drawn_objects_are_of_many_sizes_and_all_inside():
    photo, instances = drawn_scene(640, 480, 100)
    shares = np.array([found.region.area for found in found_objects(instances)]) / (640 * 480)
    assert photo.shape == (480, 640, 3) and len(shares) == 100
    assert 0.3 * AREAS[0] < shares.min() < 3 * AREAS[0] and 0.3 * AREAS[1] < shares.max() < 3 * AREAS[1]
    boxes = instances.pred_boxes.tensor
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 640).all() and (boxes[:, 3] <= 480).all()


def test_both_draw_on_the_objects():
    photo, instances = drawn_scene(320, 240, 5)
    union = np.zeros((240, 320), bool)
    masks = np.stack([found.region.full((240, 320)) for found in found_objects(instances)])
    union = masks.any(axis=0)
    for picture in (ours(photo, instances), visualizer(photo, instances, torch.from_numpy(masks))):
        changed = (cv2.resize(picture, (320, 240)).astype(int) - photo).__abs__().max(axis=2) > 10
        assert changed[union].mean() > 0.9


def test_the_overlay_is_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(drawing, "SIZES", ((160, 120), (320, 240)))
    file = tmp_path / "overlay.json"
    assert main(["overlay", "--objects", "4", "--repeats", "1", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    for size in ("160x120", "320x240"):
        taken = [figures["milliseconds"][f"{side}_{size}"] for side in ("visualizer", "ours")]
        assert figures["ratios"][f"overlay_vs_visualizer_{size}"] == taken[0] / taken[1] > 0
    assert "overlay_vs_visualizer_160x120" in capsys.readouterr().out
