"""Masks as outlines that a person can edit: few points, as near to the mask as is wanted."""

from collections.abc import Sequence

import numpy as np
import shapely
from pycocotools import mask as coco_mask

from campus_seg.label_studio.geometry import without_holes
from campus_seg.label_studio.masks import encode_mask, mask_of_rings

CLOSE = 0.97  # least IoU of outlines with their mask; see `editable_rings`
FINEST = 0.5  # pixels; what is drawn nearer to the pixels' stairs than this is the stairs
STEP = 1.5  # by which the tolerance falls


def editable_rings(mask: np.ndarray, close: float = CLOSE) -> list[np.ndarray] | None:
    """The outlines of a mask with as few points as its IoU with them allows.

    The IoU is that of the pixels that COCO, and so the next training, makes of the outlines.

    Args:
        mask: (H, W) bool, with at least one pixel.
        close: the least IoU.

    Returns:
        Rings, each (n, 2) float64 in pixels of the mask, the largest part first; None where it has holes that count,
        which no outline can have.
    """
    shape = _exact(mask)
    parts = sorted(shapely.get_parts(shape), key=shapely.area, reverse=True)
    filled = [shapely.Polygon(part.exterior) for part in parts]
    # Half of what may be lost is for holes that are filled, half for crumbs that are left out.
    if mask.sum() < (1 + close) / 2 * shapely.area(shapely.union_all(filled)):
        return None
    return _simplified(_counting(filled, close), mask, close)


def cut_rings(mask: np.ndarray, close: float = CLOSE) -> list[np.ndarray]:
    """The outlines of a mask whose holes are cut open, for a project that has no brush; see `editable_rings`."""
    parts = sorted(without_holes(_exact(mask), between_pixels=True), key=shapely.area, reverse=True)
    return _simplified(_counting(parts, close), mask, close)


def _exact(mask: np.ndarray) -> shapely.Geometry:
    """The polygons of a mask's pixels: the union of its rows' runs, each a box."""
    height, width = mask.shape
    edges = np.flatnonzero(np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8).ravel()))
    rows, columns = np.divmod(edges + 1, width + 2)
    y, x0, x1 = rows[::2], columns[::2] - 1, columns[1::2] - 1
    union = shapely.union_all(shapely.box(x0, y, x1, y + 1))
    return shapely.simplify(union, 0)  # without points along straight edges


def _counting(parts: Sequence[shapely.Polygon], close: float) -> list[shapely.Polygon]:
    """The largest parts, without crumbs that together are less than half of what may be lost."""
    areas = np.cumsum([part.area for part in parts])
    count = int(np.searchsorted(areas, areas[-1] * (1 + close) / 2)) + 1
    return list(parts[:count])


def _simplified(parts: Sequence[shapely.Polygon], mask: np.ndarray, close: float) -> list[np.ndarray]:
    height, width = mask.shape
    wanted = encode_mask(mask)
    tolerance = np.sqrt(mask.sum()) / 4
    while tolerance > FINEST:
        rings = [shapely.get_coordinates(shapely.simplify(part, tolerance).exterior)[:-1] for part in parts]
        if coco_mask.iou([mask_of_rings(rings, width, height)], [wanted], [False])[0, 0] >= close:
            return rings
        tolerance /= STEP
    return [shapely.get_coordinates(part.exterior)[:-1] for part in parts]
