"""How well the masks of found objects fit, apart from how many are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from hotcoco import mask as fast_masks  # decodes ten times as fast
from pycocotools import mask as rle_tools

from campus_seg.evaluation.matching import Pairing, PhotoMatches, shape_of

BAND = 0.02  # of the photo's diagonal: how far a boundary reaches inwards, as in the paper


@dataclass(frozen=True, eq=False)
class PairQuality:
    """How well the masks of P right detections fit.

    Attributes:
        labels: (P,) int, category ids.
        ious: (P,) float64.
        boundary_ious: (P,) float64.
    """

    labels: np.ndarray
    ious: np.ndarray
    boundary_ious: np.ndarray

    def mean(self, label: int | None = None) -> dict[str, Any]:
        """`pairs`, `iou` and `boundary_iou`, means of one class or of all; None without a pair."""
        wanted = np.ones(len(self.labels), bool) if label is None else self.labels == label
        if not wanted.any():
            return {"pairs": 0, "iou": None, "boundary_iou": None}
        means = {"iou": self.ious[wanted].mean(), "boundary_iou": self.boundary_ious[wanted].mean()}
        return {"pairs": int(wanted.sum()), **{name: float(value) for name, value in means.items()}}


def pair_quality(photos: Sequence[PhotoMatches], pairings: Sequence[Pairing]) -> PairQuality:
    """Compares the masks of right detections with those of their objects.

    Args:
        photos: their overlaps, of masks.
        pairings: of each photo, within classes.
    """
    labels, ious, boundary_ious = [], [], []
    for photo, pairing in zip(photos, pairings, strict=True):
        size = photo.image["height"], photo.image["width"]
        for detection, found in pairing.pairs.tolist():
            shapes = [shape_of(entry, size) for entry in (photo.detections[detection], photo.objects[found])]
            labels.append(photo.object_classes[found])
            ious.append(photo.ious[detection, found])
            boundary_ious.append(boundary_iou(*shapes))
    return PairQuality(np.array(labels, np.int64), np.array(ious, np.float64), np.array(boundary_ious, np.float64))


def boundary_iou(one: dict[str, Any], other: dict[str, Any]) -> float:
    """IoU of what is near the outlines (Cheng et al. 2021, "Boundary IoU", CVPR, https://arxiv.org/abs/2103.16562).

    Near is within 2 % of the photo's diagonal, on the inside; the photo's edge is part of an outline.

    Args:
        one: a compressed RLE.
        other: another of the same size.
    """
    height, width = one["size"]
    reach = max(1, round(BAND * float(np.hypot(height, width))))
    x, y, width, height = rle_tools.toBbox(rle_tools.merge([one, other])).astype(int).tolist()
    window = slice(x, x + width), slice(y, y + height)  # of masks on their sides, as they lie in memory
    bands = [_band(fast_masks.decode(rle).T[window], reach) for rle in (one, other)]
    union = np.count_nonzero(bands[0] | bands[1])
    return np.count_nonzero(bands[0] & bands[1]) / union if union else 0.0


def _band(mask: np.ndarray, reach: int) -> np.ndarray:
    """The pixels of a mask, (H, W) uint8, within `reach` pixels of its outside, which is all beyond the array.

    Those farther inside have a full square about them. Its sum takes as long however large it is; an erosion does not.
    """
    side = 2 * reach + 1
    sums = cv2.boxFilter(mask, cv2.CV_32S, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return (mask != 0) & (sums < side**2)
