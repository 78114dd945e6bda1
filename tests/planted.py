"""Faults planted in sound labels: some removed, some of another class, some shifted."""

import copy
from typing import Any

import numpy as np

SHIFT = (0.3, 0.6)  # of the object's width and height


def plant_faults(truth: dict[str, Any], seed: int, share: float = 0.05) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Makes as many faults of each kind as the share of the labels is, on different labels.

    Args:
        truth: a COCO file with polygons.
        seed: of the draw.
        share: of the labels, for each of the three kinds.

    Returns:
        The faulty file, and the faults: `kind` (of `campus_seg.evaluation.suspects`), `image_id`, and `annotation`, the
        sound one.
    """
    rng = np.random.default_rng(seed)
    faulty = copy.deepcopy(truth)
    chosen = rng.permutation(len(faulty["annotations"]))
    count = round(share * len(chosen))
    categories = [category["id"] for category in truth["categories"]]
    sizes = {image["id"]: np.array([image["width"], image["height"]]) for image in truth["images"]}
    faults, removed = [], set()
    for kind, places in zip(("missing", "class", "place"), chosen[: 3 * count].reshape(3, count), strict=True):
        for place in places.tolist():
            annotation = faulty["annotations"][place]
            faults.append({"kind": kind, "image_id": annotation["image_id"], "annotation": truth["annotations"][place]})
            if kind == "missing":
                removed.add(place)
            elif kind == "class":
                others = [category for category in categories if category != annotation["category_id"]]
                annotation["category_id"] = int(rng.choice(others))
            else:
                shift(annotation, sizes[annotation["image_id"]], rng)
    faulty["annotations"] = [a for place, a in enumerate(faulty["annotations"]) if place not in removed]
    return faulty, faults


def shift(annotation: dict[str, Any], size: np.ndarray, rng: np.random.Generator) -> None:
    """Moves a label aside, in place, towards the farther edge of its photo (width, height) in both directions."""
    corner, extent = np.array(annotation["bbox"][:2]), np.array(annotation["bbox"][2:])
    direction = np.where(corner + extent / 2 < size / 2, 1, -1)
    step = direction * extent * rng.uniform(*SHIFT, size=2)
    rings = [(np.reshape(ring, (-1, 2)) + step).clip(0, size) for ring in annotation["segmentation"]]
    annotation["segmentation"] = [ring.ravel().tolist() for ring in rings]
    points = np.concatenate(rings)
    annotation["bbox"] = [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]


def is_planted(suspect: Any, image_id: int, faults: list[dict[str, Any]]) -> bool:
    """Whether a suspect is at a faulty label, or on an object that has none or whose label is beside it."""
    for fault in faults:
        if fault["image_id"] == image_id:
            if suspect.label and suspect.label["id"] == fault["annotation"]["id"]:
                return True
            if suspect.found and _overlap(suspect.found["bbox"], fault["annotation"]["bbox"]) >= 0.5:
                return True
    return False


def _overlap(first: list[float], second: list[float]) -> float:
    """IoU of two boxes, XYWH."""
    (x, y, w, h), (a, b, c, d) = first, second
    common = max(0.0, min(x + w, a + c) - max(x, a)) * max(0.0, min(y + h, b + d) - max(y, b))
    return common / (w * h + c * d - common)
