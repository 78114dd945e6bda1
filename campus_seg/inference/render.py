"""Objects as pictures: overlay, binary, class colours and cut-outs. Pure functions on arrays.

Pictures of the whole photo are drawn from its `Scene`. All but the overlay can be drawn some rows at a time.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from campus_seg.inference.labels import draw_labels
from campus_seg.inference.regions import Region, row_bands
from campus_seg.inference.scene import Outline, Scene

Color = tuple[int, int, int]

FILL = 0.45  # opacity of an object's fill
OUTLINE = 1 / 450  # width of a line: share of the photo's mean side
SETS_OFF = 160  # pixels: in smaller photos a dark line beside the outline would hide the object
# Corners this much closer to the line between their neighbours are left out: pixels, at least, and share of the
# line's width. It makes stairs of pixels a line, in a sixth of the time.
LEAST_DETAIL, DETAIL = 0.75, 0.15


def binary(ids: np.ndarray) -> np.ndarray:
    """The union of all objects: (H, W) uint8, 255 where `ids`, (H, W) uint16, is not 0, else 0."""
    found = (ids != 0).view(np.uint8)
    return np.negative(found, out=found)  # 1 becomes 255


def rgb(ids: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Every object filled with its colour.

    Args:
        ids: (H, W) uint16, of a `Scene` or some rows of it.
        colors: one for each object of the scene.

    Returns:
        (H, W, 3) uint8, channels in the order of `colors`, black where there is no object.
    """
    table = np.zeros((len(colors) + 1, 4), dtype=np.uint8)
    table[1:, :3] = np.reshape(colors, (-1, 3))
    packed = table.view(np.uint32)[:, 0]  # four bytes are looked up at once
    return cv2.cvtColor(packed[ids].view(np.uint8).reshape(*ids.shape, 4), cv2.COLOR_BGRA2BGR)


def cutout(image_bgr: np.ndarray, region: Region) -> np.ndarray:
    """One object without its surroundings.

    Args:
        image_bgr: (H, W, 3) uint8, BGR.
        region: the object, tight, or some rows of it.

    Returns:
        (h, w, 4) uint8, RGBA: the window of the region; opaque on the object, all zeros elsewhere.
    """
    opaque = cv2.cvtColor(image_bgr[region.window], cv2.COLOR_BGR2RGBA)
    return cv2.bitwise_and(opaque, opaque, mask=region.mask.view(np.uint8))


def overlay(image_bgr: np.ndarray, scene: Scene, labels: Sequence[str], colors: Sequence[Color]) -> np.ndarray:
    """A copy of the photo with every object filled, outlined and labelled; see `draw_overlay`."""
    picture = image_bgr.copy()
    draw_overlay(picture, scene, labels, colors)
    return picture


def draw_overlay(picture: np.ndarray, scene: Scene, labels: Sequence[str], colors: Sequence[Color]) -> None:
    """Fills, outlines and labels every object in the photo itself.

    Args:
        picture: (H, W, 3) uint8, BGR, the photo; is drawn on.
        scene: the objects, with ids and outlines.
        labels: a text for each.
        colors: (r, g, b) for each.
    """
    _fill(picture, scene.ids, colors)
    width = max(1, round(float(np.sqrt(picture.shape[0] * picture.shape[1])) * OUTLINE))
    for outline, color in zip(reversed(scene.outlines), reversed(colors), strict=True):
        _draw_outline(picture, outline, color, width)
    draw_labels(picture, scene.outlines, labels, colors)


def _fill(picture: np.ndarray, ids: np.ndarray, colors: Sequence[Color]) -> None:
    """Blends each object's colour into the pixels where it is the foremost, so that the photo stays visible."""
    bgr = [color[::-1] for color in colors]
    for band in row_bands(ids.shape):
        tinted = cv2.addWeighted(picture[band], 1 - FILL, rgb(ids[band], bgr), FILL, 0)
        cv2.copyTo(tinted, binary(ids[band]), picture[band])


def _draw_outline(picture: np.ndarray, outline: Outline, color: Color, width: int) -> None:
    """Draws the edges of an object: its colour, on a darker and wider line that sets it off from any background."""
    contours = [cv2.approxPolyDP(contour, max(LEAST_DETAIL, width * DETAIL), True) for contour in outline.contours]
    if min(picture.shape[:2]) >= SETS_OFF:
        dark = tuple(channel // 4 for channel in color[::-1])
        cv2.drawContours(picture, contours, -1, dark, width + max(2, 2 * (width // 2)), cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, color[::-1], width, cv2.LINE_AA)
