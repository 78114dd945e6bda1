"""What `visualize.py` writes below `--output`: a photo's pictures, and the lists of the whole folder."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from campus_seg.inference import render
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.regions import FoundObject
from campus_seg.palette import class_colors
from campus_seg.storage import check_output_folder, replacing, write_json

# What --save chooses from. The lists (predictions.json, legend.json, failures.json) cost little and are always
# written; "predictions" alone writes no pictures.
OUTPUTS = ("overlay", "binary", "rgb", "instances", "cutouts", "predictions")
ENDINGS = {"overlay": ".jpg", "binary": ".png", "rgb": ".png", "instances": ".png"}
CUTOUT = re.compile(r"\d{3,}_[\w-]+\.png")  # what a cut-out's file is called
JPEG_QUALITY = 92


class OutputWriter:
    """Writes the outputs of one folder. Every file appears whole or not at all.

    Of an earlier run only what would now mislead is removed: the cut-outs of a photo whose new ones are written, and
    of a photo that fails the pictures that are asked for.

    Args:
        folder: where to; made where it is missing.
        class_names: in the order of the model's outputs.
        save: some of `OUTPUTS`.

    Raises:
        ConfigError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], save: Collection[str] = OUTPUTS):
        self.folder = folder
        self.class_names = list(class_names)
        self.colors = class_colors(len(class_names))
        self.save = frozenset(save)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        check_output_folder(folder)

    def add(self, photo: InputPhoto, image_bgr: np.ndarray, objects: Sequence[FoundObject]) -> None:
        """Writes the pictures of a photo and keeps its records for `finish`.

        Args:
            photo: whose it is.
            image_bgr: (H, W, 3) uint8, BGR, upright.
            objects: by falling score; their instance ids are 1, 2, ….
        """
        shape = image_bgr.shape[:2]
        regions = [found.region for found in objects]
        colors = [self.colors[found.class_id] for found in objects]
        if "overlay" in self.save:
            labels = [f"{self.class_names[found.class_id]} {found.score:.0%}" for found in objects]
            picture = render.overlay(image_bgr, regions, labels, colors)
            self._write_picture(f"overlay/{photo.name}.jpg", picture, cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        if "binary" in self.save:
            self._write_picture(f"binary/{photo.name}.png", render.binary(regions, shape))
        if "rgb" in self.save:
            picture = cv2.cvtColor(render.rgb(regions, colors, shape), cv2.COLOR_RGB2BGR)
            self._write_picture(f"rgb/{photo.name}.png", picture)
        if "instances" in self.save:
            self._write_picture(f"instances/{photo.name}.png", render.instance_ids(regions, shape))
        if "cutouts" in self.save:
            self._remove_cutouts(photo)
            for instance_id, found in enumerate(objects, start=1):
                class_name = re.sub(r"[^\w-]+", "_", self.class_names[found.class_id])[:80]
                picture = cv2.cvtColor(render.cutout(image_bgr, found.region), cv2.COLOR_RGBA2BGRA)
                self._write_picture(f"cutouts/{photo.name}/{instance_id:03d}_{class_name}.png", picture)
        self._record(photo, shape, objects)

    def fail(self, photo: InputPhoto, reason: str) -> None:
        """Keeps a photo that could not be read for failures.json."""
        self.failures.append({"file_name": photo.file_name, "reason": reason})
        if not photo.name:
            return
        for kind in self.save & ENDINGS.keys():
            (self.folder / kind / f"{photo.name}{ENDINGS[kind]}").unlink(missing_ok=True)
        if "cutouts" in self.save:
            self._remove_cutouts(photo)

    def finish(self) -> None:
        """Writes predictions.json, legend.json and failures.json."""
        names = enumerate(self.class_names, start=1)
        predictions = {
            "images": self.images,
            "categories": [{"id": category_id, "name": name} for category_id, name in names],
            "annotations": self.annotations,
        }
        legend = {
            name: {"id": i + 1, "rgb": list(color), "hex": "#{:02x}{:02x}{:02x}".format(*color)}
            for i, (name, color) in enumerate(zip(self.class_names, self.colors, strict=True))
        }
        write_json(self.folder / "predictions.json", predictions)
        write_json(self.folder / "legend.json", legend)
        write_json(self.folder / "failures.json", self.failures)

    def _record(self, photo: InputPhoto, shape: tuple[int, int], objects: Sequence[FoundObject]) -> None:
        image_id = len(self.images) + 1
        height, width = shape
        self.images.append({"id": image_id, "file_name": photo.file_name, "width": width, "height": height})
        for instance_id, found in enumerate(objects, start=1):
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": image_id,
                    "category_id": found.class_id + 1,
                    "instance_id": instance_id,
                    "score": round(found.score, 6),
                    "bbox": list(found.region.bbox),
                    "area": found.region.area,
                    "iscrowd": 0,
                    "segmentation": found.region.rle(shape),
                }
            )

    def _remove_cutouts(self, photo: InputPhoto) -> None:
        for path in (self.folder / "cutouts" / photo.name).glob("*.png"):
            if CUTOUT.fullmatch(path.name) and path.is_file():
                path.unlink()

    def _write_picture(self, name: str, picture: np.ndarray, *options: int) -> None:
        """Encodes a grey, BGR or BGRA picture by the name's ending."""
        _, encoded = cv2.imencode(Path(name).suffix, picture, options)  # raises cv2.error where it cannot
        with replacing(self.folder / name) as temporary:
            temporary.write_bytes(encoded)
