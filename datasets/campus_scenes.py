"""One photo of a drawn campus with its labels: place the objects, compose them, take the photo.

Coordinates are pixels of the upright photo, x to the right and y down, with (0, 0) at the photo's top left corner
(not at the first pixel's centre). Silhouettes are kept at twice the photo's size: GRID grid cells to a pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from campus_backdrops import HEIGHT, WIDTH, backdrop, noise
from campus_objects import CLASSES
from campus_things import fire_extinguisher
from shapes import Part

GRID = 2
WEIGHTS = {"person": 0.24, "car": 0.15, "bench": 0.15, "dog": 0.16, "fire extinguisher": 0.16, "horse statue": 0.14}
MIN_VISIBLE = 0.35  # of the whole object, what the frame cuts off included
MIN_SIDE, MIN_AREA = 32, 500  # of what is visible, in pixels


@dataclass(frozen=True)
class Sprite:
    """One drawn object, at the photo's scale.

    Attributes:
        colour: (h, w, 3) float32, RGB 0 to 255, already multiplied by alpha.
        alpha: (h, w) float32, 0 to 1.
        silhouette: (GRID * h, GRID * w) uint8, 1 inside the outer outline; it has no holes.
        foot: (x, y) in pixels of the sprite where the object stands.
    """

    colour: np.ndarray
    alpha: np.ndarray
    silhouette: np.ndarray
    foot: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """A photo and what is in it, the farthest object first.

    Attributes:
        photo: (480, 640, 3) uint8, RGB, upright.
        categories: the N class names.
        masks: (N, 480, 640) bool, the visible silhouettes; disjoint.
        polygons: N rings (K, 2) float64, x and y in pixels of the upright photo.
        quality: the JPEG quality the photo is to be stored with.
    """

    photo: np.ndarray
    categories: list[str]
    masks: np.ndarray
    polygons: list[np.ndarray]
    quality: int


def render_object(parts: list[Part], long_side: float, mirror: bool, light: int, rng: np.random.Generator) -> Sprite:
    """Draw an object's parts, back to front, on the finer grid and reduce them to the photo's scale.

    Args:
        parts: in metres, facing right.
        long_side: the longer side of the object in photo pixels.
        mirror: face left instead.
        light: -1 for light from the left, 1 from the right; it always comes from above.
        rng: for the texture.
    """
    points = np.concatenate([piece for part in parts for piece in part.pieces])
    low, high = points.min(0), points.max(0)
    scale = GRID * long_side / (high - low).max()
    if mirror:
        low, high = np.array((-high[0], low[1])), np.array((-low[0], high[1]))
    margin = 2 * GRID
    width, height = (int(n) + (-int(n)) % GRID for n in np.ceil((high - low) * scale) + 2 * margin)
    origin = margin - low * scale
    planes = np.zeros((4, height, width), np.float32)  # R, G, B times alpha, and alpha
    grain = noise(rng, height, width, 12, 3)
    for part in parts:
        pieces = [piece * (-scale if mirror else scale, scale) + origin for piece in part.pieces]
        stacked = np.concatenate(pieces)
        thickness = sum(cv2.contourArea(piece.astype(np.float32)) for piece in pieces) / np.ptp(stacked, 0).max()
        rim = int(np.clip(0.5 * thickness, 2, 30))
        reach = rim + 2
        x0, y0 = np.maximum(stacked.min(0).astype(int) - reach, 0)
        x1, y1 = np.minimum(stacked.max(0).astype(int) + reach, (width, height))
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for piece in pieces:  # one at a time: fillPoly would cancel where two of one call overlap
            # The grid's cell centres are at +0.5, OpenCV's at whole numbers.
            fixed = np.round((piece - (x0, y0) - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, 4)
        cover = cover * np.float32(1 / 255)
        shade = 1 + part.grain * grain[y0:y1, x0:x1]
        if part.relief:
            shade += part.relief * relief(cover, rim, light)
        shade *= cover
        view = planes[:, y0:y1, x0:x1]
        view *= 1 - cover
        for plane, value in zip(view[:3], part.colour.astype(np.float32), strict=True):
            plane += value * shade
        view[3] += cover
    silhouette = filled((planes[3] >= 0.5).astype(np.uint8))
    small = (width // GRID, height // GRID)
    *colour, alpha = (cv2.resize(plane, small, interpolation=cv2.INTER_AREA) for plane in planes)
    return Sprite(
        np.clip(cv2.merge(colour), 0, 255),
        alpha,
        silhouette,
        (float(origin[0]) / GRID, float(origin[1]) / GRID),
    )


def relief(cover: np.ndarray, size: int, light: int) -> np.ndarray:
    """How much each cell of a part faces the light, about -1 to 1: the part's rim is rounded over `size` cells.

    It is the difference of two box means, one reaching away from the light and one towards it.
    """
    toward, away = ((size - 1, size - 1), (0, 0)) if light < 0 else ((0, size - 1), (size - 1, 0))
    means = [cv2.blur(cover, (size, size), anchor=a, borderType=cv2.BORDER_CONSTANT) for a in (away, toward)]
    return means[0] - means[1]


def filled(mask: np.ndarray) -> np.ndarray:
    """The mask (h, w) uint8 with every hole filled: what one polygon can say."""
    rings, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), rings, -1, 1, cv2.FILLED)


def is_one_piece(mask: np.ndarray) -> bool:
    """Whether a mask (h, w) uint8 is one connected region without holes."""
    rings, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return len(rings) == 1


def trace(mask: np.ndarray, tolerance: float = 0.3) -> np.ndarray:
    """The outer outline of a silhouette on the grid (GRID * h, GRID * w) as a simplified ring.

    findContours goes through the centres of the border cells, half a cell inside the region. On a mask grown by one
    cell to the right and downwards those centres are the corners of the original region, which is what we want.

    Returns:
        (K, 2) float64, x and y in photo pixels.
    """
    x, y, w, h = cv2.boundingRect(mask)
    fine = cv2.resize(mask[y : y + h, x : x + w] * 255, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    fine = cv2.GaussianBlur(fine, (0, 0), 1.2, borderType=cv2.BORDER_REPLICATE) > 127  # rounds the cells' steps off
    fine = np.pad(fine, 1).astype(np.uint8)
    fine[1:, 1:] |= fine[:-1, :-1] | fine[:-1, 1:] | fine[1:, :-1]
    rings, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ring = max(rings, key=cv2.contourArea)
    ring = cv2.approxPolyDP(ring, tolerance * 2 * GRID, closed=True)[:, 0]
    return (ring - 1) / (2.0 * GRID) + np.array((x, y)) / GRID


def place(
    sprite: Sprite, foot: tuple[float, float]
) -> tuple[tuple[int, int], tuple[slice, slice], tuple[slice, slice]]:
    """Where a sprite that stands at `foot` goes.

    Returns:
        Its top left corner (x, y) in the photo, and the slices (rows, columns) of the photo and of the sprite that
        cover each other; they are empty when the sprite is outside.
    """
    h, w = sprite.alpha.shape
    x, y = round(foot[0] - sprite.foot[0]), round(foot[1] - sprite.foot[1])
    rows, columns = slice(max(0, y), max(0, min(HEIGHT, y + h))), slice(max(0, x), max(0, min(WIDTH, x + w)))
    inner = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
    return (x, y), (rows, columns), inner


def on_grid(window: tuple[slice, slice]) -> tuple[slice, slice]:
    """The same window on the finer grid."""
    rows, columns = window
    return slice(GRID * rows.start, GRID * rows.stop), slice(GRID * columns.start, GRID * columns.stop)


def visible_part(sprite: Sprite, foot: tuple[float, float], hidden: np.ndarray) -> np.ndarray | None:
    """The silhouette that remains of a sprite behind what is `hidden` already.

    Args:
        sprite: the object.
        foot: where it stands, pixels.
        hidden: (GRID * 480, GRID * 640) uint8, 1 where something stands in front.

    Returns:
        A mask like `hidden`, or None where no single polygon of a sensible size would describe it.
    """
    _, outer, inner = place(sprite, foot)
    window = on_grid(outer)
    piece = sprite.silhouette[on_grid(inner)] & (1 - hidden[window])
    if not piece.size:
        return None
    # Without the slivers of half a pixel that would hang on it, or hold two parts together.
    piece = cv2.morphologyEx(piece, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    area = int(piece.sum())
    if area < max(MIN_VISIBLE * sprite.silhouette.sum(), MIN_AREA * GRID**2):
        return None
    _, _, w, h = cv2.boundingRect(piece)
    if max(w, h) < MIN_SIDE * GRID or not is_one_piece(piece):
        return None
    mask = np.zeros_like(hidden)
    mask[window] = piece
    return mask


def photo_masks(masks: list[np.ndarray]) -> np.ndarray:
    """N disjoint masks on the grid as (N, 480, 640) bool: the pixels of which most is covered.

    A pixel covered by its left or its upper half counts, by its right or lower half it does not: counting both would
    widen everything by a quarter of a pixel on average, counting one moves it by less than one cell.
    """
    corners = [(0, 0, 5), (0, 1, 4), (1, 0, 4), (1, 1, 3)]
    covered = [sum(share * mask[y::GRID, x::GRID] for y, x, share in corners) > 8 for mask in masks]
    return np.array(covered, bool).reshape(-1, HEIGHT, WIDTH)


def cast_shadow(picture: np.ndarray, foot: tuple[float, float], half: float, strength: float) -> None:
    """Darken the ground under an object that is 2 * half pixels wide."""
    x0, x1 = (int(np.clip(foot[0] + side * 2.4 * half, 0, WIDTH)) for side in (-1, 1))
    y0, y1 = (int(np.clip(foot[1] + side * 0.48 * half, 0, HEIGHT)) for side in (-1, 1))
    u = np.arange(x0, x1, dtype=np.float32) - np.float32(foot[0])
    v = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(foot[1])
    distance = (u / (1.1 * half)) ** 2 + (v / (0.22 * half)) ** 2
    picture[y0:y1, x0:x1] *= 1 - strength * np.exp(-distance)[..., None]


def take_photo(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light and camera: a gradient, shadows, exposure, white balance, blur and noise.

    Args:
        picture: (480, 640, 3) float32, RGB.
        rng: for all of it.

    Returns:
        (480, 640, 3) uint8, RGB.
    """
    angle = rng.uniform(0, 2 * np.pi)
    u, v = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    light = 1 + rng.uniform(0, 0.16) * (u * float(np.cos(angle)) + v * float(np.sin(angle)))
    light -= rng.uniform(0, 0.13) * (u * u + v * v)
    if rng.random() < 0.35:  # the shadow of something outside the frame, its rim blurred at an eighth of the size
        shadow = np.zeros((HEIGHT // 8, WIDTH // 8), np.float32)
        corners = (rng.uniform(-0.3, 1.3, (4, 2)) * (WIDTH / 8, HEIGHT / 8)).astype(np.int32)
        cv2.fillConvexPoly(shadow, cv2.convexHull(corners), float(rng.uniform(0.15, 0.4)))
        light *= 1 - cv2.resize(cv2.blur(shadow, (4, 4)), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    warmth = rng.uniform(-0.09, 0.09)
    balance = np.array((1 + warmth, 1 + rng.uniform(-0.025, 0.025), 1 - warmth), np.float32) * rng.uniform(0.76, 1.16)
    picture = cv2.multiply(picture, cv2.merge([light * gain for gain in balance]))
    sigma = rng.uniform(0, 1.1)
    if sigma > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    grain = rng.uniform(1.5, 7)  # sharp in lightness, coarser and weaker in colour
    specks = rng.standard_normal((HEIGHT // 4, WIDTH // 4, 3), np.float32) * (0.6 * grain)
    picture += cv2.resize(specks, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    picture += cv2.merge([rng.standard_normal((HEIGHT, WIDTH), np.float32) * grain] * 3)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


def draw_scene(seed: int, index: int, empty: bool = False, classes: Sequence[str] = tuple(WEIGHTS)) -> Scene:
    """Draw photo number `index` of a sample.

    Every random number comes from one generator of the seed and the index, so a photo does not depend on how many
    others are drawn.

    Args:
        seed: of the sample.
        index: of the photo, from 0.
        empty: draw the place without objects.
        classes: what may stand there; the others do not occur.
    """
    rng = np.random.default_rng([seed, index])
    picture, line, has_wall = backdrop(rng)
    light, strength = (-1 if rng.random() < 0.5 else 1), rng.uniform(0.2, 0.55)
    names = [name for name in WEIGHTS if name in classes]
    weights = np.array([WEIGHTS[name] for name in names])
    wanted = rng.choice(
        names, rng.choice([1, 2, 3, 4, 5, 6], p=[0.12, 0.2, 0.24, 0.2, 0.14, 0.1]), p=weights / weights.sum()
    )
    depths = np.sort(rng.uniform(0, 1, 0 if empty else len(wanted)))[::-1]
    hidden = np.zeros((GRID * HEIGHT, GRID * WIDTH), np.uint8)
    placed = []
    # From the front to the back: whoever stands in front is settled when the next is tried. What hangs comes last.
    hanging = [name == "fire extinguisher" and has_wall and rng.random() < 0.8 for name in wanted]
    for name, hangs, depth in zip(wanted[np.argsort(hanging)], sorted(hanging), depths, strict=False):
        draw, (far, near) = CLASSES[name]
        parts = fire_extinguisher(rng, stand=not hangs) if draw is fire_extinguisher else draw(rng)
        side = (far + (near - far) * depth) * rng.uniform(0.82, 1.18)
        sprite = render_object(parts, side, bool(rng.random() < 0.5), light, rng)
        for _ in range(12):
            foot_y = (
                line - rng.uniform(25, 130) if hangs else line + 12 + depth * (HEIGHT + 8 - line) + rng.normal(0, 6)
            )
            foot = (rng.uniform(-0.03, 1.03) * WIDTH, foot_y)
            mask = visible_part(sprite, foot, hidden)
            if mask is not None:
                placed.append((str(name), sprite, foot, mask, hangs))
                hidden |= mask
                break
    placed.reverse()
    for _, sprite, foot, _, hangs in placed:
        _, outer, inner = place(sprite, foot)
        if not hangs:
            cast_shadow(picture, foot, sprite.alpha.shape[1] / 2, strength)
        view = picture[outer]
        view *= 1 - sprite.alpha[inner][..., None]
        view += sprite.colour[inner]
    photo = take_photo(picture, rng)
    return Scene(
        photo,
        [name for name, *_ in placed],
        photo_masks([mask for _, _, _, mask, _ in placed]),
        [trace(mask) for _, _, _, mask, _ in placed],
        int(rng.integers(72, 95)),
    )
