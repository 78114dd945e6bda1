"""Shapes in the photo's own upright pixels: orientation, validity, boxes and areas.

Coordinates are continuous: x from 0 at the left edge to the width at the right, y downwards likewise. A ring is an
(n, 2) float64 array of x, y; an object is a list of rings whose union it is.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely

MIN_AREA = 1.0  # square pixels; smaller shapes are slips of the mouse
EDGE_TOLERANCE = 0.01  # pixels; what leaves the photo by less is rounding, and is pushed in instead of being cut
_MIN_HOLE = 1e-4  # square pixels; smaller holes are rounding


def box_ring(x: float, y: float, width: float, height: float, rotation: float = 0.0) -> np.ndarray:
    """The outline, (4, 2), of a box in XYWH_ABS, turned about its first corner clockwise by `rotation` degrees."""
    turn = np.radians(rotation)
    along, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    return np.array([x, y]) + np.array([0 * along, width * along, width * along + height * down, height * down])


def ellipse_ring(centre: np.ndarray, radii: np.ndarray, rotation: float = 0.0, corners: int = 96) -> np.ndarray:
    """The outline, (corners, 2), of an ellipse with the area of the true one.

    Args:
        centre: (2,), x and y.
        radii: (2,), along x and y before it is turned.
        rotation: about its centre, clockwise in degrees.
        corners: how many.
    """
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    # A polygon inscribed in a circle encloses less than it: sin(a) / a of it, a being the angle of a side.
    step = 2 * np.pi / corners
    along, down = radii[:, None] * np.stack([np.cos(angle), np.sin(angle)]) / np.sqrt(np.sin(step) / step)
    turn = np.radians(rotation)
    turned = np.stack([along * np.cos(turn) - down * np.sin(turn), along * np.sin(turn) + down * np.cos(turn)], axis=1)
    return centre + turned


class RingCheck(NamedTuple):
    """What `check_rings` says of R rings: (R,) bool, (R, 4) boxes in XYWH_ABS, and (R,) areas in square pixels.

    Boxes and areas are those of sound rings; of others they mean nothing.
    """

    sound: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray


def check_rings(rings: Sequence[np.ndarray], sizes: np.ndarray) -> RingCheck:
    """Tells, all at once, which rings are valid polygons of at least MIN_AREA inside their photos.

    `clean_rings` would give just these back unchanged.

    Args:
        rings: each (n, 2), in pixels, n of at least 1.
        sizes: (R, 2), width and height of each one's photo in pixels.
    """
    if not rings:
        return RingCheck(np.zeros(0, bool), np.zeros((0, 4)), np.zeros(0))
    lengths = np.fromiter(map(len, rings), np.int64, len(rings))
    starts = np.cumsum(lengths) - lengths
    points = np.concatenate(rings)
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    inside = ((low >= 0) & (high <= sizes)).all(axis=1)  # which NaN is not
    closed = (points[starts] == points[starts + lengths - 1]).all(axis=1)
    sound = inside & (lengths - closed >= 3)
    areas = np.zeros(len(rings))
    if sound.any():
        owners = np.repeat(np.arange(np.count_nonzero(sound)), lengths[sound])
        polygons = shapely.polygons(shapely.linearrings(points[np.repeat(sound, lengths)], indices=owners))
        areas[sound] = np.where(shapely.is_valid(polygons), shapely.area(polygons), 0)
        sound &= areas >= MIN_AREA
    return RingCheck(sound, np.concatenate([low, high - low], axis=1), areas)


def clean_rings(rings: Sequence[np.ndarray], width: int, height: int) -> tuple[list[np.ndarray], set[str]]:
    """Clips rings to the photo and makes them valid.

    A self-crossing ring becomes the parts it encloses by the even-odd rule (shapely.make_valid), a hole among them
    cut open by `without_holes`. Rings that are valid and lie inside come back unchanged.

    Args:
        rings: each (n, 2), in pixels.
        width: the photo's, in pixels.
        height: the photo's, in pixels.

    Returns:
        The rings of all parts of at least MIN_AREA square pixels (where there was a hole, several of one part, each
        of any size), none where nothing is left; and the codes of what was done: "polygon_clipped",
        "polygon_repaired", "annotation_degenerate" (a ring was dropped).
    """
    cleaned, codes = [], set()
    frame = shapely.box(0, 0, width, height)
    for ring in rings:
        if len(ring) - np.array_equal(ring[:1], ring[-1:]) < 3 or not np.isfinite(ring).all():
            codes.add("annotation_degenerate")
            continue
        sticks_out = np.maximum(-ring, ring - (width, height)).max()
        if 0 < sticks_out <= EDGE_TOLERANCE:
            ring = np.clip(ring, 0, (width, height))
        shape = shapely.polygons(ring)
        done = set()
        if not shape.is_valid:
            done.add("polygon_repaired")
            shape = shapely.make_valid(shape)
        if sticks_out > EDGE_TOLERANCE:
            done.add("polygon_clipped")
            shape = shapely.intersection(shape, frame)
        large = [part for part in _polygons(shape) if part.area >= MIN_AREA]
        if done:
            cleaned += [shapely.get_coordinates(p.exterior)[:-1] for part in large for p in without_holes(part)]
        elif large:
            cleaned.append(ring)
        codes |= done if large else {"annotation_degenerate"}
    return cleaned, codes


def without_holes(geometry: shapely.Geometry, between_pixels: bool = False) -> list[shapely.Polygon]:
    """Polygons without holes that cover the same area: each hole is cut through its middle.

    Args:
        geometry: in pixels.
        between_pixels: for outlines of whole pixels: cuts along their edges, as COCO would lose pixels cut in two.
    """
    whole = []
    for polygon in _polygons(geometry):
        hole = next((ring for ring in polygon.interiors if shapely.Polygon(ring).area > _MIN_HOLE), None)
        if hole is None:
            whole += [shapely.Polygon(polygon.exterior)] if polygon.area else []
            continue
        middle = (hole.bounds[0] + hole.bounds[2]) / 2
        if between_pixels:
            middle = math.floor(middle)  # a hole of one column is cut along its left edge
        left, low, right, high = polygon.bounds
        for half in (shapely.box(left, low, middle, high), shapely.box(middle, low, right, high)):
            whole += without_holes(shapely.intersection(polygon, half), between_pixels)
    return whole


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
