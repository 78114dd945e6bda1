"""Label Studio's own JSON: what its tasks say, in pixels, checked field by field and nothing repaired yet.

The faithful form: brush masks with their holes, rotated rectangles, several annotators, skipped and unlabelled tasks
all stand in it. Coordinates are percentages of the photo as seen.
"""

from typing import Any

from campus_seg.errors import ExportError
from campus_seg.label_studio.index import given_name, photo_path
from campus_seg.label_studio.raw import RawExport, RawPhoto, Stray
from campus_seg.label_studio.regions import read_regions

# Of what a task shows, that is taken for a photo; where nothing has such an ending, whatever is a path.
ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif")


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
        photos += _read_task(task, strays)
    labels = sorted({a.label for photo in photos for a in photo.annotations}, key=str.casefold)
    regions = sum(len(photo.annotations) for photo in photos)
    counted = ("annotation_without_category", "annotation_unsupported", "annotation_joined")
    return RawExport("JSON", photos, labels, regions + sum(stray.code in counted for stray in strays), strays)


def _read_task(task: dict[str, Any], strays: list[Stray]) -> list[RawPhoto]:
    """What each person made of a task, the newest first; none where it was skipped or nobody labelled it."""
    key = task.get("id")
    names = _photo_names(task)
    if not names:
        strays.append(Stray("task_without_photo", None, key, "left out"))
        return []
    annotations = [a for a in task["annotations"] if isinstance(a, dict)]
    done = [a for a in annotations if not a.get("was_cancelled")]
    if not done:
        code = "task_skipped" if annotations else "task_unlabelled"
        strays.append(Stray(code, names[0], key, "left out"))
        return []
    if len(names) > 1 or _spans_photos(done):
        action = f"left out: it shows {', '.join(names)[:200]}, and which region is on which is not known here"
        strays.append(Stray("task_of_several_photos", names[0], key, action))
        return []
    entries = []
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            strays.append(Stray("annotation_skipped", names[0], annotation.get("id"), "left out, another was not"))
            continue
        regions = annotation.get("result")
        if not isinstance(regions, list):
            strays.append(Stray("annotation_malformed", names[0], annotation.get("id"), "left out: it has no result"))
            continue
        time = annotation.get("updated_at") or annotation.get("created_at") or ""
        photo = RawPhoto(names[0], None, None, task=key, time=f"{time} {str(annotation.get('id', '')):>20}")
        read_regions(regions, photo, strays)
        entries.append(photo)
    return sorted(entries, key=lambda entry: entry.time, reverse=True)


def _spans_photos(annotations: list[dict[str, Any]]) -> bool:
    """Whether regions lie on several photos, or on several pages of one."""
    results = [a["result"] for a in annotations if isinstance(a.get("result"), list)]
    regions = [r for result in results for r in result if isinstance(r, dict) and "original_width" in r]
    return len({(str(region.get("to_name")), str(region.get("item_index") or 0)) for region in regions}) > 1


def _photo_names(task: dict[str, Any]) -> list[str]:
    """The paths of the photos that a task shows, nearly always one.

    `file_upload` is the upload that the task came from: the photo, whose true name it then has, or a list of tasks.
    """
    data = task.get("data") if isinstance(task.get("data"), dict) else {}
    texts = []
    for value in data.values():
        texts += value if isinstance(value, list) else [value]
    paths = [photo_path(text) for text in texts if isinstance(text, str) and not text.startswith("data:")]
    by_ending = [path for path in paths if path.lower().endswith(ENDINGS)]
    paths = by_ending or [path for path in paths if "/" in path]
    upload = task.get("file_upload")
    if isinstance(upload, str) and upload:
        upload = upload.replace("\\", "/")
        own = [path for path in paths if given_name(path) == given_name(upload)]
        if own or not paths:
            return [upload] + [path for path in paths if path not in own]
    return list(dict.fromkeys(paths))
