"""Label Studio's COCO forms: what their JSON says, checked field by field and nothing repaired yet."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from campus_seg.errors import ExportError


@dataclass
class RawAnnotation:
    """One annotation as the export states it, in pixels of the size that the export states.

    Attributes:
        id: the export's own, for reports.
        label: category name.
        rings: each (n, 2); empty where the outline is missing (a rectangle) or given as `rle`.
        box: XYWH_ABS, or None.
        rle: COCO RLE ({"size": [height, width], "counts": …}), or None.
        malformed: the segmentation is there but makes no sense.
    """

    id: Any
    label: str
    rings: list[np.ndarray] = field(default_factory=list)
    box: list[float] | None = None
    rle: dict[str, Any] | None = None
    malformed: bool = False


@dataclass
class RawPhoto:
    """One entry of `images`: a photo as one annotator labelled it.

    Attributes:
        file_name: as the export states it, with "/" between its parts.
        width: in pixels, None where not stated.
        height: likewise.
        annotations: those that have a category.
        labelled: whether there are any at all, with or without a category.
    """

    file_name: str
    width: int | None
    height: int | None
    annotations: list[RawAnnotation] = field(default_factory=list)
    labelled: bool = False


def is_coco(value: Any) -> bool:
    """Whether a JSON value has the form of COCO's instances."""
    return isinstance(value, dict) and all(isinstance(value.get(k), list) for k in ("images", "annotations"))


def read_coco(value: dict[str, Any], source: str) -> tuple[list[RawPhoto], list[str], list[tuple[Any, str]]]:
    """Reads a COCO value.

    Args:
        value: with `images`, `annotations` and `categories`.
        source: the file's name, for messages.

    Returns:
        The photos in the export's order, the category names, and (annotation id, reason) of annotations that
        belong to no photo or no category.

    Raises:
        ExportError: a part is missing or has the wrong form.
    """
    names = {}
    for category in _entries(value, "categories", source):
        if not isinstance(category.get("name"), str) or not category["name"].strip():
            raise ExportError(f"{source}: a category without a name ({category}); export it again")
        names[_key(category.get("id"), "category", source)] = category["name"].strip()
    photos = {}
    for image in _entries(value, "images", source):
        if not isinstance(image.get("file_name"), str) or not image["file_name"]:
            raise ExportError(f"{source}: image {image.get('id')} has no file_name; export it again")
        key = _key(image.get("id"), "image", source)
        if key in photos:
            raise ExportError(f"{source}: two images have the id {key}; export it again")
        file_name = image["file_name"].replace("\\", "/")  # of a Windows server
        photos[key] = RawPhoto(file_name, _pixels(image.get("width")), _pixels(image.get("height")))
    strays = []
    for annotation in _entries(value, "annotations", source):
        key = annotation.get("id")
        photo = _get(photos, annotation.get("image_id"))
        label = _get(names, annotation.get("category_id"))
        if photo is not None:
            photo.labelled = True
        if photo is None or label is None:
            strays.append((key, "annotation_without_category" if label is None else "annotation_without_photo"))
            continue
        photo.annotations.append(_read_annotation(annotation, label))
    return list(photos.values()), sorted(set(names.values()), key=str.casefold), strays


def _read_annotation(annotation: Mapping[str, Any], label: str) -> RawAnnotation:
    raw = RawAnnotation(annotation.get("id"), label)
    box = annotation.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(_is_number(v) for v in box):
        raw.box = [float(v) for v in box]
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        raw.rle = shape
    elif isinstance(shape, list):
        for ring in shape:
            if isinstance(ring, list) and len(ring) % 2 == 0 and ring and all(_is_number(v) for v in ring):
                raw.rings.append(np.array(ring, dtype=np.float64).reshape(-1, 2))
            else:
                raw.malformed = True
    elif shape is not None:
        raw.malformed = True
    return raw


def _entries(value: dict[str, Any], part: str, source: str) -> list[dict[str, Any]]:
    entries = value.get(part)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ExportError(f"{source}: no COCO list of {part}; export it again as 'COCO with images'")
    return entries


def _key(value: Any, what: str, source: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ExportError(f"{source}: {what} id {value!r} is neither number nor name; export it again")
    return value


def _get(mapping: Mapping, key: Any) -> Any:
    return mapping.get(key) if isinstance(key, int | str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and not math.isnan(value)


def _pixels(value: Any) -> int | None:
    return int(value) if _is_number(value) and value >= 1 else None
