"""Label Studio's COCO forms: what their JSON says, checked field by field and nothing repaired yet."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from campus_seg.errors import ExportError
from campus_seg.label_studio.raw import RawAnnotation, RawExport, RawPhoto, Stray, is_number, pixels


def is_coco(value: Any) -> bool:
    """Whether a JSON value has the form of COCO's instances."""
    return isinstance(value, dict) and all(isinstance(value.get(k), list) for k in ("images", "annotations"))


def read_coco(value: dict[str, Any], source: str) -> RawExport:
    """Reads a COCO value.

    Args:
        value: with `images`, `annotations` and `categories`.
        source: the file's name, for messages.

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
        photos[key] = RawPhoto(file_name, pixels(image.get("width")), pixels(image.get("height")))
    strays = []
    for annotation in _entries(value, "annotations", source):
        key = annotation.get("id")
        photo = _get(photos, annotation.get("image_id"))
        label = _get(names, annotation.get("category_id"))
        if photo is not None:
            photo.labelled = True
        if photo is None or label is None:
            code = "annotation_without_category" if label is None else "annotation_without_photo"
            strays.append(Stray(code, photo.file_name if photo else None, key, "dropped"))
            continue
        photo.annotations.append(_read_annotation(annotation, label))
    labels = sorted(set(names.values()), key=str.casefold)
    return RawExport("COCO", list(photos.values()), labels, len(value["annotations"]), strays)


def _read_annotation(annotation: Mapping[str, Any], label: str) -> RawAnnotation:
    raw = RawAnnotation(annotation.get("id"), label)
    box = annotation.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(is_number(v) for v in box):
        raw.box = [float(v) for v in box]
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        raw.rle = shape
    elif isinstance(shape, list):
        for ring in shape:
            if isinstance(ring, list) and len(ring) % 2 == 0 and ring and all(is_number(v) for v in ring):
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
