"""Small drawn photos and Label Studio exports of them, for tests."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from campus_seg.label_studio.export import Export, read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.photos import Annotation

# A mini network of a few thousand parameters, to be given with a config.
SMALL_MODEL = [
    *("MODEL.DEVICE", "cpu", "MODEL.FPN.OUT_CHANNELS", "16", "CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 8, 16, 16]"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8", "CAMPUS.INPUT_SIZE", "96"),
    *("CAMPUS.EVALUATION.REPORT", "False"),  # takes longer than such a training
    *("CAMPUS.PRECISION", ""),  # the same numbers whatever the processor has
]
COLORS = {"car": (200, 40, 40), "dog": (40, 160, 60), "person": (40, 60, 210)}  # RGB


@dataclass
class DrawnExport:
    """The parts of an export, to be changed by a test before it is written."""

    coco: dict[str, Any]
    photos: dict[str, bytes] = field(default_factory=dict)  # base name -> file content

    def write_zip(self, path: Path) -> Path:
        """Packs it as COCO_WITH_IMAGES does."""
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("result.json", json.dumps(self.coco))
            for name, content in self.photos.items():
                archive.writestr(f"images/{name}", content)
        return path


def encode(image: np.ndarray, *, ending: str = ".jpg", orientation: int = 1) -> bytes:
    """An (H, W, 3) uint8 RGB image as stored bytes, with an EXIF orientation tag."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    kind = {".jpg": "JPEG", ".png": "PNG"}[ending]
    Image.fromarray(image).save(stream, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def grey(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """An (H, W, 3) uint8 photo of nothing."""
    return rng.normal(128, 8, (height, width, 3)).clip(0, 255).astype(np.uint8)


def draw_shape(image: np.ndarray, name: str, center: np.ndarray, radius: float, turn: float) -> np.ndarray:
    """Draws a convex shape of a class on an RGB image; returns its ring, (n, 2) in continuous pixels."""
    corners = {"car": 4, "dog": 3, "person": 12}[name]
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    ring = center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # A pixel's centre lies at + 0.5; fillPoly's whole numbers are centres.
    cv2.fillPoly(image, [np.round((ring - 0.5) * 16).astype(np.int32)], COLORS[name], cv2.LINE_AA, shift=4)
    return ring


def draw_scene(
    rng: np.random.Generator, width: int, height: int
) -> tuple[np.ndarray, list[tuple[str, list[list[float]]]]]:
    """A grey photo with two or three coloured convex shapes that do not overlap.

    Returns:
        (H, W, 3) uint8 RGB and (class name, one ring of [x, y] in continuous pixels) for each shape.
    """
    image = grey(rng, width, height)
    objects = []
    columns = rng.permutation(3)[: rng.integers(2, 4)]
    for column in columns:
        name = list(COLORS)[rng.integers(len(COLORS))]
        center = np.array([(column + 0.5) * width / 3, height * rng.uniform(0.35, 0.65)])
        radius = min(width / 3, height) * rng.uniform(0.3, 0.45)
        ring = draw_shape(image, name, center, radius, rng.uniform(0, np.pi))
        objects.append((name, ring.round(2).tolist()))
    return image, objects


def draw_export(photos: int = 10, width: int = 128, height: int = 96, seed: int = 0) -> DrawnExport:
    """An export with the classes car, dog and person, and the unused label "bench"; ids from 0 as in real ones."""
    names = sorted([*COLORS, "bench"])
    coco = {
        "images": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [],
        "info": {"contributor": "Label Studio"},
    }
    export = DrawnExport(coco)
    for i in range(photos):
        image, objects = draw_scene(np.random.default_rng([seed, i]), width, height)
        name = f"{i:08x}-photo_{i}.jpg"
        export.photos[name] = encode(image)
        coco["images"].append(
            {"width": width, "height": height, "id": i, "file_name": f"../ls/data/media/upload/1/{name}"}
        )
        for label, ring in objects:
            add_polygon(export, i, label, ring)
    return export


def add_polygon(export: DrawnExport, image_id: int, label: str, ring: list[list[float]]) -> dict[str, Any]:
    """Adds one object of one ring, as Label Studio writes it; returns the annotation to be changed."""
    points = np.array(ring)
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    labels = {category["name"]: category["id"] for category in export.coco["categories"]}
    annotation = {
        "id": len(export.coco["annotations"]),
        "image_id": image_id,
        "category_id": labels[label],
        "segmentation": [points.ravel().tolist()],
        "bbox": [*low.tolist(), *size.tolist()],
        "ignore": 0,
        "iscrowd": 0,
        "area": float(size[0] * size[1]),
    }
    export.coco["annotations"].append(annotation)
    return annotation


def read_drawn(export: DrawnExport, folder: Path, **options) -> Export:
    """Packs a drawn export below `folder` and reads it with these options."""
    return read_export(str(export.write_zip(folder / "export.zip")), ExportOptions(**options))


def annotations_of(export: Export, name: str) -> list[Annotation]:
    """The annotations of the photo whose name ends so."""
    return next(photo for photo in export.photos if photo.name.endswith(name)).annotations


def one_photo(tmp_path: Path, file_name: str, *files: str) -> Path:
    """Writes an export in a folder, of one photo by the name of `file_name`, which lies there under other names."""
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = file_name
    folder = tmp_path / "folder"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(export.photos["00000000-photo_0.jpg"])
    (folder / "result.json").write_text(json.dumps(export.coco))
    return folder


def ellipse_mask(height: int, width: int, radii: tuple[int, int], hole: int = 0) -> np.ndarray:
    """(height, width) bool: an ellipse in the middle, turned by 30 degrees, with a round hole of that radius."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), radii, 30, 0, 360, 1, -1)
    if hole:
        cv2.circle(mask, (width // 2, height // 2), hole, 0, -1)
    return mask.astype(bool)
