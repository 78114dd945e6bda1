"""What several views of one photo show, and which of it is the same object.

Views are the whole photo and its tiles, as (x0, y0, x1, y1) in the photo's pixels, x1 and y1 exclusive.
"""

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from campus_seg.inference.paste import cell_weights, paste_mask, paste_part, paste_range

# Overlaps that make two masks the same object's. SAHI's default too: half of the smaller one (sahi.predict,
# postprocess_match_metric "IOS", postprocess_match_threshold 0.5), for an IoU is small between a piece and the whole.
SAME = 0.5
# IoU from which it is the same object whatever the classes. Within one view Detectron2's NMS leaves classes alone, and
# so do we; but no two things fill the same pixels, so two views that disagree have seen one.
SAME_OF_ANY_CLASS = 0.7
LEEWAY = 0.05  # of an object's side: how far the model's boxes may be from where a tile cuts the object
FINER = 4  # points a cell and axis from which a mask is drawn anew


class Sightings:
    """All instances that were found in the views of a photo.

    Args:
        found: for each view its instances, moved to the photo's pixels: what a `Predictor` returns, N in all.
        views: (V, 4) int.
        shape: (H, W) of the photo.

    Attributes:
        boxes: (N, 4) float32 XYXY, pixels.
        masks: (N, 28, 28) float32, the probability of "object" within the box.
        scores: (N,) float32.
        classes: (N,) int64.
        views: (N, 4) int, where each was seen.
        areas: (N,) int64, pixels of each mask.
        cut: (N, 4) bool: whether it touches its view's left, upper, right and lower edge inside the photo.
    """

    def __init__(self, found: list[Instances], views: np.ndarray, shape: tuple[int, int]):
        self.shape = shape
        self.boxes = np.concatenate([each.pred_boxes.tensor.numpy() for each in found])
        self.masks = np.concatenate([each.pred_masks[:, 0].float().numpy() for each in found])
        self.scores = np.concatenate([each.scores.numpy() for each in found])
        self.classes = np.concatenate([each.pred_classes.numpy() for each in found])
        self.views = np.repeat(views, [len(each) for each in found], axis=0)
        pairs = zip(self.masks, self.boxes, strict=True)
        self.areas = np.array([paste_mask(mask, box, shape).area for mask, box in pairs], dtype=np.int64)
        height, width = shape
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        distance = np.abs(self.boxes - self.views)
        inside = self.views != (0, 0, width, height)
        self.cut = inside & (distance <= 2 + LEEWAY * np.tile(sides, 2))

    def __len__(self) -> int:
        return len(self.boxes)

    def near(self, index: int) -> np.ndarray:
        """Later instances of other views whose boxes lie so that they may be the same object as one of them."""
        later = slice(index + 1, None)
        one, others = _grown(self.boxes[index]), _grown(self.boxes[later])
        size = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
        meet = np.where((size > 0).all(axis=1), size.prod(axis=1), 0)
        enough = meet >= SAME * np.minimum(self.areas[index], self.areas[later])
        cut = self.cut[index].any() | self.cut[later].any(axis=1)
        elsewhere = (self.views[later] != self.views[index]).any(axis=1)
        return index + 1 + np.flatnonzero((meet > 0) & (enough | cut) & elsewhere)

    def shared(self, i: int, k: int) -> int:
        """Pixels that two masks have in common."""
        ranges = [paste_range(self.boxes[n], self.shape) for n in (i, k)]
        window = _meet(*ranges)
        if window is None:
            return 0
        return int(np.count_nonzero(self._part(i, window) & self._part(k, window)))

    def visible(self, index: int, view: np.ndarray) -> int:
        """Pixels of a mask within a view."""
        window = _meet(paste_range(self.boxes[index], self.shape), tuple(view.tolist()))
        return 0 if window is None else int(np.count_nonzero(self._part(index, window)))

    def same(self, i: int, k: int, shared: int) -> bool:
        """Whether two instances are one object, seen whole or in part."""
        if shared == 0:
            return False
        if self.classes[i] == self.classes[k]:
            return shared >= SAME * min(self.areas[i], self.areas[k])
        return shared >= SAME_OF_ANY_CLASS * (self.areas[i] + self.areas[k] - shared)

    def is_piece(self, i: int, k: int, shared: int) -> bool:
        """Whether `i` is what its view could see of `k`, which reaches beyond that view.

        Two allowances for a piece that ends at its view's edge. It may be so thin that the error in the box of `k` is
        as large: it need not lie in `k`, but within that error. And its class may be another, since of half an object
        the model may make anything: then it goes by the pixels alone.
        """
        if holds(self.views[i], self.boxes[k]) or not holds(self.views[k], self.boxes[i]):
            return False
        if not 0 < self.areas[i] < self.areas[k]:
            return False
        cut = self.cut[i].any()
        if self.classes[i] == self.classes[k]:
            return shared >= SAME * self.areas[i] or bool(cut and self._within(i, k) >= SAME * self.areas[i])
        return bool(cut) and shared >= SAME * (self.areas[i] + self.visible(k, self.views[i]) - shared)

    def are_parts(self, i: int, k: int, shared: int) -> bool:
        """Whether two instances are parts of an object that neither's view holds.

        Each goes on to its own view's edge within the other's view, and what both views see is the same there.
        """
        if self.classes[i] != self.classes[k] or shared == 0:
            return False
        for one, other in ((i, k), (k, i)):
            sign = np.array([1, 1, -1, -1])
            goes_on = sign * self.views[other] < sign * self.views[one]  # where the other's view reaches further
            if holds(self.views[one], self.boxes[other]) or not (goes_on & self.cut[one]).any():
                return False
        return shared >= SAME * (self.visible(i, self.views[k]) + self.visible(k, self.views[i]) - shared)

    def joined(self, parts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Parts of an object as one: the box around theirs (4,), and their masks' maximum (28, 28) in it."""
        box = np.concatenate([self.boxes[parts, :2].min(axis=0), self.boxes[parts, 2:].max(axis=0)])
        return box, np.max([_redrawn(self.masks[i], self.boxes[i], box) for i in parts], axis=0)

    def instances(self, groups: list[list[int]]) -> Instances:
        """Instances as a `Predictor` returns them, by falling score: one for each group of parts.

        The score of several is the highest, as SAHI has it: each of them is sure to see some of the object.
        """
        scores = np.array([self.scores[group].max() for group in groups], dtype=np.float32)
        groups = [groups[n] for n in np.argsort(-scores, kind="stable")]
        drawn = [self.joined(g) if len(g) > 1 else (self.boxes[g[0]], self.masks[g[0]]) for g in groups]
        boxes = np.array([box for box, _ in drawn], dtype=np.float32).reshape(-1, 4)
        masks = np.array([mask for _, mask in drawn], dtype=np.float32).reshape(-1, 1, *self.masks.shape[1:])
        return Instances(
            self.shape,
            pred_boxes=Boxes(torch.from_numpy(boxes)),
            scores=torch.from_numpy(-np.sort(-scores)),
            pred_classes=torch.from_numpy(np.array([self.classes[group[0]] for group in groups], dtype=np.int64)),
            pred_masks=torch.from_numpy(masks),
        )

    def _within(self, i: int, k: int) -> int:
        """Pixels that `i` shares with `k` grown by `LEEWAY`."""
        around = _grown(self.boxes[k])
        window = _meet(paste_range(self.boxes[i], self.shape), paste_range(around, self.shape))
        if window is None:
            return 0
        return int(np.count_nonzero(self._part(i, window) & paste_part(self.masks[k], around, window)))

    def _part(self, index: int, window: tuple[int, int, int, int]) -> np.ndarray:
        return paste_part(self.masks[index], self.boxes[index], window)


def holds(views: np.ndarray, box: np.ndarray, leeway: float = 0) -> np.ndarray:
    """Whether views (…, 4) hold a box (4,) but for a pixel, or `leeway` of its sides where that is more."""
    slack = np.maximum(1, leeway * (box[2:] - box[:2]))
    return ((views[..., :2] <= box[:2] + slack) & (views[..., 2:] >= box[2:] - slack)).all(axis=-1)


def _grown(boxes: np.ndarray) -> np.ndarray:
    """Boxes (…, 4) with `LEEWAY` of their sides around them."""
    margin = LEEWAY * (boxes[..., 2:] - boxes[..., :2])
    return np.concatenate([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """The window that two have in common."""
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _redrawn(mask: np.ndarray, box: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """A mask (m, n) in its box as one of the same form in a box around it.

    A cell's value is the mean of `FINER` x `FINER` points as `paste_mask` finds them, whose weights are products of
    one for the row and one for the column.
    """
    weights = []
    for axis, cells in enumerate(mask.shape[::-1]):
        step = (onto[axis + 2] - onto[axis]) / (cells * FINER)
        points = onto[axis] + (np.arange(cells * FINER) + 0.5) * step
        weights.append(cell_weights(points, box[axis], box[axis + 2], cells).reshape(cells, FINER, cells).mean(axis=1))
    return weights[1] @ mask @ weights[0].T
