"""Photos to begin with, of those that a run was made with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import msgspec

from campus_seg.config import run_folder
from campus_seg.data.datasets import coco_file, image_folder
from campus_seg.errors import StorageError, one_line
from campus_seg.evaluation.run_files import JUDGED
from campus_seg.photos import PhotoError, photo_file, read_photo_bytes
from campus_seg.storage import base_name, is_uri, join
from campus_seg.storage import place as place_of
from campus_seg.storage_objects import read_bytes

MOST = 6
TRIED = 24  # photos, so that a run whose photos have gone does not keep a start waiting
MOST_BYTES = 20_000_000  # of a photo; they are all kept in memory
SIDE = 256  # pixels of a thumbnail, at most
QUALITY = 85


@dataclass(frozen=True)
class Example:
    """A photo of the run.

    Attributes:
        name: as shown.
        content: of its file, so that no visitor waits for a storage.
        thumbnail: a small JPEG.
    """

    name: str
    content: bytes = field(repr=False)
    thumbnail: bytes = field(repr=False)


class _Image(msgspec.Struct):
    id: int
    file_name: str


class _Annotation(msgspec.Struct):
    image_id: int


class _Images(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation] = []


def find_examples(
    config_file: str, usable: Callable[[str, bytes], object], max_bytes: float = MOST_BYTES
) -> tuple[list[Example], int]:
    """Photos of a run: of its test photos, else its validation photos, else those it was trained with.

    Args:
        config_file: the run's config.yaml, or its URI.
        usable: raises PhotoError for a photo, by its name and bytes, that the page would refuse.
        max_bytes: of a photo's file, and never more than `MOST_BYTES`.

    Returns:
        At most `MOST`, spread over the list, those with objects first, none where the run has no import; and how many
        were skipped, since they are gone, too large, or cannot be read.
    """
    folder = run_folder(config_file)
    for split in JUDGED:
        labelled, others = _names(folder, split)
        if not labelled and not others:
            continue
        examples, skipped = [], 0
        for name in [*spread(labelled), *spread(others)][:TRIED]:
            place = _place(folder, name)
            shown = base_name(str(place))
            try:
                content = _content(place, min(max_bytes, MOST_BYTES))
                usable(shown, content)
                examples.append(Example(shown, content, _thumbnail(content)))
            except PhotoError:
                skipped += 1
            if len(examples) == MOST:
                break
        return examples, skipped
    return [], 0


def spread(names: Sequence[str]) -> list[str]:
    """The same names, the first `MOST` of them spread evenly over the list, and the others between them next."""
    first = [names[number * len(names) // MOST] for number in range(min(MOST, len(names)))] if names else []
    if len(names) <= MOST:
        return list(names)
    chosen = set(first)
    return [*first, *(name for name in names if name not in chosen)]


def _names(folder: str, split: str) -> tuple[list[str], list[str]]:
    """The file names of a split's photos, of those with objects and of the others; none without an import."""
    name = coco_file(Path(), split).as_posix()
    try:
        content = read_bytes(join(folder, name)) if is_uri(folder) else Path(folder, name).read_bytes()
        coco = msgspec.json.decode(content, type=_Images)
    except (OSError, StorageError, msgspec.DecodeError, UnicodeDecodeError):
        return [], []
    full = {annotation.image_id for annotation in coco.annotations}
    labelled = [image.file_name for image in coco.images if image.id in full]
    return labelled, [image.file_name for image in coco.images if image.id not in full]


def _place(folder: str, name: str) -> Path | str:
    if is_uri(folder) and not is_uri(name):
        return join(folder, (image_folder(Path()) / name).as_posix())
    return place_of(image_folder(Path(folder)), name)


def _content(place: Path | str, most: float) -> bytes:
    """A photo's bytes.

    Raises:
        PhotoError: they cannot be read, or are more than `most`.
    """
    try:
        with photo_file(place) as file:
            if file.stat().st_size > most:
                raise PhotoError("is too large for an example")
            return file.read_bytes()
    except (OSError, StorageError) as error:
        raise PhotoError(f"cannot be read: {one_line(str(error))}") from None


def _thumbnail(content: bytes) -> bytes:
    """A JPEG of at most `SIDE` pixels a side."""
    pixels = read_photo_bytes(content)
    scale = SIDE / max(pixels.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
