"""Small masks within boxes become pixels, one object at a time."""

from collections.abc import Iterator

import numpy as np
from detectron2.structures import Instances

from campus_seg.inference.regions import FoundObject, Region, row_bands

MASK_THRESHOLD = 0.5  # Detectron2's own


def paste_mask(mask: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> Region:
    """A small mask stretched over its box and cut at `MASK_THRESHOLD`.

    What Detectron2's `paste_masks_in_image` samples point by point: bilinear between the centres of the mask's
    cells, zero outside. Bilinear weights are products of one for the row and one for the column, so here they are
    two small matrices. Values differ from Detectron2's by rounding only (below 1e-5).

    Args:
        mask: (m, n) float32, the probability of "object" within the box.
        box: (4,) XYXY in the photo's pixels, with x0 < x1 and y0 < y1. It may leave the photo.
        shape: (H, W) of the photo.

    Returns:
        A region of the size of the box and a pixel around it, as far as that lies in the photo; not tight.
    """
    window = paste_range(box, shape)
    return Region(window[0], window[1], paste_part(mask, box, window))


def paste_range(box: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a mask pasted into a box may have pixels: (x0, y0, x1, y1) within a photo of `shape` (H, W).

    x1 and y1 are exclusive, and not below x0 and y0 where the box lies outside.
    """
    height, width = shape
    left, top = (max(int(np.floor(v)) - 1, 0) for v in box[:2])
    return left, top, max(left, min(int(np.ceil(box[2])) + 1, width)), max(top, min(int(np.ceil(box[3])) + 1, height))


def paste_part(mask: np.ndarray, box: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """`paste_mask` for some of the photo's pixels alone.

    Args:
        mask: (m, n) float32, the probability of "object" within the box.
        box: (4,) XYXY in the photo's pixels.
        window: (x0, y0, x1, y1) in the photo's pixels, whole numbers, x1 and y1 exclusive.

    Returns:
        (y1 - y0, x1 - x0) bool.
    """
    left, top, right, bottom = window
    x0, y0, x1, y1 = (float(v) for v in box)
    rows = cell_weights(np.arange(top, bottom) + 0.5, y0, y1, mask.shape[0]) @ mask
    columns = np.ascontiguousarray(cell_weights(np.arange(left, right) + 0.5, x0, x1, mask.shape[1]).T)
    pasted = np.empty((bottom - top, right - left), dtype=bool)
    for band in row_bands(pasted.shape):
        np.greater_equal(rows[band] @ columns, np.float32(MASK_THRESHOLD), out=pasted[band])
    return pasted


def cell_weights(points: np.ndarray, start: float, stop: float, cells: int) -> np.ndarray:
    """How much each cell of a mask that lies over start … stop counts at some points (P,) of that axis.

    Returns:
        (P, cells) float32: 1 where a point is a cell's centre, 0 from the next cell's centre on.
    """
    position = (points - start) / (stop - start) * cells - 0.5  # in cells, from the first's centre
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells))).astype(np.float32)


def instance_region(instances: Instances, index: int) -> Region:
    """The mask of one instance in its photo; not tight.

    Args:
        instances: what a `Predictor` returns for a photo.
        index: which of them.
    """
    mask = instances.pred_masks[index, 0].float().numpy()
    return paste_mask(mask, instances.pred_boxes.tensor[index].numpy(), instances.image_size)


def found_objects(instances: Instances) -> Iterator[FoundObject]:
    """The instances of a photo that have at least one pixel, by falling score.

    Each is pasted when it is asked for: a hundred masks of a phone photo would fill a gigabyte, and a panorama's ten.

    Args:
        instances: what a `Predictor` returns for a photo.
    """
    for i in np.argsort(-instances.scores.numpy(), kind="stable").tolist():
        region = instance_region(instances, i).tight()
        if region.area:
            yield FoundObject(int(instances.pred_classes[i]), float(instances.scores[i]), region)
        del region  # or it would stay while the next one is pasted
