"""A folder of photos, masked: read, predict, write."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.structures import Instances
from tqdm import tqdm

from campus_seg.errors import ConfigError
from campus_seg.inference.gallery import THUMBNAILS
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.outputs import OUTPUTS, OutputWriter
from campus_seg.inference.paste import found_objects
from campus_seg.inference.pipeline import Pipeline
from campus_seg.photos import PhotoError, pixel_count, read_photo

Predict = Callable[[Sequence[np.ndarray]], list[Instances]]


@dataclass(frozen=True)
class Summary:
    """Counts of a masked folder.

    Attributes:
        photos: photos that were masked.
        objects: objects found in them.
        failures: photos that could not be read.
    """

    photos: int
    objects: int
    failures: int


def mask_photos(
    predict: Predict,
    class_names: Sequence[str],
    photos: Sequence[InputPhoto],
    output: Path,
    save: Collection[str] = OUTPUTS,
) -> Summary:
    """Masks photos and writes their outputs; a photo that cannot be read is listed and the rest goes on.

    Args:
        predict: a `Predictor`, or what behaves like one; it is given as many photos at once as its `batch` says.
        class_names: in the order of its outputs.
        photos: from `find_photos`.
        output: the folder to write to.
        save: some of `OUTPUTS`.

    Raises:
        ConfigError: the output folder cannot be written to, or holds a photo among the outputs of an earlier run.
    """
    for photo in photos:
        if any(photo.path.resolve().is_relative_to(output.resolve() / name) for name in (*OUTPUTS, THUMBNAILS)):
            raise ConfigError(f"{photo.path}: lies among the outputs in {output}; give another --output")
    writer = OutputWriter(output, class_names, save)

    def read(photo: InputPhoto) -> np.ndarray:
        if photo.fault:
            raise PhotoError(photo.fault)
        return read_photo(photo.path)

    def write(photo: InputPhoto, image: np.ndarray, instances: Instances) -> dict[str, Any]:
        return writer.draw(photo, image, found_objects(instances))

    pipeline = Pipeline(
        read,
        predict,
        write,
        cost=lambda photo: pixel_count(photo.path),
        expected=(PhotoError,),
        batch=getattr(predict, "batch", 1),
    )
    results = pipeline.run(photos)
    for photo, result in tqdm(results, desc="masking", unit="photo", total=len(photos), disable=None):
        if isinstance(result, PhotoError):
            writer.fail(photo, str(result))
        else:
            writer.record(result)
    writer.finish()
    return Summary(len(writer.images), len(writer.annotations), len(writer.failures))
