"""What an overlay costs from a model's output on, against Detectron2's Visualizer, on drawn photos full of objects."""

import argparse
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.layers import paste_masks_in_image
from detectron2.structures import Boxes, Instances
from detectron2.utils.visualizer import Visualizer

from campus_seg.benchmarks.timing import take_turns
from campus_seg.inference.paste import found_objects
from campus_seg.inference.render import overlay
from campus_seg.inference.scene import Scene
from campus_seg.palette import class_colors

SIZES = ((640, 480), (1024, 768), (4000, 3000))  # width and height
CLASSES = ("bench", "car", "dog", "fire extinguisher", "horse statue", "person")
AREAS = (0.001, 0.08)  # of an object, as shares of the photo


def drawn_scene(width: int, height: int, objects: int) -> tuple[np.ndarray, Instances]:
    """A photo (H, W, 3) uint8 BGR and, as a `Predictor` gives them, objects of many sizes with uneven outlines."""
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    area = np.exp(rng.uniform(*np.log(AREAS), objects)) * width * height / 0.7  # of boxes, which blobs fill so far
    aspect = np.exp(rng.uniform(-0.7, 0.7, objects))
    sides = np.stack([np.sqrt(area * aspect), np.sqrt(area / aspect)], axis=1).clip(max=(width, height))
    corners = rng.uniform(0, 1, (objects, 2)) * ((width, height) - sides)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    masks = np.zeros((objects, 1, 28, 28), np.float32)
    for mask in masks:
        reach = 11 * rng.uniform(0.8, 1.2, 36)
        ring = 13.5 + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
        cv2.fillPoly(mask[0], [ring.round().astype(np.int32)], 1.0)
        mask[0] = cv2.GaussianBlur(mask[0], (5, 5), 1)
    return photo, Instances(
        (height, width),
        pred_boxes=Boxes(torch.from_numpy(np.concatenate([corners, corners + sides], axis=1).astype(np.float32))),
        scores=torch.linspace(0.99, 0.3, objects),
        pred_classes=torch.from_numpy(rng.integers(0, len(CLASSES), objects)),
        pred_masks=torch.from_numpy(masks),
    )


def ours(photo: np.ndarray, instances: Instances) -> np.ndarray:
    """The overlay, with the pasting of the masks."""
    scene = Scene(photo.shape[:2])
    labels, colors = [], []
    for found in found_objects(instances):
        scene.add(found.region)
        labels.append(f"{CLASSES[found.class_id]} {found.score:.0%}")
        colors.append(class_colors(len(CLASSES))[found.class_id])
    return overlay(photo, scene, labels, colors)


def visualizer(photo: np.ndarray, instances: Instances, masks: torch.Tensor) -> np.ndarray:
    """The same by Detectron2, whose masks are pasted already."""
    metadata = MetadataCatalog.get("campus_seg_drawing").set(thing_classes=list(CLASSES))
    fields = {name: value for name, value in instances.get_fields().items() if name != "pred_masks"}
    pasted = Instances(instances.image_size, **fields, pred_masks=masks)
    return Visualizer(photo[:, :, ::-1], metadata).draw_instance_predictions(pasted).get_image()[:, :, ::-1]


def measure_overlay(args: argparse.Namespace) -> dict[str, Any]:
    """Times both, in turn, on one thread; of the repeats the median counts.

    Args:
        args: of tools/benchmark.py: objects and repeats.

    Returns:
        Milliseconds a photo by size and side, and under "ratios" how many times as fast this project is.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    milliseconds, ratios = {}, {}
    for width, height in SIZES:
        photo, instances = drawn_scene(width, height, args.objects)
        masks = paste_masks_in_image(instances.pred_masks[:, 0], instances.pred_boxes.tensor, instances.image_size)
        sides = {
            "ours": lambda record: ours(record["photo"], record["instances"]),
            "visualizer": lambda record: visualizer(record["photo"], record["instances"], record["masks"]),
        }
        record = {"photo": photo, "instances": instances, "masks": masks}
        taken = take_turns(sides, [record], 1, args.repeats)
        milliseconds |= {f"{side}_{width}x{height}": value for side, value in taken.items()}
        ratios[f"overlay_vs_visualizer_{width}x{height}"] = taken["visualizer"] / taken["ours"]
    return {"objects": args.objects, "milliseconds": milliseconds, "ratios": ratios}
