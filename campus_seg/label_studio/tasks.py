"""The tasks of a native export: which photos are labelled already, with what, and which wait for it."""

from dataclasses import dataclass, field
from pathlib import Path

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import photo_places
from campus_seg.label_studio.files import open_export
from campus_seg.label_studio.index import PhotoIndex
from campus_seg.label_studio.labels import find_labels


@dataclass(frozen=True)
class TaskPhoto:
    """A task with its photo.

    Attributes:
        id: in Label Studio.
        name: what the export calls the photo.
        path: of the photo's file, or its URI; None where it is not there.
        labels: one for each object; empty where nobody has labelled it yet, and where there is none.
    """

    id: int
    name: str
    path: Path | str | None
    labels: tuple[str, ...] = ()


@dataclass
class Tasks:
    """The tasks of an export; those that were skipped are in neither list.

    Attributes:
        labelled: also those without objects; of several annotations the newest counts.
        unlabelled: those that nobody has labelled.
    """

    labelled: list[TaskPhoto] = field(default_factory=list)
    unlabelled: list[TaskPhoto] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """The names of photos that are not there."""
        return [task.name for task in (*self.labelled, *self.unlabelled) if task.path is None]


def read_tasks(export: str, image_root: str = "") -> Tasks:
    """Reads which tasks are labelled and which are not; the photos are not opened.

    Args:
        export: as `read_export` takes it, of Label Studio's own JSON; its photos are files, on disk or behind URIs.
        image_root: where photos lie as well, "" = nowhere.

    Raises:
        ExportError: it cannot be used, or is of another form, which says nothing of unlabelled photos.
    """
    files = open_export(export)
    raw, source = find_labels(files)
    if raw.form != "JSON":
        raise ExportError(
            f"{source}: a COCO export does not say which photos are unlabelled; pull the project, or export it as JSON"
        )
    index = PhotoIndex(photo_places(files, image_root))
    tasks = Tasks()
    newest = {}  # of a task's entries the first
    for photo in raw.photos:
        newest.setdefault(photo.task, photo)
    for number, photo in newest.items():
        labels = tuple(annotation.label for annotation in photo.annotations)
        tasks.labelled.append(TaskPhoto(number, photo.file_name, _path(index, photo.file_name), labels))
    for stray in raw.strays:
        if stray.code == "task_unlabelled" and type(stray.id) is int:
            tasks.unlabelled.append(TaskPhoto(stray.id, stray.photo, _path(index, stray.photo)))
    return tasks


def _path(index: PhotoIndex, name: str) -> Path | str | None:
    """Where a photo lies; None where it is not there.

    Raises:
        ExportError: it lies in an archive.
    """
    found = index.find(name)
    if found is None:
        return None
    path = index.path(found)
    if path is None:
        raise ExportError(f"{found}: lies in an archive; unpack it, and give the folder")
    return path
