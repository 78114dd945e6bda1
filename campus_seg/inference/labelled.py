"""Photos with given objects drawn on them: those of a dataset, and what the augmentation makes of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from campus_seg.data.geometry import decode_rle, rasterise
from campus_seg.inference.regions import Region
from campus_seg.inference.render import Color, overlay
from campus_seg.inference.scene import Scene
from campus_seg.photos import read_photo
from campus_seg.storage import place


def draw_annotations(photo: Mapping[str, Any], class_names: Sequence[str], colors: Sequence[Color]) -> np.ndarray:
    """The annotations of a photo on it.

    Args:
        photo: a Detectron2 dataset dict.
        class_names: in the order of the class numbers.
        colors: (r, g, b) of each.

    Returns:
        (H, W, 3) uint8, BGR, in the photo's own upright pixels.
    """
    image = read_photo(place(Path(), photo["file_name"]))
    masks = (annotation_mask(annotation["segmentation"], *image.shape[:2]) for annotation in photo["annotations"])
    classes = [annotation["category_id"] for annotation in photo["annotations"]]
    return draw_objects(image, masks, [class_names[i] for i in classes], [colors[i] for i in classes])


def annotation_mask(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    """(H, W) uint8 mask, 0 or 1, of COCO polygons or an RLE of a photo of that size."""
    return decode_rle(segmentation) if isinstance(segmentation, dict) else rasterise(segmentation, height, width)


def draw_augmented(
    mapped: Mapping[str, Any],
    image_format: str,
    class_names: Sequence[str],
    colors: Sequence[Color],
    side: int | None = None,
) -> np.ndarray:
    """What the mapper makes of a photo for training, with its objects.

    Args:
        mapped: of CampusMapper with `is_train`.
        image_format: of INPUT.FORMAT.
        class_names: in the order of the class numbers.
        colors: (r, g, b) of each.
        side: the longest side of the picture, pixels; None = as the model sees it.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    image = mapped["image"].numpy().transpose(1, 2, 0)
    image = np.ascontiguousarray(image if image_format == "BGR" else image[:, :, ::-1])
    instances = mapped["instances"]
    if hasattr(instances.gt_masks, "polygons"):
        masks = [rasterise(rings, *image.shape[:2]) for rings in instances.gt_masks.polygons]
    else:
        masks = list(instances.gt_masks.tensor.numpy())
    if side:
        image = shrunk(image, side)
        small = image.shape[1::-1]
        masks = [cv2.resize(mask.astype(np.uint8), small, interpolation=cv2.INTER_NEAREST) for mask in masks]
    classes = instances.gt_classes.tolist()
    return draw_objects(image, masks, [class_names[i] for i in classes], [colors[i] for i in classes])


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """A photo, (H, W, 3) uint8, of which the longest side is at most so many pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA)


def draw_objects(
    image: np.ndarray, masks: Iterable[np.ndarray], labels: Sequence[str], colors: Sequence[Color]
) -> np.ndarray:
    """A copy of a photo with objects filled, outlined and labelled, small ones in front; those without pixels left out.

    Args:
        image: (H, W, 3) uint8, BGR.
        masks: N of (H, W), bool or 0 and 1.
        labels: N texts.
        colors: N of (r, g, b).
    """
    regions = [Region(0, 0, mask.astype(bool)).tight() for mask in masks]
    shown = [each for each in zip(regions, labels, colors, strict=True) if each[0].area]
    shown.sort(key=lambda each: each[0].area)
    scene = Scene(image.shape[:2])
    for region, _, _ in shown:
        scene.add(region)
    return overlay(image, scene, [label for _, label, _ in shown], [color for _, _, color in shown])
