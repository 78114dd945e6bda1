"""A hundred objects in a photo of 100 megapixels within 2 GB, by the fine-tuned model's own design."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from campus_seg.config import load_config
from campus_seg.inference.outputs import OUTPUTS

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 14142, 7071
MOST_MB = 2000
SCRIPT = """
import sys
from pathlib import Path
import torch
from detectron2.structures import Boxes, Instances
from campus_seg.benchmarks.memory import peak_mb
from campus_seg.config import load_config
from campus_seg.inference.folder import mask_photos
from campus_seg.inference.inputs import find_photos
from campus_seg.inference.predictor import Predictor

photo, output, config = sys.argv[1:]
torch.set_num_threads(1)
torch.manual_seed(0)
cfg = load_config(config, ["MODEL.DEVICE", "cpu"])
predictor = Predictor(cfg)


def a_hundred(photos):
    \"\"\"Runs the model, and gives in its random objects' place large ones with holes and frayed edges.\"\"\"
    for found in predictor(photos):
        height, width = found.image_size
        size = torch.tensor([width, height])
        corners = torch.rand(100, 2) * size * 0.8
        boxes = Boxes(torch.cat([corners, corners + torch.rand(100, 2) * size * 0.3 + 50], dim=1))
        boxes.clip((height, width))
        masks = (torch.nn.functional.avg_pool2d(torch.rand(100, 1, 28, 28), 5, 1, 2) - 0.4) * 6
        yield Instances(
            (height, width),
            pred_boxes=boxes,
            scores=torch.linspace(0.99, 0.3, 100),
            pred_classes=torch.arange(100) % 3,
            pred_masks=masks.clamp(0, 1),
        )


found = find_photos([photo], Path(output))
summary = mask_photos(lambda photos: list(a_hundred(photos)), cfg.CAMPUS.CLASSES, found.photos, Path(output))
print(sum(summary.counts.objects.values()), peak_mb())
"""


def test_a_hundred_objects_in_a_panorama(tmp_path):
    coarse = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    photo, output = tmp_path / "panorama.jpg", tmp_path / "masked"
    cv2.imwrite(str(photo), cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
    cfg = load_config("mask_rcnn_R_50_FPN.yaml", ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    cfg.CAMPUS.CLASSES = ["bench", "car", "dog"]
    cfg.MODEL.WEIGHTS = str(tmp_path / "model.pth")
    torch.save({"model": build_model(cfg).state_dict()}, cfg.MODEL.WEIGHTS)
    (tmp_path / "config.yaml").write_text(cfg.dump())
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(photo), str(output), str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    objects, peak = done.stdout.split()[-2:]
    print(f"\n{objects} objects in {WIDTH * HEIGHT / 1e6:.0f} megapixels: {float(peak):.0f} MB at most")
    assert objects == "100" and float(peak) < MOST_MB
    assert {path.name for path in output.iterdir() if path.is_dir()} - {".journal", "thumbnails"} == set(OUTPUTS) - {
        "predictions"
    }
    overlay = cv2.imread(str(output / "overlay/panorama.jpg"))
    assert overlay.shape == (HEIGHT, WIDTH, 3)
    predictions = json.loads((output / "predictions.json").read_text())
    assert sum(annotation["area"] for annotation in predictions["annotations"]) > 5e7
