"""What a model found in a photo, as the regions of a Label Studio prediction."""

import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from campus_seg.label_studio.brush import encode_brush
from campus_seg.label_studio.interface import BRUSH, POLYGON, ClassControls, Control
from campus_seg.label_studio.outlines import cut_rings, editable_rings

DECIMALS = 4  # of per cents: a hundredth of a pixel in the largest photo


class Found(NamedTuple):
    """An object.

    Attributes:
        label: class name.
        score: confidence, 0 … 1.
        mask: (h, w) bool, a part of the photo with at least one pixel set.
        x: the first column of that part in the photo.
        y: its first row.
    """

    label: str
    score: float
    mask: np.ndarray
    x: int
    y: int


def prediction_regions(
    objects: Iterable[Found], width: int, height: int, controls: ClassControls
) -> list[dict[str, Any]]:
    """The regions of a prediction, `result`, in percentages of the photo as seen.

    An object becomes a polygon that a person can edit; one in several parts a polygon a part, those after the first
    below it in the outliner, which the import joins again; one with holes a brush mask where the class has a brush.

    Args:
        objects: in the order in which they are to stand there.
        width: of the upright photo, in pixels.
        height: likewise.
        controls: of all classes of the objects.
    """
    regions = []
    for found in objects:
        own = controls.by_class[found.label]
        rings = editable_rings(found.mask) if POLYGON in own else None
        if rings is None and BRUSH in own:
            regions.append(_brush(found, width, height, own[BRUSH]))
            continue
        first = None
        for ring in rings or cut_rings(found.mask):
            points = (ring + (found.x, found.y)) * (100 / width, 100 / height)
            value = {"points": points.round(DECIMALS).tolist(), "closed": True}
            region = _region(found, width, height, own[POLYGON], value)
            regions.append(region if first is None else {**region, "parentID": first})
            first = first or region["id"]
    return regions


def _brush(found: Found, width: int, height: int, control: Control) -> dict[str, Any]:
    mask = np.zeros((height, width), bool)
    rows, columns = found.mask.shape
    mask[found.y : found.y + rows, found.x : found.x + columns] = found.mask
    return _region(found, width, height, control, {"format": "rle", "rle": encode_brush(mask)})


def _region(found: Found, width: int, height: int, control: Control, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex[:10],
        "type": control.shape,
        "from_name": control.name,
        "to_name": control.image,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": round(found.score, 4),
        "value": {**value, control.shape: [found.label]},
    }


def prediction_score(scores: Iterable[float]) -> float:
    """How sure the model is of a photo: the mean of its objects' scores, 0 without objects."""
    scores = list(scores)
    return round(float(np.mean(scores)), 4) if scores else 0.0
