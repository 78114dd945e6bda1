"""The model that people try: one photo at a time to a result, and a result to any of its pictures."""

import argparse
import io
import threading
import time
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from detectron2.structures import Boxes, Instances

from campus_seg.errors import ConfigError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.lists import write_coco_text
from campus_seg.inference.paste import found_objects
from campus_seg.inference.pictures import Pictures
from campus_seg.inference.run_model import THRESHOLD_KEY, load_run_model
from campus_seg.inference.selection import Selection
from campus_seg.photos import LARGE, PhotoError, return_freed_memory
from campus_seg.web.limits import LEAST, MAX_MEGAPIXELS
from campus_seg.web.received import decode, receive, stem_of
from campus_seg.web.results import Result, Results, ShownObject

SCREEN = 1600  # pixels of the longer side of a view
SCREEN_QUALITY = 92  # of the photo that is kept for views
MAX_CUTOUTS = 200_000_000  # bytes
FOR_ALL = 0o644 << 16  # who may read a file out of a .zip
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a .zip can name


class DemoModel:
    """A predictor, and the results of those who try it. Several threads may use it.

    Args:
        predictor: of a run, which gives all objects from `LEAST` on; used by one thread at a time.
        results: where they are kept; None: new ones.
        max_megapixels: of a photo.

    Attributes:
        class_names: in the order of the class ids.
        results: see above.
    """

    def __init__(self, predictor: Callable, results: Results | None = None, *, max_megapixels: float = MAX_MEGAPIXELS):
        self.predictor = predictor
        self.class_names = list(predictor.class_names)
        self.results = Results() if results is None else results
        self._max_megapixels = max_megapixels
        self._one_at_a_time = threading.Lock()

    def predict(self, name: str, content: bytes, arrived: float | None = None) -> Result:
        """Finds the objects of a photo, and keeps the result.

        Args:
            name: as it was sent.
            content: of its file.
            arrived: when it did, by time.monotonic(), from when on it is kept; None: now.

        Raises:
            PhotoError: it cannot be used, in words for people.
        """
        arrived = time.monotonic() if arrived is None else arrived
        photo = receive(name, content, self._max_megapixels)
        pixels = decode(photo)
        with self._one_at_a_time:
            (instances,) = self.predictor([pixels])
        instances = _copied(instances)
        objects = [ShownObject(one.class_id, one.score, one.region.area) for one in found_objects(instances)]
        screen = _screen(pixels)
        height, width = pixels.shape[:2]
        _give_back(pixels.nbytes)
        return self.results.add(photo, width, height, instances, objects, screen=screen, arrived=arrived)

    def selected(self, result: Result, threshold: float, class_ids: Collection[int] | None = None) -> Instances:
        """Those of a result's instances that `visualize.py --confidence-threshold T --classes …` would take.

        Args:
            result: whose.
            threshold: the least score.
            class_ids: of those that are wanted; None: all.
        """
        names = self.class_names
        if class_ids is None:
            return Selection(threshold).of(result.instances, names)
        classes = tuple(name for class_id, name in enumerate(names) if class_id in class_ids)
        chosen = Selection(threshold, classes=classes).of(result.instances, names)
        return chosen if classes else chosen[:0]  # without names it would be all

    def draw(self, result: Result, kind: str, threshold: float, class_ids: Collection[int] | None = None) -> bytes:
        """A picture, or the list, of a result, without the model.

        "overlay" and "cutouts" hold the decoded photo meanwhile, and "cutouts" up to `MAX_CUTOUTS` bytes twice.

        Args:
            result: whose.
            kind: one of `KINDS` (limits.py). But for "view", the overlay on at most `SCREEN` pixels, these are the
                bytes that `visualize.py` writes; "cutouts" are all in a .zip, each by its name.
            threshold: the least score.
            class_ids: of the classes that are wanted; None: all.

        Raises:
            PhotoError: there is nothing to cut out, or too much, in words for people.
        """
        instances = self.selected(result, threshold, class_ids)
        photo = InputPhoto(Path(), result.name, stem_of(result.name))
        if kind == "view":
            return self._view(result, photo, instances)
        if kind == "predictions":
            return self._predictions(result, photo, instances)
        if kind == "cutouts":
            return self._cutouts(result, photo, instances)
        image = decode(result.photo) if kind == "overlay" else _blank(result)
        picture = _InMemory(self.class_names, [kind])
        picture.draw(photo, image, found_objects(instances))
        _give_back(image.size)
        return picture.file.getvalue()

    def _view(self, result: Result, photo: InputPhoto, instances: Instances) -> bytes:
        image = cv2.imdecode(np.frombuffer(result.screen, np.uint8), cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        boxes = instances.pred_boxes.clone()
        boxes.scale(width / result.width, height / result.height)
        fields = {**instances.get_fields(), "pred_boxes": boxes}
        picture = _InMemory(self.class_names, ["overlay"])
        picture.draw(photo, image, found_objects(Instances((height, width), **fields)))
        return picture.file.getvalue()

    def _predictions(self, result: Result, photo: InputPhoto, instances: Instances) -> bytes:
        record = _InMemory(self.class_names, ()).draw(photo, _blank(result), found_objects(instances))
        file = io.StringIO()
        write_coco_text(file, lambda: [record], self.class_names)
        return file.getvalue().encode()

    def _cutouts(self, result: Result, photo: InputPhoto, instances: Instances) -> bytes:
        if next(found_objects(instances), None) is None:
            raise PhotoError("There is nothing to cut out: no object is shown. Lower the threshold or add classes.")
        file = _BoundedFile(MAX_CUTOUTS)
        image = decode(result.photo)
        with zipfile.ZipFile(file, "w") as archive:
            _IntoZip(self.class_names, archive).draw(photo, image, found_objects(instances))
        _give_back(image.size)
        return file.getvalue()


class _InMemory(Pictures):
    """Draws one picture, into memory."""

    def __init__(self, class_names: Collection[str], save: Collection[str]):
        super().__init__(class_names, save)
        self.file = io.BytesIO()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:  # noqa: ARG002
        yield self.file


class _IntoZip(Pictures):
    """Draws the cut-outs, into a .zip."""

    def __init__(self, class_names: Collection[str], archive: zipfile.ZipFile):
        super().__init__(class_names, ["cutouts"])
        self._archive = archive

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        info = zipfile.ZipInfo(name.rpartition("/")[2], EPOCH)
        info.external_attr = FOR_ALL
        with self._archive.open(info, "w") as file:
            yield file


class _BoundedFile(io.BytesIO):
    """A file in memory that says when it gets too large."""

    def __init__(self, most: int):
        super().__init__()
        self._most = most

    def write(self, content: bytes) -> int:
        if self.tell() + len(content) > self._most:
            self._most = np.inf  # the .zip is closed all the same
            raise PhotoError(
                "The cut-outs are too large to be sent at once. Raise the threshold, or leave classes out."
            )
        return super().write(content)


def load_demo_model(args: argparse.Namespace) -> DemoModel:
    """The model of a run, computed as visualize.py would.

    Args:
        args: with `config_file` and `opts`, and `max_megapixels` where that is set.

    Raises:
        ConfigError: one of them cannot be used.
        WeightsError: the model cannot be loaded.
    """
    if THRESHOLD_KEY in args.opts[::2]:
        raise ConfigError(
            f"--opts {THRESHOLD_KEY}: people move the page's threshold, from {LEAST:g} on; give --confidence-threshold "
            "for where it begins"
        )
    asked = {**vars(args), "confidence_threshold": [("", LEAST)], "classes": [], "min_area": 0}
    _, predictor, _ = load_run_model(argparse.Namespace(**asked))
    return DemoModel(predictor, max_megapixels=getattr(args, "max_megapixels", MAX_MEGAPIXELS))


def _copied(instances: Instances) -> Instances:
    """Copies of what may be parts of larger tensors, which would stay with them."""
    fields = instances.get_fields()
    own = {name: value.clone() for name, value in fields.items() if name != "pred_boxes"}
    return Instances(instances.image_size, pred_boxes=Boxes(fields["pred_boxes"].tensor.clone()), **own)


def _blank(result: Result) -> np.ndarray:
    """Stands for a photo of which nothing but its shape is looked at."""
    return np.broadcast_to(np.uint8(0), (result.height, result.width, 3))


def _screen(pixels: np.ndarray) -> bytes:
    """A photo as a JPEG of at most `SCREEN` pixels a side."""
    height, width = pixels.shape[:2]
    scale = SCREEN / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, SCREEN_QUALITY])[1].tobytes()


def _give_back(size: int) -> None:
    """Gives what a large photo took back to the system; `size` in bytes."""
    if size > LARGE:
        return_freed_memory()
