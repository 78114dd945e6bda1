"""Folders masked by a stand-in for the model, and what lies in them."""

import json

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from PIL import Image

from campus_seg.inference.folder import mask_photos
from campus_seg.inference.inputs import find_photos

CLASSES = ["bench", "fire / extinguisher", "dog"]


def full_boxes(image_bgr):
    """The stand-in: in each photo wider than 40 pixels two overlapping rectangles, the surer one second."""
    height, width = image_bgr.shape[:2]
    instances = Instances((height, width))
    n = 2 if width > 40 else 0
    instances.pred_boxes = Boxes(torch.tensor([[5.0, 10, 35, 40], [25, 20, 55, 50]])[:n])
    instances.scores = torch.tensor([0.7, 0.9])[:n]
    instances.pred_classes = torch.tensor([2, 1])[:n]
    instances.pred_masks = torch.ones(n, 1, 28, 28)
    return instances


def predict(photos):
    """As a Predictor does."""
    return [full_boxes(photo) for photo in photos]


def draw(path, width=64, height=60, seed=0, **options):
    """A noisy photo on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(image).save(path, **options)
    return image


def mask(folder, output, **options):
    """Finds and masks."""
    return mask_photos(predict, CLASSES, find_photos([str(folder)], output).photos, output, **options)


def counted_as(summary):
    """(photos, objects, failures)."""
    return summary.counts.photos, sum(summary.counts.objects.values()), summary.counts.failures


def failures_of(folder):
    return json.loads((folder / "failures.json").read_text())


def files(folder):
    """{path below the folder: bytes}, without the journal, which knows who did what when."""
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".journal/")}
