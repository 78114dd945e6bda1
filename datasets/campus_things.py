"""The classes of the sample without limbs: benches, cars and fire extinguishers, each a parametric drawing.

A drawing is a list of `Part`, back to front, in metres: x to the right, y down, the foot of the object at y = 0.
Everything faces right; `campus_scenes.render_object` mirrors, scales and shades it. Colours are RGB, 0 to 255.
"""

import numpy as np
from shapes import Part, blob, box, disc, outline, pick, stroke, turned

WOOD = [(158, 106, 62), (128, 82, 48), (176, 134, 88), (112, 104, 94), (72, 102, 76)]
METAL = [(52, 54, 58), (94, 98, 102), (140, 142, 144), (44, 62, 52)]
PAINT = [
    *[(188, 28, 34), (26, 62, 140), (222, 224, 226), (42, 44, 50), (150, 156, 162), (30, 98, 92)],
    *[(204, 160, 42), (104, 134, 168), (112, 26, 40)],
]
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
