"""Label Studio's COCO forms: what their JSON says, checked field by field and nothing repaired yet.

A large export has millions of coordinates, which as Python's numbers would take many times the file's size. So the
outlines stay bytes until a batch of them becomes one array.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from campus_seg.errors import ExportError
from campus_seg.label_studio.index import photo_path
from campus_seg.label_studio.masks import MAX_PIXELS
from campus_seg.label_studio.raw import MAX_COORDINATE, NO_JSON, RawAnnotation, RawExport, RawPhoto, Stray, pixels
from campus_seg.label_studio.tracing import fill_tracing, find_brushed

BATCH = 10_000  # annotations
CROWD = "dropped: a crowd (iscrowd) is no single object"
MALFORMED = "its outline is no list of points"

_outlines = msgspec.json.Decoder(list[list[list[float]]])
_outline = msgspec.json.Decoder(list[list[float]])
_box = msgspec.json.Decoder(tuple[float, float, float, float])


class _Annotation(msgspec.Struct, gc=False):
    id: Any = None
    image_id: Any = None
    category_id: Any = None
    bbox: msgspec.Raw = msgspec.Raw(b"null")
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    iscrowd: Any = 0


def is_coco(parts: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a JSON object, each of its values still as bytes, has the form of COCO's instances."""
    return all(bytes(memoryview(parts.get(key, b"."))[:1]) == b"[" for key in ("images", "annotations"))


def read_coco(parts: Mapping[str, msgspec.Raw], source: str) -> RawExport:
    """Reads a COCO object.

    Args:
        parts: `images`, `annotations` and `categories`, each as the bytes of its JSON.
        source: the file's name, for messages.

    Raises:
        ExportError: a part is missing or has the wrong form.
    """
    names = {}
    for category in _entries(parts, "categories", dict[str, Any], source):
        if not isinstance(category.get("name"), str) or not category["name"].strip():
            raise ExportError(f"{source}: a category without a name ({category}); export it again")
        key = _key(category.get("id"), "category", source)
        if key in names:
            raise ExportError(
                f"{source}: {names[key]} and {category['name']} have both the category id {key}; "
                "give each label another in the labelling interface and export again, or export as JSON"
            )
        names[key] = category["name"].strip()
    photos = {}
    for image in _entries(parts, "images", dict[str, Any], source):
        key = _key(image.get("id"), "image", source)
        if key in photos:
            raise ExportError(f"{source}: two images have the id {key}; export it again")
        photos[key] = RawPhoto(_file_name(image, source), pixels(image.get("width")), pixels(image.get("height")))
        photos[key].boxes_as_seen = True
        photos[key].traced = isinstance(image.get("path"), str)
    annotations = _entries(parts, "annotations", _Annotation, source)
    count, strays = len(annotations), []
    for start in range(0, count, BATCH):
        batch = annotations[start : start + BATCH]
        annotations[start : start + BATCH] = [None] * len(batch)  # their bytes are not needed any more
        for annotation, raw in zip(batch, _read_batch(batch), strict=True):
            photo, label = _get(photos, annotation.image_id), _get(names, annotation.category_id)
            if photo is not None:
                photo.labelled = True
            if photo is not None and annotation.iscrowd in (1, True):
                strays.append(Stray("annotation_unsupported", photo.file_name, annotation.id, CROWD))
                continue
            if photo is None or label is None:
                code = "annotation_without_category" if label is None else "annotation_without_photo"
                strays.append(Stray(code, photo.file_name if photo else None, annotation.id, "dropped"))
                continue
            raw.label = label
            photo.annotations.append(raw)
    for photo in photos.values():
        if photo.traced:
            _fill_tracings(photo)
    labels = sorted(set(names.values()), key=str.casefold)
    return RawExport("COCO", list(photos.values()), labels, count, strays)


def _file_name(image: dict[str, Any], source: str) -> str:
    """A photo's path: BRUSH_TO_COCO has the base name in `file_name` and the server's path in `path`."""
    name, path = image.get("file_name"), image.get("path")
    if not isinstance(name, str) or not name:
        raise ExportError(f"{source}: image {image.get('id')} has no file_name; export it again")
    return photo_path(path if isinstance(path, str) and path.endswith(f"/{name}") else name)


def _fill_tracings(photo: RawPhoto) -> None:
    """Makes masks of those outlines of a BRUSH_TO_COCO photo that were traced around brush masks."""
    outlined = [a for a in photo.annotations if len(a.rings) == 1]
    if not photo.width or not photo.height or photo.width * photo.height > MAX_PIXELS or not outlined:
        return
    for annotation, is_brush in zip(outlined, find_brushed([a.rings[0] for a in outlined]), strict=True):
        if is_brush:
            annotation.rle = fill_tracing(annotation.rings[0], photo.width, photo.height)
            annotation.rings = []


def _read_batch(batch: Sequence[_Annotation]) -> list[RawAnnotation]:
    """The shapes of annotations, still without their labels."""
    try:
        outlines = _outlines.decode(b"[" + b",".join([a.segmentation for a in batch]) + b"]")
    except NO_JSON:  # somewhere among them stands an RLE, or nonsense
        return [_read_annotation(annotation) for annotation in batch]
    raws = [RawAnnotation(annotation.id, "") for annotation in batch]
    _take_rings(raws, outlines)
    for annotation, raw in zip(batch, raws, strict=True):
        if not raw.rings:
            _take_box(raw, annotation)
    return raws


def _read_annotation(annotation: _Annotation) -> RawAnnotation:
    raw = RawAnnotation(annotation.id, "")
    try:
        _take_rings([raw], [_outline.decode(annotation.segmentation)])
    except NO_JSON:
        try:
            shape = msgspec.json.decode(annotation.segmentation)
        except NO_JSON:
            shape = MALFORMED
        if isinstance(shape, dict):
            raw.rle = shape
        elif shape is not None:
            raw.problem = MALFORMED
    if not raw.rings:
        _take_box(raw, annotation)
    return raw


def _take_rings(raws: Sequence[RawAnnotation], outlines: Sequence[list[list[float]]]) -> None:
    """Fills in each one's rings, which are views of one array."""
    rings = list(itertools.chain.from_iterable(outlines))
    lengths = np.fromiter(map(len, rings), np.int64, len(rings))
    numbers = np.fromiter(itertools.chain.from_iterable(rings), np.float64, lengths.sum())
    ends = np.cumsum(lengths)
    wrong = (lengths % 2 == 1) | (lengths == 0)
    far = np.flatnonzero(~(np.abs(numbers) < MAX_COORDINATE))
    wrong[np.searchsorted(ends, far, side="right")] = True
    views = [
        None if bad else numbers[end - length : end].reshape(-1, 2)
        for bad, length, end in zip(wrong.tolist(), lengths.tolist(), ends.tolist(), strict=True)
    ]
    position = 0
    for raw, outline in zip(raws, outlines, strict=True):
        raw.rings = views[position : position + len(outline)] if any(outline) else []
        position += len(outline)
        if any(ring is None for ring in raw.rings):
            raw.rings, raw.problem = [], MALFORMED


def _take_box(raw: RawAnnotation, annotation: _Annotation) -> None:
    try:
        box = _box.decode(annotation.bbox)
    except NO_JSON:
        return
    if all(abs(value) < MAX_COORDINATE for value in box):
        raw.box = list(box)


def _entries(parts: Mapping[str, msgspec.Raw], part: str, kind: Any, source: str) -> list[Any]:
    try:
        return msgspec.json.decode(parts[part], type=list[kind])
    except (KeyError, *NO_JSON):
        raise ExportError(f"{source}: no COCO list of {part}; export it again as 'COCO with images'") from None


def _key(value: Any, what: str, source: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ExportError(f"{source}: {what} id {value!r} is neither number nor name; export it again")
    return value


def _get(mapping: Mapping, key: Any) -> Any:
    return mapping.get(key) if isinstance(key, int | str) else None
