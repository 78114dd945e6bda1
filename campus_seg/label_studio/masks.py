"""Masks as COCO's run-length encoding: checked, made, joined and resized."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from campus_seg.label_studio.geometry import clean_rings

MAX_PIXELS = 2**28  # of a mask; a few bytes can claim any size


def rle_runs(counts: str) -> list[int]:
    """Run lengths of a compressed COCO RLE (maskApi.c, rleFrString), which pycocotools reads without any check.

    Raises:
        ValueError: no such string.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} does not occur in an RLE")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:  # more follow
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the RLE is cut short")
    return runs


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """An (H, W) bool mask as COCO RLE, `counts` as str."""
    return _as_text(coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)))


def checked_rle(rle: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    """A COCO RLE of unknown origin as one that pycocotools can be given, `counts` as str.

    Args:
        rle: with `size` and `counts`, a string or a list of runs.
        width: that it must have, in pixels.
        height: likewise.

    Raises:
        ValueError: it is none, or of another size.
    """
    size, counts = [height, width], rle.get("counts")
    if width * height > MAX_PIXELS:
        raise ValueError("its photo is stated to be too large")
    if rle.get("size") != size or not isinstance(counts, str | list):
        raise ValueError("its RLE is not of the photo's size")
    runs = rle_runs(counts) if isinstance(counts, str) else counts
    # pycocotools decodes whatever it is given, beyond the photo's end or with chance values where runs are missing.
    if not all(type(n) is int and n >= 0 for n in runs) or sum(runs) != height * width:
        raise ValueError("its RLE does not fill the photo")
    return _as_text(coco_mask.frPyObjects({"size": size, "counts": runs}, *size))


def resized_mask(rle: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    """A COCO RLE at another size, each pixel as the nearest one was."""
    mask = cv2.resize(coco_mask.decode(rle), (width, height), interpolation=cv2.INTER_NEAREST)
    return encode_mask(mask.astype(bool))


def mask_of_rings(rings: Sequence[np.ndarray], width: int, height: int) -> dict[str, Any]:
    """The union of rings as COCO RLE, `counts` as str, of a photo of `width` x `height` pixels."""
    # pycocotools walks along each edge in steps, however far it leads: the rings have to be inside.
    polygons = [ring.ravel().tolist() for ring in clean_rings(rings, width, height)[0]]
    if not polygons:
        return encode_mask(np.zeros((height, width), bool))
    return _as_text(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def merge_masks(masks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The union of COCO RLEs of one size, `counts` as str."""
    return _as_text(coco_mask.merge(list(masks)))


def _as_text(rle: dict[str, Any]) -> dict[str, Any]:
    return {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode("ascii")}
