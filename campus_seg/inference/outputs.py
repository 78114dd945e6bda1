"""The pictures that `visualize.py` writes of a photo below `--output`."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from campus_seg.atomic_writes import check_output_folder, replacing
from campus_seg.errors import ConfigError
from campus_seg.inference import render
from campus_seg.inference.gallery import THUMBNAILS, make_thumbnail
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.journal import FOLDER as JOURNAL
from campus_seg.inference.png import write_png
from campus_seg.inference.regions import FoundObject, Region, row_bands
from campus_seg.inference.scene import Scene
from campus_seg.palette import class_colors
from campus_seg.storage import is_uri

# What --save chooses from. The lists (predictions.json, legend.json, failures.json) cost little and are always
# written; "predictions" alone writes no pictures.
OUTPUTS = ("overlay", "binary", "rgb", "instances", "cutouts", "predictions")
VIDEOS = "videos"  # below the output folder
ENDINGS = {"overlay": ".jpg", "binary": ".png", "rgb": ".png", "instances": ".png"}
CUTOUT = re.compile(r"\d{3,}_[\w-]+\.png")  # what a cut-out's file is called
JPEG_QUALITY = 92


def is_picture(name: str) -> bool:
    """Whether a file below the output folder is a photo's or video's own, which nothing reads again."""
    return name.partition("/")[0] in (*OUTPUTS, VIDEOS)


def is_kept(name: str) -> bool:
    """Whether a later command goes on from a file below the output folder; the lists it writes anew."""
    return is_picture(name) or name.partition("/")[0] in (THUMBNAILS, JOURNAL)


def check_apart(photos: Iterable[InputPhoto], output: Path | str) -> None:
    """Refuses to mask what was drawn.

    Args:
        photos: from `find_photos`.
        output: the folder that will be written to; a str is a URI.

    Raises:
        ConfigError: one of them lies among the outputs of an earlier run.
    """
    names = (*OUTPUTS, VIDEOS, THUMBNAILS)
    if is_uri(output):
        drawn = tuple(f"{output}/{name}/" for name in names)
        inside = (photo for photo in photos if is_uri(photo.path) and photo.path.startswith(drawn))
    else:
        folders = [output.resolve() / name for name in names]
        resolved = ((photo, photo.path.resolve()) for photo in photos if not is_uri(photo.path))
        inside = (photo for photo, path in resolved if any(map(path.is_relative_to, folders)))
    if found := next(inside, None):
        raise ConfigError(f"{found.path}: lies among the outputs in {output}; give another --output")


class PictureWriter:
    """Writes the pictures of one folder. Every file appears whole or not at all.

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
        check_output_folder(folder)

    def draw(self, photo: InputPhoto, image_bgr: np.ndarray, objects: Iterable[FoundObject]) -> dict[str, Any]:
        """Writes the pictures of a photo. Several threads may call this, each for a photo of its own.

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
        if "cutouts" in self.save:
            self._remove_cutouts(photo)
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

    def pictures(self, photo: InputPhoto) -> list[str]:
        """Paths below the folder of what is drawn of every photo, with objects or without."""
        return [f"{kind}/{photo.name}{ending}" for kind, ending in ENDINGS.items() if kind in self.save]

    def remove(self, photo: InputPhoto) -> None:
        """Removes an earlier run's pictures of a photo that cannot be read now."""
        if not photo.name:
            return
        thumbnails = [f"{THUMBNAILS}/{photo.name}.jpg"] if "overlay" in self.save else []
        for path in [*self.pictures(photo), *thumbnails]:
            (self.folder / path).unlink(missing_ok=True)
        if "cutouts" in self.save:
            self._remove_cutouts(photo)

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
            with replacing(self.folder / f"overlay/{photo.name}.jpg") as temporary:
                temporary.write_bytes(encoded)
            make_thumbnail(self.folder, photo.name)  # from the file, as the gallery does where one is missing

    def _draw_overlay(self, image_bgr: np.ndarray, scene: Scene, annotations: Sequence[dict[str, Any]]) -> None:
        classes = [annotation["category_id"] - 1 for annotation in annotations]
        scores = [annotation["score"] for annotation in annotations]
        labels = [f"{self.class_names[i]} {score:.0%}" for i, score in zip(classes, scores, strict=True)]
        render.draw_overlay(image_bgr, scene, labels, [self.colors[i] for i in classes])

    def _write_cutout(self, name: str, image_bgr: np.ndarray, region: Region) -> None:
        bands = (render.cutout(image_bgr, region.rows(band)) for band in row_bands(region.mask.shape))
        self._write_png(name, region.mask.shape, bands)

    def _remove_cutouts(self, photo: InputPhoto) -> None:
        for path in (self.folder / "cutouts" / photo.name).glob("*.png"):
            if CUTOUT.fullmatch(path.name) and path.is_file():
                path.unlink()

    def _write_png(self, name: str, shape: tuple[int, int], bands: Iterable[np.ndarray]) -> None:
        with replacing(self.folder / name) as temporary, temporary.open("wb") as file:
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
