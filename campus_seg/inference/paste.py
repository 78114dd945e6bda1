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
    height, width = shape
    x0, y0, x1, y1 = (float(v) for v in box)
    left, top = (max(int(np.floor(v)) - 1, 0) for v in (x0, y0))
    right, bottom = max(left, min(int(np.ceil(x1)) + 1, width)), max(top, min(int(np.ceil(y1)) + 1, height))
    rows = _weights(top, bottom, y0, y1, mask.shape[0]) @ mask
    columns = np.ascontiguousarray(_weights(left, right, x0, x1, mask.shape[1]).T)
    pasted = np.empty((bottom - top, right - left), dtype=bool)
    for band in row_bands(pasted.shape):
        np.greater_equal(rows[band] @ columns, np.float32(MASK_THRESHOLD), out=pasted[band])
    return Region(left, top, pasted)


def _weights(first: int, end: int, start: float, stop: float, cells: int) -> np.ndarray:
    """How much each cell of a mask that lies over start … stop counts in pixels first … end - 1.

    Returns:
        (end - first, cells) float32: 1 where a pixel's centre is a cell's, 0 from the next cell's centre on.
    """
    position = (np.arange(first, end) + 0.5 - start) / (stop - start) * cells - 0.5  # in cells, from the first's centre
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
