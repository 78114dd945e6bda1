"""Outlines and photos on which augmentations are measured."""

import numpy as np

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
