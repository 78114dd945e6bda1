"""Objects as pictures: overlay, binary, class colours, ids and cut-outs. Pure functions on arrays.

Objects come by falling score, and the first lies in front. Each is drawn within its own window of the photo only.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from campus_seg.inference.regions import Region

Color = tuple[int, int, int]

FILL = 0.45  # opacity of an object's fill
OUTLINE = 1 / 450  # width of a line: share of the photo's mean side
SETS_OFF = 160  # pixels: in smaller photos a dark line beside the outline would hide the object
TEXT = 1 / 42  # height of the letters: likewise
MIN_TEXT, LEAST_TEXT = 11, 8  # pixels: as a rule, and where a label would be wider than WIDEST
WIDEST = 0.6  # width of a label: share of the photo's


def binary(regions: Sequence[Region], shape: tuple[int, int]) -> np.ndarray:
    """The union of all objects in a photo of `shape` (H, W): (H, W) uint8, 255 where there is any, else 0."""
    picture = np.zeros(shape, dtype=np.uint8)
    for region in regions:
        picture[region.window][region.mask] = 255
    return picture


def rgb(regions: Sequence[Region], colors: Sequence[Color], shape: tuple[int, int]) -> np.ndarray:
    """Every object filled with its (r, g, b) of `colors`: (H, W, 3) uint8, RGB, black elsewhere."""
    picture = np.zeros((*shape, 3), dtype=np.uint8)
    for region, color in zip(reversed(regions), reversed(colors), strict=True):
        np.copyto(picture[region.window], np.uint8(color), where=region.mask[..., None])
    return picture


def instance_ids(regions: Sequence[Region], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) uint16: i + 1 where object i is the foremost, 0 where there is none."""
    picture = np.zeros(shape, dtype=np.uint16)
    for i in reversed(range(len(regions))):
        picture[regions[i].window][regions[i].mask] = i + 1
    return picture


def cutout(image_bgr: np.ndarray, region: Region) -> np.ndarray:
    """One object without its surroundings.

    Args:
        image_bgr: (H, W, 3) uint8, BGR.
        region: the object, tight.

    Returns:
        (h, w, 4) uint8, RGBA: the window of the region; opaque on the object, all zeros elsewhere.
    """
    opaque = cv2.cvtColor(image_bgr[region.window], cv2.COLOR_BGR2RGBA)
    return cv2.bitwise_and(opaque, opaque, mask=region.mask.view(np.uint8))


def overlay(
    image_bgr: np.ndarray, regions: Sequence[Region], labels: Sequence[str], colors: Sequence[Color]
) -> np.ndarray:
    """The photo with every object filled, outlined and labelled.

    Args:
        image_bgr: (H, W, 3) uint8, BGR; it is not changed.
        regions: the objects, tight, the foremost first.
        labels: a text for each.
        colors: (r, g, b) for each.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    picture = image_bgr.copy()
    _fill(picture, regions, colors)
    side = float(np.sqrt(picture.shape[0] * picture.shape[1]))
    width = max(1, round(side * OUTLINE))
    for region, color in zip(reversed(regions), reversed(colors), strict=True):
        _outline(picture, region, color, width)
    size = max(MIN_TEXT, round(side * TEXT))
    tags = [_label_picture(text, size, color, picture.shape) for text, color in zip(labels, colors, strict=True)]
    tags = [(region, tag) for region, tag in zip(regions, tags, strict=True) if tag is not None]
    places = place_labels(
        [(tag.shape[1], tag.shape[0]) for _, tag in tags], [region for region, _ in tags], picture.shape[:2]
    )
    for (_, tag), (x, y) in reversed(list(zip(tags, places, strict=True))):
        picture[y : y + tag.shape[0], x : x + tag.shape[1]] = tag
    return picture


def _fill(picture: np.ndarray, regions: Sequence[Region], colors: Sequence[Color]) -> None:
    """Blends each object's colour into the pixels where it is the foremost, so that the photo stays visible."""
    taken = np.zeros(picture.shape[:2], dtype=bool)
    for region, color in zip(regions, colors, strict=True):
        window = picture[region.window]
        tinted = cv2.addWeighted(window, 1 - FILL, np.full_like(window, color[::-1]), FILL, 0)
        visible = region.mask & ~taken[region.window]
        np.copyto(window, tinted, where=visible[..., None])
        taken[region.window] |= region.mask


def _outline(picture: np.ndarray, region: Region, color: Color, width: int) -> None:
    """Draws the edges of a mask: its colour, on a darker and wider line that sets it off from any background."""
    mask = np.pad(region.mask.astype(np.uint8), 1)  # so that edges on the window's border are found as well
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(region.x - 1, region.y - 1))
    if min(picture.shape[:2]) >= SETS_OFF:
        dark = tuple(channel // 4 for channel in color[::-1])
        cv2.drawContours(picture, contours, -1, dark, width + max(2, 2 * (width // 2)), cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, color[::-1], width, cv2.LINE_AA)


@lru_cache(maxsize=64)
def label_font(size: int) -> ImageFont.FreeTypeFont:
    """Letters of `size` pixels for names in any language."""
    # Matplotlib's DejaVu Sans: OpenCV's own letters know no accents, and class names are in any language.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")), size)


def _label_picture(text: str, size: int, color: Color, shape: Sequence[int]) -> np.ndarray | None:
    """A label as (h, w, 3) uint8, BGR: `text` on `color`; smaller in a small photo, None where it cannot fit."""
    red, green, blue = color
    ink = 0 if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else 255  # ITU-R BT.601 luma
    font = label_font(size)
    while size > LEAST_TEXT and font.getlength(text) > WIDEST * shape[1]:
        size -= 1
        font = label_font(size)
    pad = max(2, size // 4)
    width = int(np.ceil(font.getlength(text))) + 2 * pad
    height = sum(font.getmetrics()) + pad // 2
    if width > shape[1] or height > shape[0]:
        return None
    tag = Image.new("RGB", (width, height), (blue, green, red))  # BGR in RGB's place
    ImageDraw.Draw(tag).text((pad, height / 2), text, fill=(ink, ink, ink), font=font, anchor="lm")
    return np.asarray(tag)


def place_labels(
    sizes: Sequence[tuple[int, int]], regions: Sequence[Region], shape: tuple[int, int]
) -> list[tuple[int, int]]:
    """Places labels near their objects, inside the photo and where possible beside each other.

    Args:
        sizes: (width, height) of each label, none larger than the photo.
        regions: the objects, tight; the first choose first.
        shape: (H, W) of the photo.

    Returns:
        (x, y) of each label's first pixel.
    """
    placed = np.zeros((0, 4), dtype=np.int64)  # x0, y0, x1, y1
    for (width, height), region in zip(sizes, regions, strict=True):
        corners = _candidates(region, width, height)
        corners[:, 0] = corners[:, 0].clip(0, shape[1] - width)
        corners[:, 1] = corners[:, 1].clip(0, shape[0] - height)
        ends = corners + (width, height)
        shared = np.minimum(ends[:, None], placed[None, :, 2:]) - np.maximum(corners[:, None], placed[None, :, :2])
        hidden = shared.clip(0).prod(axis=2).sum(axis=1)
        best = int(hidden.argmin())  # the first of equals
        placed = np.vstack([placed, [[*corners[best], *ends[best]]]])
    return [(int(x), int(y)) for x, y in placed[:, :2]]


def _candidates(region: Region, width: int, height: int) -> np.ndarray:
    """Places for a label of an object, best first: (n, 2) int, (x, y) of its first pixel."""
    x0, y0, x1, y1 = region.x, region.y, region.x + region.mask.shape[1], region.y + region.mask.shape[0]
    top = region.x + int(np.flatnonzero(region.mask[0]).mean())
    bottom = region.x + int(np.flatnonzero(region.mask[-1]).mean())
    places = [
        (top - width // 2, y0 - height),  # above, centred on the topmost point
        (x0, y0 - height),
        (x1 - width, y0 - height),
        (top - width // 2, y0),  # just inside
        (bottom - width // 2, y1),  # below
        ((x0 + x1 - width) // 2, (y0 + y1 - height) // 2),  # in the middle
        (bottom - width // 2, y1 - height),
        (x0 - width, (y0 + y1 - height) // 2),  # beside
        (x1, (y0 + y1 - height) // 2),
    ]
    center = ((x0 + x1 - width) // 2, (y0 + y1 - height) // 2)
    for ring in range(1, 9):  # then ever farther around the middle
        for dx, dy in ((0, -ring), (0, ring), (-ring, 0), (ring, 0), (-ring, -ring), (ring, -ring), (-ring, ring)):
            places.append((center[0] + dx * width // 2, center[1] + dy * height))
    return np.array(places, dtype=np.int64)
