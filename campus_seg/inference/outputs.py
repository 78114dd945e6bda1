"""The pictures that `visualize.py` writes of a photo below `--output`."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from campus_seg.atomic_writes import check_output_folder, replacing
from campus_seg.errors import ConfigError
from campus_seg.inference.gallery import THUMBNAILS, make_thumbnail
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.journal import FOLDER as JOURNAL
from campus_seg.inference.pictures import ENDINGS, OUTPUTS, Pictures
from campus_seg.inference.regions import FoundObject
from campus_seg.storage import is_uri

VIDEOS = "videos"  # below the output folder
CUTOUT = re.compile(r"\d{3,}_[\w-]+\.png")  # what a cut-out's file is called


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


class PictureWriter(Pictures):
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
        super().__init__(class_names, save)
        self.folder = folder
        check_output_folder(folder)

    def draw(self, photo: InputPhoto, image_bgr: np.ndarray, objects: Iterable[FoundObject]) -> dict[str, Any]:
        """Writes the pictures of a photo; see `Pictures.draw`."""
        if "cutouts" in self.save:
            self._remove_cutouts(photo)
        record = super().draw(photo, image_bgr, objects)
        if "overlay" in self.save:
            make_thumbnail(self.folder, photo.name)  # from the file, as the gallery does where one is missing
        return record

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file below the folder; see `Pictures.writing`."""
        with replacing(self.folder / name) as temporary, temporary.open("wb") as file:
            yield file

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

    def _remove_cutouts(self, photo: InputPhoto) -> None:
        for path in (self.folder / "cutouts" / photo.name).glob("*.png"):
            if CUTOUT.fullmatch(path.name) and path.is_file():
                path.unlink()
