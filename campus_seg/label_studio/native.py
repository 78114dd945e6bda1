"""Label Studio's own JSON: what its tasks say, in pixels, checked field by field and nothing repaired yet.

The faithful form: brush masks with their holes, rotated rectangles, several annotators, skipped and unlabelled tasks
all stand in it. Coordinates are percentages of the photo as seen.
"""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from campus_seg.errors import ExportError
from campus_seg.label_studio.brush import decode_brush
from campus_seg.label_studio.geometry import encode_mask
from campus_seg.label_studio.raw import RawAnnotation, RawExport, RawPhoto, Stray, is_number, pixels

SHAPES = ("polygonlabels", "brushlabels", "rectanglelabels")


def is_native(value: Any) -> bool:
    """Whether a JSON value is a list of Label Studio's tasks."""
    return isinstance(value, list) and any(isinstance(t, dict) and "annotations" in t and "data" in t for t in value)


def read_native(tasks: list[Any], source: str) -> RawExport:
    """Reads a list of tasks.

    Args:
        tasks: the JSON value.
        source: the file's name, for messages.

    Raises:
        ExportError: it is no list of tasks.
    """
    photos, strays = [], []
    for task in tasks:
        if not isinstance(task, dict) or not isinstance(task.get("annotations"), list):
            raise ExportError(f"{source}: no list of tasks with annotations; export it again as JSON")
        name = _file_name(task)
        if name is None:
            strays.append(Stray("task_without_photo", None, task.get("id"), "left out"))
            continue
        annotations = [a for a in task["annotations"] if isinstance(a, dict)]
        done = [a for a in annotations if not a.get("was_cancelled") and isinstance(a.get("result"), list)]
        if not done:
            code = "task_skipped" if annotations else "task_unlabelled"
            strays.append(Stray(code, name, task.get("id"), "left out"))
            continue
        done.sort(key=lambda a: (str(a.get("updated_at", "")), str(a.get("id", ""))), reverse=True)
        photos += [_read_entry(name, entry["result"], strays) for entry in done]
    labels = sorted({a.label for photo in photos for a in photo.annotations}, key=str.casefold)
    regions = sum(len(photo.annotations) for photo in photos)
    return RawExport("JSON", photos, labels, regions + sum(s.code.startswith("annotation") for s in strays), strays)


def _file_name(task: dict[str, Any]) -> str | None:
    """The photo's path: its upload's true name, else the first address among the task's data, decoded."""
    upload = task.get("file_upload")
    if isinstance(upload, str) and upload:
        return upload
    data = task.get("data")
    for value in data.values() if isinstance(data, dict) else ():
        if isinstance(value, str) and ("/" in value or "\\" in value or "." in value):
            parts = urlsplit(value)
            local = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/photo.jpg
            return local[0] if local else unquote(parts.path)
    return None


def _read_entry(name: str, regions: list[Any], strays: list[Stray]) -> RawPhoto:
    photo = RawPhoto(name.replace("\\", "/"), None, None)
    for region in regions:
        kind = region.get("type") if isinstance(region, dict) else None
        if kind not in SHAPES:
            continue  # choices, texts and relations are no objects
        value = region.get("value") if isinstance(region.get("value"), dict) else {}
        labels = value.get(kind)
        photo.labelled = True
        if not isinstance(labels, list) or not labels or not isinstance(labels[0], str):
            strays.append(Stray("annotation_without_category", name, region.get("id"), "dropped"))
            continue
        annotation = RawAnnotation(region.get("id"), labels[0].strip())
        width, height = pixels(region.get("original_width")), pixels(region.get("original_height"))
        if width is None or height is None or region.get("image_rotation"):
            annotation.malformed = True  # a rotated view has percentages of its own
        else:
            photo.width, photo.height = width, height
            _read_shape(annotation, kind, value, width, height)
        photo.annotations.append(annotation)
    return photo


def _read_shape(annotation: RawAnnotation, kind: str, value: dict[str, Any], width: int, height: int) -> None:
    """Fills in one region's shape, in pixels of a photo of `width` x `height`."""
    size = np.array([width, height]) / 100
    if kind == "polygonlabels":
        points = value.get("points")
        if isinstance(points, list) and all(
            isinstance(p, list) and len(p) == 2 and all(is_number(v) for v in p) for p in points
        ):
            annotation.rings = [np.array(points, dtype=np.float64).reshape(-1, 2) * size]
        annotation.malformed = not annotation.rings or not len(annotation.rings[0])
    elif kind == "rectanglelabels":
        box = [value.get(key) for key in ("x", "y", "width", "height")]
        turn = value.get("rotation", 0)
        if all(is_number(v) for v in [*box, turn]):
            annotation.box = [*(np.array(box[:2]) * size).tolist(), *(np.array(box[2:]) * size).tolist()]
            annotation.rotation = float(turn)
        else:
            annotation.malformed = True
    else:
        try:
            mask = decode_brush(value.get("rle"), width, height)
        except ValueError:
            annotation.malformed = True
        else:
            annotation.rle = encode_mask(mask)
