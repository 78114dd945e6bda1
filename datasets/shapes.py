"""Shapes that the drawings of the sample are made of, in metres, x to the right and y down."""

from typing import NamedTuple

import cv2
import numpy as np

Point = tuple[float, float]
Joint = tuple[float, float, float]  # x, y, radius


class Part(NamedTuple):
    """One piece of material.

    Attributes:
        pieces: polygons (N, 2), metres, whose union is the part.
        colour: RGB, 0 to 255.
        relief: how strongly its rim takes the light; 0 is flat.
        grain: amplitude of its texture, a share of the colour.
    """

    pieces: list[np.ndarray]
    colour: np.ndarray
    relief: float = 0.4
    grain: float = 0.05


def box(x0: float, y0: float, x1: float, y1: float) -> list[np.ndarray]:
    """An upright rectangle."""
    return [np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])]


def outline(*points: Point) -> list[np.ndarray]:
    """A polygon with sharp corners."""
    return [np.array(points, float)]


def disc(x: float, y: float, rx: float, ry: float | None = None) -> list[np.ndarray]:
    """An ellipse with radii rx and ry (a circle without ry)."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return [np.stack([x + rx * np.cos(angle), y + (ry or rx) * np.sin(angle)], 1)]


def spline(points: np.ndarray, closed: bool, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through points (N, D); the curve is (about N * steps, D)."""
    padded = np.concatenate([points[-1:], points, points[:2]] if closed else [points[:1], points, points[-1:]])
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    curve = curve.reshape(-1, points.shape[1])
    return curve if closed else np.concatenate([curve, points[-1:]])


def blob(*points: Point) -> list[np.ndarray]:
    """A closed smooth outline through the points."""
    return [spline(np.array(points, float), closed=True)]


def stroke(*joints: Joint, smooth: bool = True) -> list[np.ndarray]:
    """A limb, a hose, a tail: a line of changing thickness through the joints (x, y, radius).

    It is a chain of tapered capsules, one polygon each, because one polygon around a sharp bend would cross itself.
    """
    line = spline(np.array(joints, float), closed=False, steps=4) if smooth else np.array(joints, float)
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    rings = line[:, None, :2] + line[:, None, 2:] * np.stack([np.cos(angle), np.sin(angle)], 1)
    pairs = np.concatenate([rings[:-1], rings[1:]], 1).astype(np.float32)
    return [cv2.convexHull(pair)[:, 0].astype(float) for pair in pairs]


def turned(pieces: list[np.ndarray], degrees: float, x: float, y: float) -> list[np.ndarray]:
    """The pieces turned about (x, y), anticlockwise as seen."""
    a = np.deg2rad(degrees)
    matrix = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return [(piece - (x, y)) @ matrix + (x, y) for piece in pieces]


def pick(rng: np.random.Generator, palette: list[tuple[int, int, int]], spread: float = 12) -> np.ndarray:
    """A colour near one of the palette's: mostly lighter or darker, a little off in hue."""
    change = rng.normal(0, spread) + rng.normal(0, 0.35 * spread, 3)
    return np.clip(np.array(palette[rng.integers(len(palette))]) + change, 8, 248)
