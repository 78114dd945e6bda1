"""Shapes in the photo's own upright pixels: orientation, validity, boxes and areas.

Coordinates are continuous: x from 0 at the left edge to the width at the right, y downwards likewise. A ring is an
(n, 2) float64 array of x, y; an object is a list of rings whose union it is.
"""

from collections.abc import Sequence

import numpy as np
import shapely

EXIF_ORIENTATION = 0x0112
MIN_AREA = 1.0  # square pixels; smaller shapes are slips of the mouse


def upright_size(stored_width: int, stored_height: int, orientation: int) -> tuple[int, int]:
    """(width, height) in pixels of a photo as seen; orientations 5-8 lie on their side (EXIF 2.3, table 3)."""
    return (stored_height, stored_width) if orientation in (5, 6, 7, 8) else (stored_width, stored_height)


def box_ring(x: float, y: float, width: float, height: float) -> np.ndarray:
    """The outline, (4, 2), of a box in XYWH_ABS."""
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], dtype=np.float64)


def clean_rings(rings: Sequence[np.ndarray], width: int, height: int) -> list[np.ndarray]:
    """Clips rings to the photo and makes them valid.

    A self-crossing ring becomes the parts it encloses (shapely.make_valid). Rings that are valid and lie inside
    come back unchanged.

    Args:
        rings: each (n, 2), in pixels.
        width: the photo's, in pixels.
        height: the photo's, in pixels.

    Returns:
        Rings of at least MIN_AREA square pixels; none where nothing is left. Holes cannot be said by rings alone,
        so a hole that a self-crossing makes is filled.
    """
    cleaned = []
    frame = shapely.box(0, 0, width, height)
    for ring in rings:
        if len(ring) < 3 or not np.isfinite(ring).all():
            continue
        shape = shapely.polygons(ring)
        if shape.is_valid and frame.covers(shape):
            parts = [(shape.area, ring)]
        else:
            clipped = shapely.intersection(shapely.make_valid(shape), frame)
            parts = [(p.area, shapely.get_coordinates(p.exterior)[:-1]) for p in _polygons(clipped)]
        cleaned += [np.asarray(part, dtype=np.float64) for area, part in parts if area >= MIN_AREA]
    return cleaned


def _polygons(shape: shapely.Geometry) -> list[shapely.Polygon]:
    """The polygons in any geometry; a collection may hold multi-polygons, hence two levels."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return [part for part in parts if part.geom_type == "Polygon"]


def rings_box(rings: Sequence[np.ndarray]) -> list[float]:
    """The tight box in XYWH_ABS around all rings."""
    points = np.concatenate(rings)
    low, high = points.min(axis=0), points.max(axis=0)
    return [*map(float, low), *map(float, high - low)]


def rings_area(rings: Sequence[np.ndarray]) -> float:
    """Area of the rings' union in square pixels."""
    return float(shapely.union_all([shapely.make_valid(shapely.polygons(ring)) for ring in rings]).area)
