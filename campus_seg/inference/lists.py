"""predictions.json, legend.json and failures.json of a masked folder, from its journal, a photo at a time."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from campus_seg.atomic_writes import replacing, write_json
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.journal import Journal
from campus_seg.palette import class_colors, hex_color

Record = Mapping[str, Any]  # what `PictureWriter.draw` returns of a photo, or the "reason" why there is none


def write_lists(
    output: Path,
    journal: Journal,
    photos: Sequence[InputPhoto],
    class_names: Sequence[str],
    videos: Sequence[InputPhoto] = (),
) -> None:
    """Writes the lists of some photos.

    Args:
        output: the folder.
        journal: has a record of each photo and video.
        photos: in the order of the lists.
        class_names: in the order of the model's outputs.
        videos: those that failed are listed after the photos.
    """
    write_coco(output / "predictions.json", journal, photos, class_names)
    legend = {
        name: {"id": i + 1, "rgb": list(color), "hex": hex_color(color)}
        for i, (name, color) in enumerate(zip(class_names, class_colors(len(class_names)), strict=True))
    }
    write_json(output / "legend.json", legend)
    failures = [
        {"file_name": record["file_name"], "reason": record["reason"]}
        for record in journal.records([*photos, *videos])
        if "reason" in record
    ]
    write_json(output / "failures.json", failures)


def write_coco(path: Path, journal: Journal, photos: Sequence[InputPhoto], class_names: Sequence[str]) -> None:
    """Writes what was found in some photos, or frames, as a COCO file.

    Args:
        path: of the file.
        journal: has their records.
        photos: image ids and annotation ids count up from 1 in their order.
        class_names: in the order of the model's outputs; category ids count up from 1.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        write_coco_text(file, lambda: journal.records(photos), class_names)


def write_coco_text(file: TextIO, records: Callable[[], Iterable[Record]], class_names: Sequence[str]) -> None:
    """Writes the text of a COCO file.

    Args:
        file: open for writing.
        records: gives the photos' records, and is asked twice: there may be more than fit into memory.
        class_names: in the order of the model's outputs; category ids count up from 1.
    """
    categories = [{"id": category_id, "name": name} for category_id, name in enumerate(class_names, start=1)]
    file.write('{\n"images": ')
    _write_array(file, images(records()))
    file.write(f',\n"categories": {json.dumps(categories, ensure_ascii=False)},\n"annotations": ')
    _write_array(file, annotations(records()))
    file.write("\n}\n")


def images(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """COCO's images: every photo that was read."""
    masked = (record for record in records if "image" in record)
    for image_id, record in enumerate(masked, start=1):
        yield {"id": image_id, **record["image"]}


def annotations(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """COCO's annotations: every object, photo by photo, by falling score."""
    masked = (record for record in records if "image" in record)
    annotation_id = 0
    for image_id, record in enumerate(masked, start=1):
        for annotation in record["annotations"]:
            annotation_id += 1
            yield {"id": annotation_id, "image_id": image_id, **annotation}


def _write_array(file: TextIO, values: Iterable[dict[str, Any]]) -> None:
    """Writes a JSON array, an element a line."""
    before = "[\n"
    for value in values:
        file.write(before + json.dumps(value, ensure_ascii=False, allow_nan=False))
        before = ",\n"
    file.write("[]" if before == "[\n" else "\n]")
