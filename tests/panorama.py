"""A drawn panorama of a campus with many small objects, in the manner of datasets/campus_scenes.py.

Its drawing scripts import each other by their bare names: datasets/ has to be on the path when this is imported.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from campus_backdrops import furniture, ground, sky, tree, wall, windows
from campus_objects import CLASSES
from campus_scenes import Sprite, render_object

from campus_seg.inference.regions import Region

WIDTH, HEIGHT, LINE = 4000, 2000, 560  # pixels; the ground begins at row LINE
GAP = 6  # pixels between objects at least
SMALL = 0.4  # how far the nearest objects are on the way from the far to the near size of their class


@dataclass
class Panorama:
    """A photo and what is in it.

    Attributes:
        photo: (2000, 4000, 3) uint8, BGR.
        categories: the N class names.
        regions: N masks; they do not overlap.
    """

    photo: np.ndarray
    categories: list[str]
    regions: list[Region]


def draw_panorama(objects: int, seed: int = 0) -> Panorama:
    """Houses and trees under a sky, and on the ground before them objects of all classes, 55 to 165 pixels long."""
    rng = np.random.default_rng([seed, 0])
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    paint_place(picture, rng)
    taken = np.zeros((HEIGHT, WIDTH), bool)
    names, light = list(CLASSES), (-1 if rng.random() < 0.5 else 1)
    panorama = Panorama(picture, [], [])
    while len(panorama.regions) < objects:
        name = names[len(panorama.regions) % len(names)]
        draw, (far, near) = CLASSES[name]
        y = rng.uniform(LINE + 80, HEIGHT - 4)
        depth = (y - LINE) / (HEIGHT - LINE)
        side = (far + SMALL * (near - far) * depth) * rng.uniform(0.9, 1.1)
        sprite = render_object(draw(rng), side, bool(rng.random() < 0.5), light, rng)
        if region := stand(picture, taken, sprite, (rng.uniform(0, WIDTH), y), rng.uniform(0.2, 0.45)):
            panorama.categories.append(name)
            panorama.regions.append(region)
    picture *= np.linspace(0.9, 1.08, WIDTH, dtype=np.float32)[:, None]
    picture += rng.standard_normal((HEIGHT, WIDTH, 1), np.float32) * 3
    panorama.photo = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8)[..., ::-1])
    return panorama


def paint_place(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Everything but the objects, into (2000, 4000, 3) float32 RGB."""
    sky(picture[:LINE], rng)
    x = 0
    while x < WIDTH:
        w, top = int(rng.uniform(200, 460)), int(LINE - rng.uniform(120, 480))
        house = picture[top:LINE, x : x + w].copy()
        if house.shape[1] > 60 and rng.random() < 0.85:
            wall(house, rng)
            windows(house, rng)
            picture[top:LINE, x : x + w] = house
        x += w + int(rng.uniform(0, 80))
    ground(picture[LINE:], rng, grass=False)
    for _ in range(16):
        tree(picture, rng, rng.uniform(0, WIDTH), LINE + rng.uniform(0, 30), rng.uniform(120, 300))
    for _ in range(20):
        y = rng.uniform(LINE + 20, HEIGHT - 100)
        furniture(picture, rng, rng.uniform(0, WIDTH), y, 70 + 50 * (y - LINE) / (HEIGHT - LINE))


def stand(
    picture: np.ndarray, taken: np.ndarray, sprite: Sprite, foot: tuple[float, float], shadow: float
) -> Region | None:
    """Puts an object down where there is room for all of it; returns its mask, or None where there is not."""
    h, w = sprite.alpha.shape
    x, y = round(foot[0] - sprite.foot[0]), round(foot[1] - sprite.foot[1])
    if x < 0 or y < 0 or x + w > WIDTH or y + h > HEIGHT:
        return None
    if taken[max(0, y - GAP) : y + h + GAP, max(0, x - GAP) : x + w + GAP].any():
        return None
    window = slice(y, y + h), slice(x, x + w)
    u = (np.arange(w, dtype=np.float32) + x - foot[0]) / (0.55 * w)
    v = (np.arange(h, dtype=np.float32) + y - foot[1])[:, None] / (0.11 * w)
    view = picture[window]
    view *= (1 - shadow * np.exp(-(u * u) - v * v))[..., None]
    view *= 1 - sprite.alpha[..., None]
    view += sprite.colour
    taken[window] = True
    mask = cv2.resize(sprite.silhouette.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA) >= 0.5
    return Region(x, y, mask).tight()
