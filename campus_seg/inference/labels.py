"""Labels of objects: their letters, and where they go."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from campus_seg.inference.scene import Outline

TEXT = 1 / 42  # height of the letters: share of the photo's mean side
MIN_TEXT, LEAST_TEXT = 11, 8  # pixels: as a rule, and where a label would be wider than WIDEST
WIDEST = 0.6  # width of a label: share of the photo's
AT_OBJECT = 9  # the first places for a label touch its object; most labels find room there
CROWD, CROWD_TEXT = 0.15, 9  # share of the photo that labels may hide before their letters shrink; pixels, at least


def label_font(size: int) -> ImageFont.FreeTypeFont:
    """Letters of `size` pixels for names in any language; for the calling thread alone."""
    return _font(size, threading.get_ident())  # no two threads may draw with one FreeType face


@lru_cache(maxsize=64)
def _font(size: int, thread: int) -> ImageFont.FreeTypeFont:
    # Matplotlib's DejaVu Sans: OpenCV's own letters know no accents, and class names are in any language.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")), size)


def draw_labels(
    picture: np.ndarray, outlines: Sequence[Outline], labels: Sequence[str], colors: Sequence[tuple[int, int, int]]
) -> None:
    """Writes a label to each object, the first ones on top; labels that cannot fit into the photo are left out.

    Args:
        picture: (H, W, 3) uint8, BGR; is drawn on.
        outlines: the objects, the foremost first.
        labels: a text for each.
        colors: (r, g, b) of the ground of each.
    """
    size = text_size(labels, picture.shape)
    tags = [label_picture(text, size, color, picture.shape) for text, color in zip(labels, colors, strict=True)]
    drawn = [(outline, tag) for outline, tag in zip(outlines, tags, strict=True) if tag is not None]
    sizes = [(tag.shape[1], tag.shape[0]) for _, tag in drawn]
    places = place_labels(sizes, [outline for outline, _ in drawn], picture.shape[:2])
    for (_, tag), (x, y) in reversed(list(zip(drawn, places, strict=True))):
        picture[y : y + tag.shape[0], x : x + tag.shape[1]] = tag


def text_size(labels: Sequence[str], shape: Sequence[int]) -> int:
    """Pixels of the letters in a photo of `shape` (H, W, …): smaller where many labels would hide its objects."""
    size = max(MIN_TEXT, round(float(np.sqrt(shape[0] * shape[1])) * TEXT))
    font = label_font(size)
    hidden = sum(font.getlength(text) for text in labels) * sum(font.getmetrics()) / (shape[0] * shape[1])
    return max(CROWD_TEXT, int(size * min(1, np.sqrt(CROWD / max(hidden, CROWD)))))


def label_picture(text: str, size: int, color: tuple[int, int, int], shape: Sequence[int]) -> np.ndarray | None:
    """A label as (h, w, 3) uint8, BGR: `text` on `color`; smaller in a small photo, None where it cannot fit."""
    font = label_font(size)
    length = font.getlength(text)
    while size > LEAST_TEXT and length > WIDEST * shape[1]:
        size -= 1
        font = label_font(size)
        length = font.getlength(text)
    pad = max(2, size // 4)
    width = int(np.ceil(length)) + 2 * pad
    height = sum(font.getmetrics()) + pad // 2
    if width > shape[1] or height > shape[0]:
        return None
    strokes = Image.new("L", (width, height))
    ImageDraw.Draw(strokes).text((pad, height / 2), text, fill=255, font=font, anchor="lm")
    return cv2.applyColorMap(np.asarray(strokes), _ramp(color))


@lru_cache(maxsize=256)
def _ramp(color: tuple[int, int, int]) -> np.ndarray:
    """From a label's ground to its letters: (256, 1, 3) uint8, BGR."""
    red, green, blue = color
    ink = 0 if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else 255  # ITU-R BT.601 luma
    return np.linspace((blue, green, red), (ink, ink, ink), 256).round().astype(np.uint8)[:, None]


def place_labels(
    sizes: Sequence[tuple[int, int]], outlines: Sequence[Outline], shape: tuple[int, int]
) -> list[tuple[int, int]]:
    """Places labels near their objects, inside the photo and where possible beside each other.

    Args:
        sizes: (width, height) of each label, none larger than the photo.
        outlines: the objects; the first choose first.
        shape: (H, W) of the photo.

    Returns:
        (x, y) of each label's first pixel.
    """
    if not sizes:
        return []
    size = np.array(sizes, dtype=np.int64)[:, None]
    corners = _candidates(outlines, size[:, 0, 0], size[:, 0, 1]).clip(0, shape[::-1] - size)
    ends = corners + size
    placed = np.zeros((2, len(sizes), 2), dtype=np.int64)  # first pixels, and ends
    for i in range(len(sizes)):
        for tried in (AT_OBJECT, None):
            shared = np.minimum(ends[i, :tried, None], placed[1, :i])
            shared -= np.maximum(corners[i, :tried, None], placed[0, :i])
            np.maximum(shared, 0, out=shared)
            hidden = (shared[..., 0] * shared[..., 1]).sum(axis=1)
            best = int(hidden.argmin())  # the first of equals
            if not hidden[best]:
                break
        placed[:, i] = corners[i, best], ends[i, best]
    return [(int(x), int(y)) for x, y in placed[0]]


def _candidates(outlines: Sequence[Outline], width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Places for the labels of N objects, best first: (N, n, 2) int64, (x, y) of the first pixel."""
    x0, y0, x1, y1 = np.array([outline.box for outline in outlines], dtype=np.int64).T
    top, bottom = np.array([(outline.top, outline.bottom) for outline in outlines], dtype=np.int64).T
    center = ((x0 + x1 - width) // 2, (y0 + y1 - height) // 2)
    places = [
        (top - width // 2, y0 - height),  # above, centred on the topmost point
        (x0, y0 - height),
        (x1 - width, y0 - height),
        (top - width // 2, y0),  # just inside
        (bottom - width // 2, y1),  # below
        center,
        (bottom - width // 2, y1 - height),
        (x0 - width, center[1]),  # beside
        (x1, center[1]),
    ]  # AT_OBJECT of them
    for ring in range(1, 9):  # then ever farther around the middle
        for dx, dy in ((0, -ring), (0, ring), (-ring, 0), (ring, 0), (-ring, -ring), (ring, -ring), (-ring, ring)):
            places.append((center[0] + dx * width // 2, center[1] + dy * height))
    return np.array(places).transpose(2, 0, 1)
