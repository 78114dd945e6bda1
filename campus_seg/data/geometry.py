"""Outlines of many objects as one array of points, and back to Detectron2's polygons, boxes and masks.

Coordinates are continuous and absolute, as everywhere in Detectron2: a photo covers [0, width] x [0, height] and
the centre of its first pixel is (0.5, 0.5).
"""

from dataclasses import dataclass

import numpy as np
import pycocotools.mask
import shapely

from campus_seg.label_studio.geometry import EDGE_TOLERANCE, MIN_AREA, without_holes


@dataclass
class Rings:
    """Closed outlines. An object is the union of its rings.

    Attributes:
        points: (P, 2) float64, x and y of every vertex of every ring, one ring after the other, first not repeated.
        starts: (R,) int64, index of each ring's first vertex.
        owners: (R,) int64, index of the object each ring belongs to, ascending.
    """

    points: np.ndarray
    starts: np.ndarray
    owners: np.ndarray

    @classmethod
    def from_list(cls, rings: list[np.ndarray], owners: list[int]) -> "Rings":
        """From (n, 2) arrays of vertices and the index of each one's object."""
        lengths = np.array([len(ring) for ring in rings], dtype=np.int64)
        points = np.concatenate(rings) if rings else np.zeros((0, 2))
        return cls(points.astype(np.float64, copy=False), np.cumsum(lengths) - lengths, np.array(owners, np.int64))

    @classmethod
    def from_polygons(cls, objects: list[list]) -> "Rings":
        """From COCO polygons: for each object a list of rings [x0, y0, x1, y1, ...], each of 3 vertices or more."""
        rings = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for parts in objects for ring in parts]
        return cls.from_list(rings, [index for index, parts in enumerate(objects) for _ in parts])

    def __len__(self) -> int:
        return len(self.starts)

    def split(self) -> list[np.ndarray]:
        """Views of `points`, an (n, 2) array a ring."""
        ends = [*self.starts.tolist(), len(self.points)][1:]
        return [self.points[start:end] for start, end in zip(self.starts.tolist(), ends, strict=True)]

    def scaled(self, x: float, y: float) -> "Rings":
        """The rings with all coordinates multiplied."""
        return Rings(self.points * (x, y), self.starts, self.owners)

    def bounds(self) -> np.ndarray:
        """(R, 4) float64 tight boxes of the rings, XYXY_ABS."""
        if not len(self):
            return np.zeros((0, 4))
        low = np.minimum.reduceat(self.points, self.starts)
        return np.concatenate([low, np.maximum.reduceat(self.points, self.starts)], axis=1)

    def areas(self) -> np.ndarray:
        """(R,) float64 enclosed areas in square pixels, by the shoelace formula."""
        if not len(self):
            return np.zeros(0)
        following = np.arange(1, len(self.points) + 1)
        following[np.append(self.starts[1:], len(self.points)) - 1] = self.starts
        # Relative to each ring's own start, which keeps the digits of small rings far from the origin.
        sizes = np.diff(np.append(self.starts, len(self.points)))
        x, y = (self.points - np.repeat(self.points[self.starts], sizes, axis=0)).T
        return np.abs(np.add.reduceat(x * y[following] - y * x[following], self.starts)) / 2

    def cut(self, height: int, width: int) -> "Rings":
        """The rings cut at the photo's edges. Concave ones may come apart; those wholly outside are gone."""
        bounds = self.bounds()
        outside = np.maximum(-bounds[:, :2], bounds[:, 2:] - (width, height)).max(axis=1) > EDGE_TOLERANCE
        rings = self
        if outside.any():
            pieces, owners = [], []
            frame = shapely.box(0, 0, width, height)
            for ring, owner, leaves in zip(self.split(), self.owners.tolist(), outside.tolist(), strict=True):
                for piece in _cut(ring, frame) if leaves else [ring]:
                    pieces.append(piece)
                    owners.append(owner)
            rings = Rings.from_list(pieces, owners)
        return Rings(np.clip(rings.points, 0, (width, height)), rings.starts, rings.owners)

    def without_specks(self) -> "Rings":
        """The rings that enclose at least `MIN_AREA`."""
        kept = self.areas() >= MIN_AREA
        if kept.all():
            return self
        rings = self.split()
        for index in np.flatnonzero(~kept):  # the two halves of a figure 8 cancel out in the shoelace formula
            kept[index] = shapely.make_valid(shapely.polygons(rings[index])).area >= MIN_AREA
        return Rings.from_list([rings[index] for index in np.flatnonzero(kept)], self.owners[kept].tolist())

    def objects(self) -> tuple[np.ndarray, np.ndarray, list[list[np.ndarray]]]:
        """What is left, by object.

        Returns:
            (N,) int64 indices of the objects that have rings, ascending; (N, 4) float64 their tight boxes,
            XYXY_ABS; and for each the list of its rings as flat float64 arrays [x0, y0, x1, y1, ...].
        """
        kept, first = np.unique(self.owners, return_index=True)
        if not len(kept):
            return kept, np.zeros((0, 4)), []
        bounds = self.bounds()
        low = np.minimum.reduceat(bounds[:, :2], first)
        boxes = np.concatenate([low, np.maximum.reduceat(bounds[:, 2:], first)], axis=1)
        flat = [ring.reshape(-1) for ring in self.split()]
        ends = [*first.tolist(), len(flat)][1:]
        return kept, boxes, [flat[start:end] for start, end in zip(first.tolist(), ends, strict=True)]


def _cut(ring: np.ndarray, frame: shapely.Geometry) -> list[np.ndarray]:
    """The part of a ring inside `frame`, as any number of (n, 2) rings."""
    polygon = shapely.polygons(ring)
    if not shapely.is_valid(polygon):  # crosses or touches itself: even-odd, as pycocotools fills it
        polygon = shapely.make_valid(polygon)
    return [np.asarray(part.exterior.coords)[:-1] for part in without_holes(shapely.intersection(polygon, frame))]


def boxes_inside(objects: Rings | np.ndarray, height: int, width: int) -> np.ndarray:
    """Tight boxes of the objects of a photo, cut at its edges; those with nothing inside have none.

    Args:
        objects: outlines, or masks as (N, height, width).
        height: of the photo, in pixels.
        width: of the photo, in pixels.

    Returns:
        (M, 4) float32, XYXY_ABS.
    """
    if isinstance(objects, Rings):
        boxes = objects.objects()[1]
    else:
        corners = [np.nonzero(mask) for mask in objects]
        boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in corners if len(x)]
    boxes = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0, (width, height, width, height))
    return boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_AREA]


def rasterise(polygons: list, height: int, width: int) -> np.ndarray:
    """Mask of one object, by pycocotools as in Detectron2 and COCO's evaluation.

    Args:
        polygons: the object's rings, flat [x0, y0, x1, y1, ...].
        height: of the mask, in pixels.
        width: of the mask, in pixels.

    Returns:
        (H, W) uint8, 0 or 1.
    """
    return decode_rle(pycocotools.mask.merge(pycocotools.mask.frPyObjects(polygons, height, width)))


def decode_rle(rle: dict) -> np.ndarray:
    """(H, W) uint8 mask, 0 or 1, of a COCO RLE `{"size": [h, w], "counts": list, str or bytes}`."""
    if isinstance(rle["counts"], list):
        rle = pycocotools.mask.frPyObjects(rle, *rle["size"])
    return pycocotools.mask.decode(rle)
