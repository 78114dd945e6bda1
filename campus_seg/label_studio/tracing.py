"""Brush masks that BRUSH_TO_COCO wrote as outlines: traced from pixel centre to pixel centre, so half a pixel short.

Label Studio traces them with OpenCV's findContours (https://docs.opencv.org/4.x/d4/d73/tutorial_py_contours_begin.html)
and writes polygons that people drew into the same list, rounded to whole pixels; nothing in the file tells them apart.
What is told apart here is told by the outlines themselves, and a polygon is never taken for a brush mask lightly.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from campus_seg.label_studio.masks import encode_mask

MAX_SIDE = 2**15  # pixels, of OpenCV's coordinates
LONG = 80  # points that nobody clicks one by one, each just where a tracing has one


def find_brushed(rings: Sequence[np.ndarray]) -> list[bool]:
    """Which of a photo's outlines, each (n, 2), were traced around brush masks.

    Long tracings were, and short ones where every outline of the photo is a tracing and one is long.
    """
    traced = [is_tracing(ring) for ring in rings]
    long = [is_traced and len(ring) >= LONG for is_traced, ring in zip(traced, rings, strict=True)]
    return traced if all(traced) and any(long) else long


def is_tracing(ring: np.ndarray) -> bool:
    """Whether tracing the pixels that a ring encloses gives just this ring, which what people draw hardly ever does.

    Args:
        ring: (n, 2), in pixels.
    """
    steps = np.abs(np.diff(ring, axis=0, append=ring[:1]))
    straight = (steps.min(axis=1) == 0) | (steps[:, 0] == steps[:, 1])
    if not straight.all() or (ring != np.round(ring)).any():
        return False
    points = ring - ring.min(axis=0)
    if points.max() > MAX_SIDE:
        return False
    width, height = points.max(axis=0).astype(int) + 1
    outlines, _ = cv2.findContours(_fill(points, width, height), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return len(outlines) == 1 and np.array_equal(outlines[0][:, 0], points)


def fill_tracing(ring: np.ndarray, width: int, height: int) -> dict[str, Any]:
    """The pixels that a tracing, (n, 2), runs through and encloses, as COCO RLE of `width` x `height` pixels."""
    return encode_mask(_fill(ring, width, height).astype(bool))


def _fill(points: np.ndarray, width: int, height: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask
