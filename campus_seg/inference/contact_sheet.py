"""Many pictures on one: a grid of thumbnails with their names."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from campus_seg.inference.labels import label_font

COLUMNS = 6
TILE = 300  # pixels: the longest side of a thumbnail
GAP, TEXT = 10, 14
PAPER, INK = 245, 30  # grey levels


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of the numbers below `count`, evenly spaced from the first to the last."""
    if count <= wanted:
        return list(range(count))
    return np.linspace(0, count - 1, wanted).round().astype(int).tolist()


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 shrunk to at most TILE pixels a side."""
    scale = min(1.0, TILE / max(picture.shape[:2]))
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def contact_sheet(thumbnails: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Thumbnails in reading order, each above its name.

    Args:
        thumbnails: (h, w, 3) uint8 each, as `thumbnail` gives them, at least one.
        names: one for each; shortened in the middle where they are wider than a thumbnail.

    Returns:
        (H, W, 3) uint8 in the thumbnails' colour order.
    """
    letters = label_font(TEXT)
    columns = min(COLUMNS, len(thumbnails))
    rows = [range(i, min(i + columns, len(thumbnails))) for i in range(0, len(thumbnails), columns)]
    heights = [max(thumbnails[i].shape[0] for i in row) for row in rows]
    below = sum(letters.getmetrics()) + 2 * GAP  # a name and the space around it
    size = (columns * (TILE + GAP) + GAP, sum(heights) + len(rows) * below + GAP)
    sheet = Image.new("RGB", size, (PAPER,) * 3)
    draw = ImageDraw.Draw(sheet)
    y = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            x = GAP + column * (TILE + GAP)
            h, w = thumbnails[i].shape[:2]
            sheet.paste(Image.fromarray(thumbnails[i]), (x + (TILE - w) // 2, y + height - h))
            text = _shortened(names[i], letters)
            draw.text((x + TILE / 2, y + height + GAP // 2), text, fill=(INK,) * 3, font=letters, anchor="ma")
        y += height + below
    return np.asarray(sheet)


def _shortened(name: str, letters: ImageFont.FreeTypeFont) -> str:
    """The name, without as much of its middle as makes it fit under a thumbnail."""
    text = name
    for kept in range(len(name) - 1, 0, -1):
        if letters.getlength(text) <= TILE:
            break
        text = f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"
    return text
