"""Drawn photos stored for every orientation, and what people submit of them in Label Studio, with what was drawn."""

import io
from typing import Any

import cv2
import numpy as np
from brush import pack
from drawn import draw_scene
from matplotlib.path import Path
from PIL import Image
from preannotated import STORED

INTERFACE = """<View>
  <Image name="image" value="$image"/>
  <PolygonLabels name="polygon" toName="image">LABELS</PolygonLabels>
  <BrushLabels name="brush" toName="image">LABELS</BrushLabels>
  <RectangleLabels name="rectangle" toName="image">LABELS</RectangleLabels>
  <EllipseLabels name="ellipse" toName="image">LABELS</EllipseLabels>
</View>""".replace("LABELS", "".join(f'<Label value="{name}"/>' for name in ("car", "dog", "person")))
WIDTH, HEIGHT = 640, 480
HOLE = 20  # pixels: the radius of that in a brush mask
KINDS = ("polygon", "brush", "rectangle", "turned", "ellipse")


def stored(upright: np.ndarray, orientation: int) -> bytes:
    """An (H, W, 3) uint8 RGB image as a camera stores it for an orientation, a JPEG."""
    image = Image.fromarray(upright)
    image = image if STORED[orientation] is None else image.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, exif=exif)
    return stream.getvalue()


def scene(seed: int) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """An upright photo of 640 x 480 pixels, and the rings of its objects."""
    image, objects = draw_scene(np.random.default_rng([9, seed]), WIDTH, HEIGHT)
    return image, [(label, np.array(ring)) for label, ring in objects]


def filled(ring: np.ndarray) -> np.ndarray:
    """(480, 640) bool: the pixels whose centres lie within a ring."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return Path(ring).contains_points(np.stack([columns.ravel(), rows.ravel()], axis=1)).reshape(HEIGHT, WIDTH)


def submitted(kind: str, label: str, ring: np.ndarray, key: str) -> tuple[dict[str, Any], np.ndarray]:
    """A region as a person's browser sends it, in percentages of the photo as seen, and its (480, 640) bool mask.

    Args:
        kind: one of `KINDS`. A polygon is the ring itself, a brush mask its pixels without a hole in the middle; the
            others take the place and size of its box.
        label: class name.
        ring: (n, 2), in pixels.
        key: the region's id.
    """
    size, percent = np.array([WIDTH, HEIGHT]), 100 / np.array([WIDTH, HEIGHT])
    low, high = ring.min(axis=0), ring.max(axis=0)
    centre = (low + high) / 2
    control = {"turned": "rectangle"}.get(kind, kind)
    if kind == "polygon":
        mask, value = filled(ring), {"points": (ring * percent).tolist(), "closed": True}
    elif kind == "brush":
        with_hole = filled(ring).astype(np.uint8)
        cv2.circle(with_hole, tuple(centre.astype(int).tolist()), HOLE, 0, -1)
        mask = with_hole.astype(bool)
        value = {"format": "rle", "rle": pack(np.repeat(255 * with_hole[..., None], 4, axis=2))}
    elif kind == "ellipse":
        radii = (high - low) / 2
        angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        mask = filled(centre + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1))
        value = {"x": 100 * centre[0] / size[0], "y": 100 * centre[1] / size[1], "rotation": 0}
        value |= {"radiusX": 100 * radii[0] / size[0], "radiusY": 100 * radii[1] / size[1]}
    else:
        # Turned about its first corner, clockwise as one sees it; small enough to stay within the photo.
        turn = np.radians(20 if kind == "turned" else 0)
        corner, (width, height) = (centre, (high - low) / 3) if turn else (low, high - low)
        along, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        mask = filled(corner + np.array([0 * along, width * along, width * along + height * down, height * down]))
        x, y = corner * percent
        value = {"x": x, "y": y, "width": width * percent[0], "height": height * percent[1]}
        value["rotation"] = float(np.degrees(turn))
    region = {"id": key, "type": f"{control}labels", "from_name": control, "to_name": "image", "origin": "manual"}
    region |= {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {**region, "value": {**value, f"{control}labels": [label]}}, mask
