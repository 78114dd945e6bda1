"""Label Studio's own JSON: what its tasks say, in pixels, checked field by field and nothing repaired yet.

The faithful form: brush masks with their holes, rotated rectangles, several annotators, skipped and unlabelled tasks
all stand in it. Coordinates are percentages of the photo as seen.
"""

from typing import Any

from campus_seg.errors import ExportError
from campus_seg.label_studio.index import photo_path
from campus_seg.label_studio.raw import RawExport, RawPhoto, Stray
from campus_seg.label_studio.regions import read_regions


def is_native(value: Any) -> bool:
    """Whether a JSON value is a list of Label Studio's tasks."""
    return isinstance(value, list) and any(isinstance(t, dict) and "annotations" in t and "data" in t for t in value)


def is_native_min(value: Any) -> bool:
    """Whether a JSON value is what Label Studio calls JSON_MIN, which lacks what matters here."""
    return isinstance(value, list) and any(isinstance(t, dict) and "annotation_id" in t for t in value)


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
        entries = [_read_entry(name, annotation, strays) for annotation in done]
        photos += sorted(entries, key=lambda entry: entry.time, reverse=True)
    labels = sorted({a.label for photo in photos for a in photo.annotations}, key=str.casefold)
    regions = sum(len(photo.annotations) for photo in photos)
    counted = ("annotation_without_category", "annotation_unsupported", "annotation_joined")
    return RawExport("JSON", photos, labels, regions + sum(stray.code in counted for stray in strays), strays)


def _read_entry(name: str, annotation: dict[str, Any], strays: list[Stray]) -> RawPhoto:
    """What one person made of a task."""
    photo = RawPhoto(name, None, None)
    photo.time = f"{annotation.get('updated_at', '')} {str(annotation.get('id', '')):>20}"
    read_regions(annotation["result"], photo, strays)
    return photo


def _file_name(task: dict[str, Any]) -> str | None:
    """The photo's path: its upload's true name, else the first address among the task's data."""
    upload = task.get("file_upload")
    if isinstance(upload, str) and upload:
        return upload.replace("\\", "/")
    data = task.get("data")
    for value in data.values() if isinstance(data, dict) else ():
        if isinstance(value, str) and ("/" in value or "\\" in value or "." in value):
            return photo_path(value)
    return None
