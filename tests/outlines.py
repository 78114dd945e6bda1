"""Outlines and photos on which augmentations are measured."""

import albumentations as A
import numpy as np

from campus_seg.data.augmentations import Augmentation
from campus_seg.data.geometry import Rings

HEIGHT, WIDTH = 300, 421
GREY = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def outline(*rings):
    return Rings.from_polygons([[np.ravel(ring) for ring in rings]])


def star(centre, radius, points=40):
    """A jagged outline of about 2 radius x 2 radius pixels."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    reach = radius * (0.85 + 0.15 * np.cos(5 * angle))
    return np.stack([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)], axis=1)


def blob_at(x, y):
    """A photo with one soft spot whose centre of mass is (x, y), continuous."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.5**2))
    return np.repeat(np.round(spot).astype(np.uint8)[..., None], 3, axis=2)


def augment(transforms, objects, image=GREY, seed=(0,)):
    return Augmentation(A.Compose(transforms))(image, objects, seed)


def drawn_at_four_times(ring, height=HEIGHT, width=WIDTH):
    """(4 height, 4 width) uint8 mask of 0 and 1: which of the fine pixels have their centre inside the outline."""
    x, y = (ring * 4).T
    rows, columns = np.mgrid[: 4 * height, : 4 * width] + 0.5
    inside = np.zeros(rows.shape, bool)
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):  # even-odd rule, edge by edge
        top, bottom = max(0, int(min(y0, y1))), min(4 * height, int(max(y0, y1)) + 1)
        row, column = rows[top:bottom], columns[top:bottom]
        crosses = (y0 > row) != (y1 > row)
        inside[top:bottom] ^= crosses & (column < x0 + (row - y0) * (x1 - x0) / ((y1 - y0) or 1))
    return inside.astype(np.uint8)


def reduced(fine):
    """To a quarter of the size: a pixel belongs to the object where at least half its area does."""
    height, width = fine.shape
    return fine.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3)) >= 0.5


def iou(a, b):
    return (a & b).sum() / (a | b).sum()
