"""The six classes of the sample, each a parametric drawing.

A drawing is a list of `Part`, back to front, in metres: x to the right, y down, the foot of the object at y = 0.
Everything faces right; `campus_scenes.render_object` mirrors, scales and shades it. Colours are RGB, 0 to 255.
"""

from collections.abc import Callable
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


SKIN = [(233, 194, 166), (214, 165, 130), (168, 112, 78), (112, 72, 50)]
HAIR = [(38, 28, 24), (82, 54, 34), (150, 104, 58), (205, 170, 110), (120, 118, 116)]
CLOTHES = [
    *[(190, 44, 48), (36, 62, 130), (40, 110, 70), (225, 222, 214), (48, 48, 54), (222, 170, 44)],
    *[(104, 60, 128), (92, 148, 196), (206, 112, 60), (118, 122, 128)],
]
TROUSERS = [(44, 58, 96), (38, 38, 44), (122, 104, 78), (92, 98, 104), (70, 90, 120)]
WOOD = [(158, 106, 62), (128, 82, 48), (176, 134, 88), (112, 104, 94), (72, 102, 76)]
METAL = [(52, 54, 58), (94, 98, 102), (140, 142, 144), (44, 62, 52)]
PAINT = [
    *[(188, 28, 34), (26, 62, 140), (222, 224, 226), (42, 44, 50), (150, 156, 162), (30, 98, 92)],
    *[(204, 160, 42), (104, 134, 168), (112, 26, 40)],
]
BRONZE = [(104, 76, 48), (74, 62, 50), (92, 128, 112), (150, 148, 142), (58, 56, 56)]
STONE = [(176, 170, 160), (146, 142, 138), (190, 178, 156), (126, 112, 104)]
COAT = [(132, 88, 52), (48, 42, 40), (214, 188, 146), (226, 220, 210), (168, 112, 64), (98, 92, 88)]


def person(rng: np.random.Generator) -> list[Part]:
    """A person of about 1.75 m, standing or walking, seen from the front, the back or the side."""
    skin, top, hair = pick(rng, SKIN), pick(rng, CLOTHES, 20), pick(rng, HAIR, 8)
    trousers, shoes = pick(rng, TROUSERS), pick(rng, [(40, 38, 38), (225, 225, 225), (120, 70, 40)])
    view = rng.choice(["front", "back", "side"], p=[0.4, 0.2, 0.4])
    side, build = view == "side", rng.uniform(0.9, 1.2)
    long_sleeves, shorts = rng.random() < 0.6, rng.random() < 0.2
    stride = rng.uniform(0.08, 0.34) if side else rng.uniform(0.0, 0.05)
    hip, shoulder = (0.03, 0.05) if side else (0.10 * build, 0.19 * build)

    def leg(k: int) -> list[Part]:
        foot = k * (stride if side else hip + stride)
        knee = 0.5 * (k * hip + foot) + (0.07 if side else 0)
        lift = -0.07 if side and k < 0 else 0.0
        cut = -0.5 if shorts else -0.1
        lower = [(knee, -0.47, 0.082), (foot, -0.09 + lift, 0.062)]
        shoe = stroke((foot - 0.02, -0.05 + lift, 0.055), (foot + (0.14 if side else 0.03 * k), -0.045, 0.05))
        shade = 0.82 if k < 0 else 1.0
        cover = [(k * hip, -0.86, 0.115 * build), (knee, -0.47, 0.092)]
        if not shorts:
            cover.append((foot, cut + lift, 0.075))
        return [Part(stroke(*lower), skin * shade), Part(shoe, shoes * shade), Part(stroke(*cover), trousers * shade)]

    def arm(k: int) -> list[Part]:
        pose = rng.choice(["down", "bent", "raised"], p=[0.66, 0.26, 0.08])
        swing = -k * stride * 0.75 if side else k * rng.uniform(0.04, 0.14)
        x = k * shoulder
        elbow, hand = (x + 0.5 * swing, -1.14), (x + swing + (0.05 if side else 0), -0.88)
        if pose == "bent":
            hand = (elbow[0] + (0.22 if side else -0.16 * k), -1.24 if side else -1.08)
        elif pose == "raised":
            elbow, hand = (x + (0.2 if side else 0.2 * k), -1.42), (x + (0.25 if side else 0.26 * k), -1.72)
        shade = 0.85 if k < 0 else 0.95
        bare = stroke((*elbow, 0.05), (*hand, 0.042), smooth=False) + disc(*hand, 0.055)
        sleeve = [(x, -1.38, 0.07), (*elbow, 0.06)] + ([(*hand, 0.052)] if long_sleeves else [])
        return [Part(bare, skin), Part(stroke(*sleeve, smooth=False), top * shade)]

    if side:
        torso = blob(
            (-0.13, -1.4), (0.0, -1.47), (0.1, -1.42), (0.15, -1.18), (0.12, -0.85), (-0.13, -0.84), (-0.15, -1.2)
        )
        torso = [piece * (build, 1) for piece in torso]
    else:
        half = [(0.09, -1.47), (0.24, -1.4), (0.2, -1.12), (0.19, -0.84)]
        torso = blob(*[(x * build, y) for x, y in half], *[(-x * build, y) for x, y in half[::-1]])
    parts = arm(-1) if side else []
    parts += leg(-1) + leg(1)
    if rng.random() < 0.2:
        parts.append(Part(outline((-0.15, -0.98), (0.15, -0.98), (0.27, -0.5), (-0.27, -0.5)), pick(rng, CLOTHES)))
    bag = rng.random() < 0.3
    if bag and side:
        parts.append(Part(blob((-0.1, -1.44), (-0.1, -0.98), (-0.34, -0.98), (-0.32, -1.36)), pick(rng, CLOTHES)))
    parts.append(Part(torso, top, 0.5))
    if bag and view == "back":
        parts.append(Part(blob((-0.15, -1.4), (0.15, -1.4), (0.17, -0.98), (-0.17, -0.98)), pick(rng, CLOTHES), 0.6))
    elif view == "front" and rng.random() < 0.5:
        parts.append(Part(box(-0.1, -1.3, 0.1, -1.16), pick(rng, CLOTHES), 0.1))
    parts += arm(1) if side else arm(-1) + arm(1)
    long_hair = rng.random() < 0.4
    if long_hair and view != "back":
        back = -0.05 if side else 0.0
        parts.append(
            Part(
                blob((-0.13 + back, -1.66), (0, -1.77), (0.12 + back, -1.6), (0.13 + 2 * back, -1.38), (-0.14, -1.38)),
                hair,
            )
        )
    parts.append(Part(stroke((0, -1.52, 0.06), (0, -1.44, 0.065)), skin * 0.85))
    parts.append(Part(disc(0.015 if side else 0, -1.61, 0.105, 0.137), skin, 0.5))
    if view == "front":
        parts.append(
            Part(
                blob(
                    (-0.11, -1.6), (-0.1, -1.72), (0, -1.77), (0.1, -1.72), (0.11, -1.6), (0.06, -1.68), (-0.06, -1.68)
                ),
                hair,
            )
        )
        parts += [Part(disc(x, -1.615, 0.013), np.array((40.0, 30, 30)), 0) for x in (-0.042, 0.042)]
        parts.append(Part(disc(0, -1.54, 0.032, 0.01), np.array((150.0, 70, 70)), 0))
    elif view == "back":
        low = -1.38 if long_hair else -1.55
        parts.append(
            Part(blob((-0.115, -1.62), (-0.08, -1.74), (0.08, -1.74), (0.115, -1.62), (0.1, low), (-0.1, low)), hair)
        )
    else:
        parts.append(Part(disc(0.12, -1.6, 0.025), skin, 0.2))
        parts.append(
            Part(blob((0.1, -1.7), (0.0, -1.77), (-0.11, -1.7), (-0.11, -1.55), (-0.04, -1.55), (0, -1.67)), hair)
        )
    return parts


def bench(rng: np.random.Generator) -> list[Part]:
    """A bench of slats seen a little from the side; one in six has no backrest."""
    wood, metal = pick(rng, WOOD), pick(rng, METAL, 6)
    half, depth = rng.uniform(0.68, 0.98), rng.uniform(0.1, 0.28)
    skew, top = rng.uniform(-0.25, 0.25), rng.uniform(0.82, 0.95)
    rise, foot = depth * 0.62, rng.uniform(0.05, 0.08)
    parts = []
    for x in (-half + 0.12, half - 0.12):
        parts.append(Part(box(x + skew - foot, -0.44 - rise, x + skew + foot, -rise), metal * 0.7))
    if rng.random() < 0.84:
        posts = [-half + foot, half - foot] + ([0.0] if rng.random() < 0.4 else [])
        parts += [Part(box(x + skew - foot, -top - rise, x + skew + foot, -0.4 - rise), metal * 0.85) for x in posts]
        slats = int(rng.integers(2, 5))
        edges = np.linspace(-top - rise, -0.5 - rise, slats + 1)
        for y0, y1 in zip(edges[:-1], edges[1:], strict=True):
            tone = wood * rng.uniform(0.9, 1.08)
            parts.append(Part(box(skew - half, y0, skew + half, y1 - 0.022), tone, 0.45, 0.09))
    slats = int(rng.integers(2, 5))
    edges = np.linspace(0, 1, slats + 1)
    for back, front in zip(edges[:-1], edges[1:] - 0.06, strict=True):
        (x0, y0), (x1, y1) = ((skew * (1 - t), -0.44 - rise * (1 - t)) for t in (back, front))
        shape = outline((x0 - half, y0), (x0 + half, y0), (x1 + half, y1), (x1 - half, y1))
        parts.append(Part(shape, wood * rng.uniform(1.0, 1.2), 0.3, 0.09))
    parts.append(Part(box(-half, -0.455, half, -0.365), wood * 0.85, 0.4, 0.09))
    for x in (-half + 0.12, half - 0.12):
        parts.append(Part(box(x - foot, -0.37, x + foot, 0), metal))
        parts.append(Part(box(x - foot - 0.05, -0.05, x + foot + 0.05, 0), metal * 0.9))
    if rng.random() < 0.5:
        for x in (-half + 0.03, half - 0.03):
            arm = [(x + skew, -0.62 - rise, 0.035), (x, -0.66, 0.04), (x, -0.42, 0.035)]
            parts.append(Part(stroke(*arm, smooth=False), metal))
    return parts


CARS = {  # body, glass, height of the belt line
    "saloon": (
        [
            (-2.1, -0.4),
            (-2.15, -0.8),
            (-1.95, -0.97),
            (-1.4, -1.02),
            (-0.8, -1.4),
            (0.3, -1.43),
            (1.0, -1.02),
            (1.8, -0.9),
        ],
        [(-1.22, -1.0), (-0.72, -1.33), (0.25, -1.36), (0.85, -0.99)],
    ),
    "hatchback": (
        [(-1.9, -0.4), (-2.0, -0.85), (-1.82, -1.2), (-1.5, -1.47), (0.1, -1.51), (0.95, -1.06), (1.65, -0.95)],
        [(-1.7, -1.05), (-1.4, -1.39), (0.05, -1.43), (0.75, -1.03)],
    ),
    "van": (
        [(-2.1, -0.42), (-2.16, -1.0), (-2.08, -1.6), (-1.75, -1.77), (0.5, -1.78), (1.15, -1.2), (1.9, -1.08)],
        [(-1.9, -1.2), (-1.75, -1.64), (0.45, -1.67), (0.95, -1.18)],
    ),
}


def car(rng: np.random.Generator) -> list[Part]:
    """A parked car from the side: a saloon, a hatchback or a van."""
    kind = list(CARS)[rng.integers(len(CARS))]
    paint, rubber = pick(rng, PAINT, 16), np.array((30.0, 30, 32))
    stretch, rise = rng.uniform(0.88, 1.08), rng.uniform(0.94, 1.08)
    roof, glass = (np.array(shape) * (stretch, rise) for shape in CARS[kind])
    front, rear = 2.12 * stretch, roof[0, 0]
    nose = [(front - 0.03, -0.72), (front, -0.42), (front - 0.12, -0.24), (rear + 0.12, -0.24)]
    parts = [Part(blob(*roof, *nose), paint, 0.55, 0.015)]
    parts.append(Part(box(rear + 0.2, -0.36, front - 0.2, -0.24), rubber * 1.5, 0.2))
    parts.append(Part([glass], np.array((52.0, 62, 72)) * rng.uniform(0.8, 1.5), 0.25, 0.02))
    belt, crown = glass[0, 1], glass[1, 1]
    for x in np.linspace(glass[1, 0], glass[2, 0], 3)[:2] + (0.3 * stretch, 0.15 * stretch):
        glint = outline((x, belt), (x + 0.12, belt), (x + 0.34, crown), (x + 0.22, crown))
        parts.append(Part(glint, np.array((122.0, 138, 150)), 0, 0.02))
    pillars = [(glass[1, 0] + glass[2, 0]) / 2 + 0.1] + ([glass[1, 0] - 0.02] if kind != "saloon" else [])
    parts += [Part(box(x - 0.045, crown, x + 0.045, belt), paint * 0.8, 0.1, 0.01) for x in pillars]
    for x in (pillars[0], glass[3, 0] - 0.05):
        parts.append(Part(stroke((x, belt, 0.014), (x, -0.36, 0.014)), paint * 0.55, 0))
    parts.append(Part(box(pillars[0] - 0.36, belt + 0.1, pillars[0] - 0.14, belt + 0.15), paint * 0.6, 0.2))
    parts.append(
        Part(
            blob((front - 0.36, -0.83), (front - 0.07, -0.73), (front - 0.06, -0.6), (front - 0.3, -0.67)),
            np.array((236.0, 234, 214)),
        )
    )
    parts.append(Part(box(rear - 0.04, -0.86, rear + 0.13, -0.66), np.array((170.0, 24, 26)), 0.3))
    rim = pick(rng, [(176, 178, 182), (120, 122, 126), (205, 206, 208)], 6)
    radius = rng.uniform(0.32, 0.37)
    for x in (rear + 0.72 * stretch, front - 0.78 * stretch):
        parts.append(Part(disc(x, -radius - 0.02, radius + 0.07), rubber * 0.6, 0))
        parts.append(Part(disc(x, -radius, radius), rubber, 0.4))
        parts.append(Part(disc(x, -radius, radius * 0.62), rim, 0.5))
        for turn in np.arange(5) * 72.0:
            hole = turned(disc(x + radius * 0.38, -radius, radius * 0.12), turn, x, -radius)
            parts.append(Part(hole, rim * 0.35, 0))
    return parts


def fire_extinguisher(rng: np.random.Generator, stand: bool = False) -> list[Part]:
    """A red cylinder with a black hose and nozzle, on the wall's bracket or on a stand."""
    red = pick(rng, [(196, 24, 28), (170, 18, 24), (214, 44, 36)], 8)
    black, steel = np.array((28.0, 28, 30)), pick(rng, [(170, 172, 174), (196, 176, 96)], 8)
    r, top = rng.uniform(0.085, 0.115), rng.uniform(0.42, 0.54)
    parts = []
    if stand:
        parts.append(Part(box(-r * 0.5, -top - 0.06, r * 0.5, 0), steel * 0.6))
        parts.append(Part(blob((-r * 1.5, -0.035), (r * 1.5, -0.035), (r * 1.7, 0.03), (-r * 1.7, 0.03)), steel * 0.75))
    else:
        parts.append(Part(box(-r * 0.75, -top - 0.02, r * 0.75, -0.1), steel * 0.8, 0.2))
    shoulder = top * 0.84
    body = [(-r, -0.03), (-r, -shoulder), (-r * 0.72, -top * 0.95), (-r * 0.3, -top), (r * 0.3, -top)]
    body += [(r * 0.72, -top * 0.95), (r, -shoulder), (r, -0.03), (r * 0.85, 0), (-r * 0.85, 0)]
    parts.append(Part(outline(*body), red, 0.75, 0.02))
    parts.append(Part(box(-r * 0.62, -shoulder * 0.98, -r * 0.38, -0.05), red * 0.5 + 120, 0, 0.01))
    parts.append(Part(box(-r, -0.07, r, -0.045), red * 0.6, 0.2))
    label = pick(rng, [(232, 228, 214), (226, 200, 70), (210, 214, 220)], 6)
    parts.append(Part(box(-r * 0.7, -top * 0.62, r * 0.7, -top * rng.uniform(0.25, 0.35)), label, 0.25, 0.02))
    for y in np.linspace(-top * 0.57, -top * 0.42, 3):
        parts.append(Part(box(-r * 0.5, y, r * 0.45, y + 0.014), label * 0.4, 0, 0))
    if not stand:
        parts.append(Part(box(-r * 1.04, -shoulder * 0.9, r * 1.04, -shoulder * 0.82), steel * 0.7, 0.4))
    parts.append(Part(box(-r * 0.3, -top - 0.06, r * 0.3, -top + 0.01), steel))
    reach, drop = r + rng.uniform(0.035, 0.06), -top * rng.uniform(0.22, 0.5)
    hose = [(0, -top - 0.05, 0.02), (r * 0.8, -top - 0.045, 0.021), (reach, -top * 0.85, 0.021), (reach, drop, 0.023)]
    parts.append(Part(stroke(*hose), black, 0.6))
    parts.append(Part(stroke((reach, drop, 0.026), (reach - 0.005, drop + 0.11, 0.04), smooth=False), black * 1.3, 0.6))
    parts.append(Part(stroke((r * 0.3, -top - 0.055, 0.024), (-r * 1.15, -top - 0.035, 0.02)), black, 0.5))
    parts.append(Part(stroke((r * 0.4, -top - 0.09, 0.022), (-r * 1.2, -top - 0.125, 0.02)), black, 0.5))
    parts.append(Part(disc(0, -top - 0.025, 0.024), np.array((228.0, 228, 222)), 0.3))
    return parts


def horse_statue(rng: np.random.Generator) -> list[Part]:
    """A horse of bronze or stone on a plinth: standing, with a raised foreleg, or rearing."""
    metal, stone = pick(rng, BRONZE, 7), pick(rng, STONE, 7)
    pose = rng.choice(["standing", "trotting", "rearing"], p=[0.35, 0.35, 0.3])
    tilt = {"standing": 0.0, "trotting": rng.uniform(0, 6), "rearing": rng.uniform(24, 40)}[pose]
    girth = rng.uniform(0.95, 1.12)

    def body(pieces: list[np.ndarray]) -> list[np.ndarray]:
        return turned(pieces, tilt, -0.6, -1.0)

    def hind(x: float, shade: float) -> Part:
        knee = x + (0.16 if pose == "rearing" else 0.04)
        leg = [
            (-0.58, -1.05, 0.22),
            (knee, -0.7, 0.14),
            (x - 0.1, -0.4, 0.09),
            (x, -0.08, 0.075),
            (x + 0.05, -0.02, 0.09),
        ]
        return Part(stroke(*leg), metal * shade, 0.6, 0.06)

    def fore(x: float, raised: bool, shade: float) -> Part:
        if raised:
            fold = rng.uniform(-0.05, 0.1)
            leg = [(0.46, -1.02, 0.18), (0.84, -0.86, 0.1), (0.78 + fold, -0.52, 0.075), (0.7 + fold, -0.42, 0.085)]
        else:
            leg = [(0.46, -1.0, 0.18), (x, -0.52, 0.1), (x - 0.01, -0.1, 0.075), (x + 0.03, -0.02, 0.09)]
        pieces = stroke(*leg)
        return Part(body(pieces) if pose == "rearing" else pieces, metal * shade, 0.6, 0.06)

    rearing = pose == "rearing"
    tail = [(-0.82, -1.28, 0.08), (-1.08, -1.12, 0.12), (-1.14, -0.7, 0.11), (-1.06, -0.42, 0.05)]
    parts = [hind(-0.52, 0.72), fore(0.52, rearing, 0.72), Part(stroke(*tail), metal * 0.8, 0.6, 0.1)]
    trunk = [
        (-0.86, -1.2),
        (-0.62, -1.44),
        (-0.1, -1.36),
        (0.36, -1.44),
        (0.66, -1.28),
        (0.66, -1.0),
        (0.4, -0.84),
        (-0.1, -0.86),
        (-0.55, -0.86),
    ]
    trunk = [(x, -1.15 + (y + 1.15) * girth) for x, y in trunk]
    neck = blob((0.16, -1.36), (0.5, -1.74), (0.74, -2.06), (0.98, -1.98), (0.9, -1.62), (0.72, -1.12), (0.4, -1.1))
    nod = rng.uniform(-14, 16)
    head = turned(stroke((0.84, -1.96, 0.15), (1.06, -1.74, 0.115), (1.22, -1.58, 0.095)), nod, 0.84, -1.96)
    ears = turned(outline((0.74, -2.04), (0.8, -2.26), (0.9, -2.06)), nod, 0.84, -1.96)
    mane = stroke((0.18, -1.42, 0.06), (0.5, -1.8, 0.085), (0.76, -2.1, 0.06))
    parts.append(Part(body(mane), metal * 0.7, 0.5, 0.14))
    parts.append(Part(body(blob(*trunk)), metal, 0.75, 0.06))
    parts.append(Part(body(neck), metal, 0.5, 0.06))
    parts.append(Part(body(head + ears), metal * 1.05, 0.6, 0.05))
    parts.append(Part(body(turned(disc(0.94, -1.92, 0.03), nod, 0.84, -1.96)), metal * 0.4, 0, 0))
    parts += [hind(-0.72, 1.0), fore(0.44, pose != "standing", 1.0)]
    height, half = rng.uniform(0.5, 1.05), rng.uniform(0.95, 1.15)
    centre = -0.35 if rearing else -0.1
    plinth = [
        (half * 1.06, 0.0, 0.14, 1.1),
        (half, 0.13, height - 0.16, 0.95),
        (half * 1.14, height - 0.17, height, 1.02),
    ]
    parts += [Part(box(centre - w, y0, centre + w, y1), stone * shade, 0.35, 0.1) for w, y0, y1, shade in plinth]
    middle = height / 2
    parts.append(Part(box(centre - 0.36, middle - 0.1, centre + 0.36, middle + 0.1), metal * 0.8 + 30, 0.3))
    return [part._replace(pieces=[piece - (0, height) for piece in part.pieces]) for part in parts]


def dog(rng: np.random.Generator) -> list[Part]:
    """A dog from the side, standing or sitting."""
    coat = pick(rng, COAT, 10)
    dark, patch = coat * 0.72, pick(rng, COAT, 10)
    sitting = rng.random() < 0.3
    leg, build, snout = rng.uniform(0.3, 0.42), rng.uniform(0.9, 1.2), rng.uniform(0.13, 0.2)
    back = leg + 0.27 * build
    pitch = rng.uniform(34, 44) if sitting else rng.uniform(-3, 5)
    pivot = (-0.3, -0.18 if sitting else -leg - 0.1)
    lower = leg + 0.1 - 0.18 if sitting else 0.0  # a sitting dog's rump comes down to its pivot

    def body(pieces: list[np.ndarray]) -> list[np.ndarray]:
        return turned([piece + (0, lower) for piece in pieces], pitch, *pivot)

    wag = rng.uniform(-0.05, 0.2)
    parts = []
    chest = float(body([np.array([(0.22, -leg - 0.08)])])[0][0, 0])
    chest_y = float(body([np.array([(0.22, -leg - 0.08)])])[0][0, 1])
    for far in (True, False):
        shade, shift = (dark, 0.09) if far else (coat, 0.0)
        step = rng.uniform(-0.07, 0.07)
        fore = stroke(
            (chest + shift * 0.6, chest_y, 0.09), (chest + shift, -0.2, 0.055), (chest + shift + step, -0.045, 0.052)
        )
        paw = stroke((chest + shift + step, -0.04, 0.045), (chest + shift + step + 0.07, -0.036, 0.036))
        if sitting:
            hind = stroke((-0.28, -0.2, 0.14), (-0.1, -0.2, 0.12), (-0.06, -0.1, 0.08)) + stroke(
                (-0.2, -0.05, 0.05), (0.04, -0.045, 0.045)
            )
        else:
            x = -0.32 + shift
            knee = [
                (x + 0.04, -leg - 0.08, 0.12),
                (x + 0.05, -leg * 0.62, 0.075),
                (x - 0.05 - step, -leg * 0.36, 0.055),
                (x - step, -0.045, 0.052),
            ]
            hind = stroke(*knee) + stroke((x - step, -0.04, 0.045), (x - step + 0.07, -0.036, 0.036))
        limbs = [Part(fore + paw, shade, 0.55), Part(hind, shade, 0.55)]
        if far:
            parts += limbs
            tail = [(-0.38, -back + 0.06, 0.05), (-0.54, -back - wag * 0.6, 0.048), (-0.64, -back - 0.06 - wag, 0.034)]
            if sitting:
                tail = [(-0.36, -0.12, 0.05), (-0.5, -0.06, 0.048), (-0.62, -0.1, 0.036)]
            parts.append(Part(stroke(*tail), dark))
            trunk = [
                (-0.42, -back + 0.07),
                (-0.28, -back),
                (0.1, -back + 0.01),
                (0.3, -back + 0.02),
                (0.36, -leg - 0.1),
            ]
            trunk += [(0.24, -leg + 0.01), (0.0, -leg - 0.02), (-0.24, -leg - 0.07), (-0.4, -leg - 0.08)]
            parts.append(Part(body(blob(*trunk)), coat, 0.7, 0.09))
            if rng.random() < 0.4:
                parts.append(Part(body(disc(rng.uniform(-0.2, 0.1), -back + 0.1, 0.13, 0.075)), patch, 0.2, 0.09))
        else:
            parts += limbs
    neck_x, neck_y = body([np.array([(0.27, -back + 0.1)])])[0][0]
    head_x, head_y = neck_x + (0.11 if sitting else 0.17), neck_y - (0.2 if sitting else 0.21)
    parts.append(Part(stroke((neck_x, neck_y, 0.13), (head_x, head_y, 0.1), smooth=False), coat, 0.5, 0.09))
    if rng.random() < 0.6:
        t = 0.55
        x, y = neck_x + t * (head_x - neck_x), neck_y + t * (head_y - neck_y)
        collar = stroke((x - 0.1, y - 0.045, 0.022), (x + 0.1, y + 0.045, 0.022), smooth=False)
        parts.append(Part(collar, pick(rng, CLOTHES), 0.3))
    parts.append(
        Part(
            stroke((head_x + 0.05, head_y + 0.02, 0.085), (head_x + 0.05 + snout, head_y + 0.05, 0.052), smooth=False),
            coat * 1.06,
            0.5,
        )
    )
    parts.append(Part(disc(head_x, head_y, 0.125, 0.118), coat, 0.5, 0.06))
    parts.append(Part(disc(head_x + 0.09 + snout, head_y + 0.025, 0.028, 0.024), np.array((24.0, 22, 22)), 0.2))
    parts.append(Part(disc(head_x + 0.06, head_y - 0.035, 0.018), np.array((22.0, 18, 16)), 0))
    if rng.random() < 0.5:
        ear = blob(
            (head_x - 0.08, head_y - 0.1),
            (head_x + 0.0, head_y - 0.09),
            (head_x - 0.02, head_y + 0.07),
            (head_x - 0.1, head_y + 0.1),
        )
    else:
        ear = outline((head_x - 0.11, head_y - 0.04), (head_x - 0.07, head_y - 0.23), (head_x + 0.03, head_y - 0.09))
    parts.append(Part(ear, dark, 0.3))
    return parts


# How to draw each class, and the length in photo pixels of its longer side at the far and at the near end of a scene.
CLASSES: dict[str, tuple[Callable[[np.random.Generator], list[Part]], tuple[float, float]]] = {
    "bench": (bench, (95, 230)),
    "car": (car, (110, 255)),
    "dog": (dog, (58, 165)),
    "fire extinguisher": (fire_extinguisher, (55, 150)),
    "horse statue": (horse_statue, (100, 255)),
    "person": (person, (90, 240)),
}
