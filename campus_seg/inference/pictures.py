"""The pictures of a photo, drawn from its objects, wherever they are kept."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import cv2
import numpy as np

from campus_seg.inference import render
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.png import write_png
from campus_seg.inference.regions import FoundObject, Region, row_bands
from campus_seg.inference.scene import Scene
from campus_seg.palette import class_colors

# What --save chooses from. The lists (predictions.json, legend.json, failures.json) cost little and are always
# written; "predictions" alone writes no pictures.
OUTPUTS = ("overlay", "binary", "rgb", "instances", "cutouts", "predictions")
ENDINGS = {"overlay": ".jpg", "binary": ".png", "rgb": ".png", "instances": ".png"}
JPEG_QUALITY = 92


class Pictures(ABC):
    """Draws the pictures of photos; a class below says where they go.

    Args:
        class_names: in the order of the model's outputs.
        save: some of `OUTPUTS`.
    """

    def __init__(self, class_names: Sequence[str], save: Collection[str] = OUTPUTS):
        self.class_names = list(class_names)
        self.colors = class_colors(len(class_names))
        self.save = frozenset(save)

    @abstractmethod
    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A new file for one picture, such as "binary/<name>.png"; whole when the block ends without an error."""

    def draw(self, photo: InputPhoto, image_bgr: np.ndarray, objects: Iterable[FoundObject]) -> dict[str, Any]:
        """Draws the pictures of a photo. Several threads may call this, each for a photo of its own.

        Args:
            photo: whose it is.
            image_bgr: (H, W, 3) uint8, BGR, upright. It becomes the overlay, where that is asked for: a panorama and
                its copy would be large.
            objects: by falling score; their instance ids are 1, 2, …. They are taken one by one and not kept, so
                where they are made on demand no two masks exist at once.

        Returns:
            {"image": …, "annotations": [...]}, COCO's without the ids that depend on other photos; see lists.py.
        """
        height, width = image_bgr.shape[:2]
        scene = Scene(
            (height, width),
            with_ids=not self.save.isdisjoint(ENDINGS),
            with_outlines="overlay" in self.save,
        )
        annotations = []
        for found in objects:
            instance_id = scene.add(found.region)
            if "cutouts" in self.save:
                class_name = re.sub(r"[^\w-]+", "_", self.class_names[found.class_id])[:80]
                name = f"cutouts/{photo.name}/{instance_id:03d}_{class_name}.png"
                self._write_cutout(name, image_bgr, found.region)
            annotations.append(_annotation(found, instance_id, (height, width)))
            del found  # or its mask would stay while the next one is made
        self._write_pictures(photo, image_bgr, scene, annotations)
        image = {"file_name": photo.file_name, "width": width, "height": height}
        return {"image": image, "annotations": annotations}

    def draw_frame(self, image_bgr: np.ndarray, objects: Iterable[FoundObject]) -> list[dict[str, Any]]:
        """Makes a frame of a video its overlay, where that is asked for; writes nothing.

        Args:
            image_bgr: (H, W, 3) uint8, BGR, upright; is drawn on.
            objects: see `draw`.

        Returns:
            COCO's annotations, as of `draw`.
        """
        shape, drawn = image_bgr.shape[:2], "overlay" in self.save
        scene = Scene(shape, with_ids=drawn, with_outlines=drawn)
        annotations = [_annotation(found, scene.add(found.region), shape) for found in objects]
        if drawn:
            self._draw_overlay(image_bgr, scene, annotations)
        return annotations

    def _write_pictures(
        self, photo: InputPhoto, image_bgr: np.ndarray, scene: Scene, annotations: Sequence[dict[str, Any]]
    ) -> None:
        """Writes the pictures of the whole photo: a band of rows at a time, and the overlay in its place."""
        colors = [self.colors[annotation["category_id"] - 1] for annotation in annotations]
        drawings = {
            "binary": render.binary,
            "rgb": lambda ids: render.rgb(ids, colors),
            "instances": lambda ids: ids,
        }
        for kind, draw in drawings.items():
            if kind in self.save:
                bands = (draw(scene.ids[band]) for band in row_bands(scene.ids.shape))
                self._write_png(f"{kind}/{photo.name}.png", scene.ids.shape, bands)
        if "overlay" in self.save:
            self._draw_overlay(image_bgr, scene, annotations)  # at last, for it changes the photo
            options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            _, encoded = cv2.imencode(".jpg", image_bgr, options)  # raises cv2.error where it cannot
            with self.writing(f"overlay/{photo.name}.jpg") as file:
                file.write(encoded)

    def _draw_overlay(self, image_bgr: np.ndarray, scene: Scene, annotations: Sequence[dict[str, Any]]) -> None:
        classes = [annotation["category_id"] - 1 for annotation in annotations]
        scores = [annotation["score"] for annotation in annotations]
        labels = [f"{self.class_names[i]} {score:.0%}" for i, score in zip(classes, scores, strict=True)]
        render.draw_overlay(image_bgr, scene, labels, [self.colors[i] for i in classes])

    def _write_cutout(self, name: str, image_bgr: np.ndarray, region: Region) -> None:
        bands = (render.cutout(image_bgr, region.rows(band)) for band in row_bands(region.mask.shape))
        self._write_png(name, region.mask.shape, bands)

    def _write_png(self, name: str, shape: tuple[int, int], bands: Iterable[np.ndarray]) -> None:
        with self.writing(name) as file:
            write_png(file, shape, bands)


def _annotation(found: FoundObject, instance_id: int, shape: tuple[int, int]) -> dict[str, Any]:
    """COCO's record of an object in a photo of `shape` (H, W)."""
    return {
        "category_id": found.class_id + 1,
        "instance_id": instance_id,
        "score": round(found.score, 6),
        "bbox": list(found.region.bbox),
        "area": found.region.area,
        "iscrowd": 0,
        "segmentation": found.region.rle(shape),
    }
