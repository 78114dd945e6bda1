"""What a masked folder says of each photo, one photo at a time."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def read_records(folder: Path, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The records of a folder's photos, from its predictions.json and failures.json.

    Args:
        folder: where `OutputWriter` has written them.
        names: `file_name` of each photo -> what its outputs are called.

    Yields:
        {"name", "image", "annotations"} of each photo that was masked, then {"file_name", "reason"} of each other.
    """
    predictions = json.loads((folder / "predictions.json").read_bytes())
    annotations: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in predictions["images"]}
    for annotation in predictions["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    for image in predictions["images"]:
        yield {"name": names[image["file_name"]], "image": image, "annotations": annotations[image["id"]]}
    yield from json.loads((folder / "failures.json").read_bytes())
