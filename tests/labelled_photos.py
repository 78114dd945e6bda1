"""Drawn photos stored for every orientation, and what people submit of them in Label Studio, with what was drawn."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
from brush import pack
from drawn import COLORS, draw_scene, draw_shape, encode, grey
from matplotlib.path import Path
from PIL import Image
from preannotated import STORED

INTERFACE = """<View>
  <Image name="image" value="$image"/>
  <PolygonLabels name="polygon" toName="image">LABELS</PolygonLabels>
  <BrushLabels name="brush" toName="image">LABELS</BrushLabels>
  <BitmaskLabels name="bitmask" toName="image">LABELS</BitmaskLabels>
  <RectangleLabels name="rectangle" toName="image">LABELS</RectangleLabels>
  <EllipseLabels name="ellipse" toName="image">LABELS</EllipseLabels>
</View>""".replace("LABELS", "".join(f'<Label value="{name}"/>' for name in COLORS))
WIDTH, HEIGHT = 640, 480
HOLE = 20  # pixels: the radius of that in a brush mask
KINDS = ("polygon", "brush", "bitmask", "rectangle", "turned", "ellipse")
Shape = tuple[str, np.ndarray]  # class name, and ring in pixels


def stored(upright: np.ndarray, orientation: int) -> bytes:
    """An (H, W, 3) uint8 RGB image as a camera stores it for an orientation, a JPEG."""
    way = STORED[orientation]
    image = upright if way is None else np.asarray(Image.fromarray(upright).transpose(way))
    return encode(image, orientation=orientation)


NOTHING = stored(grey(np.random.default_rng(9), WIDTH, HEIGHT), 6)  # a photo without objects that lies on its side


def scene(seed: int) -> tuple[np.ndarray, list[Shape]]:
    """An upright photo of 640 x 480 pixels, and its two or three objects."""
    image, objects = draw_scene(np.random.default_rng([9, seed]), WIDTH, HEIGHT)
    return image, [(label, np.array(ring)) for label, ring in objects]


def six_shapes(seed: int, labels: Sequence[str]) -> tuple[np.ndarray, list[Shape]]:
    """An upright photo of 640 x 480 pixels with an object of each of six classes given, three in a row."""
    rng = np.random.default_rng([10, seed])
    image = grey(rng, WIDTH, HEIGHT)
    shapes = []
    for place, label in enumerate(labels):
        center = np.array([(place % 3 + 0.5) * WIDTH / 3, (place // 3 + 0.5) * HEIGHT / 2])
        shapes.append((label, draw_shape(image, label, center, rng.uniform(70, 90), rng.uniform(0, np.pi))))
    return image, shapes


class Part(NamedTuple):
    """A region that somebody drew.

    Attributes:
        kind: one of `KINDS`.
        mask: (480, 640) bool.
        filled: the same without its hole.
    """

    kind: str
    mask: np.ndarray
    filled: np.ndarray


class Drawn(NamedTuple):
    """An object: class name and regions."""

    label: str
    parts: list[Part]


@dataclass
class Drawing:
    """What one person makes of a photo.

    Attributes:
        regions: as a browser sends them.
        objects: what they are.
    """

    regions: list[dict[str, Any]] = field(default_factory=list)
    objects: list[Drawn] = field(default_factory=list)

    @classmethod
    def of(cls, shapes: Sequence[Shape], kinds: Sequence[str] = ("polygon",)) -> "Drawing":
        """One region an object, of kinds by turns."""
        drawing = cls()
        for i, shape in enumerate(shapes):
            drawing.add(kinds[i % len(kinds)], shape)
        return drawing

    def add(self, kind: str, shape: Shape, *, below: bool = False) -> None:
        """Draws a region, maybe below the one before in the outliner: of one class they are parts of one object."""
        label, ring = shape
        region, part = submitted(kind, label, ring, f"region{len(self.regions)}")
        if below:
            region["parentID"] = self.regions[-1]["id"]
        self.regions.append(region)
        if below and self.objects[-1].label == label:
            self.objects[-1].parts.append(part)
        else:
            self.objects.append(Drawn(label, [part]))


def filled(ring: np.ndarray) -> np.ndarray:
    """(480, 640) bool: the pixels whose centres lie within a ring."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return Path(ring).contains_points(np.stack([columns.ravel(), rows.ravel()], axis=1)).reshape(HEIGHT, WIDTH)


def submitted(kind: str, label: str, ring: np.ndarray, key: str) -> tuple[dict[str, Any], Part]:
    """A region as a person's browser sends it, in percentages of the photo as seen, and what it is.

    Args:
        kind: one of `KINDS`. A polygon is the ring itself, a brush mask and a bitmask its pixels without a hole in the
            middle; the others take the place and size of its box.
        label: class name.
        ring: (n, 2), in pixels.
        key: the region's id.
    """
    percent = 100 / np.array([WIDTH, HEIGHT])
    low, high = ring.min(axis=0), ring.max(axis=0)
    centre = (low + high) / 2
    control = {"turned": "rectangle"}.get(kind, kind)
    if kind in ("polygon", "brush", "bitmask"):
        outline, value = ring, {"points": (ring * percent).tolist(), "closed": True}
    elif kind == "ellipse":
        radii = (high - low) / 2
        angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        outline = centre + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        (x, y), (radius_x, radius_y) = centre * percent, radii * percent
        value = {"x": x, "y": y, "radiusX": radius_x, "radiusY": radius_y, "rotation": 0}
    else:
        # Turned about its first corner, clockwise as one sees it; small enough to stay within the photo.
        turn = np.radians(20 if kind == "turned" else 0)
        corner, (width, height) = (centre, (high - low) / 2) if turn else (low, high - low)
        along, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        outline = corner + np.array([0 * along, width * along, width * along + height * down, height * down])
        x, y = corner * percent
        value = {"x": x, "y": y, "width": width * percent[0], "height": height * percent[1]}
        value["rotation"] = float(np.degrees(turn))
    mask = whole = filled(outline)
    if kind in ("brush", "bitmask"):
        picture = np.repeat(255 * whole.astype(np.uint8)[..., None], 4, axis=2)
        cv2.circle(picture, tuple(ring.mean(axis=0).astype(int).tolist()), HOLE, (0, 0, 0, 0), -1)
        mask = picture[..., 3] > 0
        value = {"format": "rle", "rle": pack(picture)} if kind == "brush" else {"imageDataURL": png_address(picture)}
    region = {"id": key, "type": f"{control}labels", "from_name": control, "to_name": "image", "origin": "manual"}
    region |= {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {**region, "value": {**value, f"{control}labels": [label]}}, Part(kind, mask, whole)


def png_address(picture: np.ndarray) -> str:
    """An (H, W, 4) uint8 picture as the address that holds it."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
