"""An export of Label Studio becomes clean COCO: photos found and upright, classes by name, every defect named."""

import io
import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from campus_seg.atomic_writes import replacing
from campus_seg.collector import collector_paused
from campus_seg.errors import ExportError
from campus_seg.label_studio.entries import choose_annotator, group_by_photo, join_same_photos
from campus_seg.label_studio.facts import Header, PhotoFacts, Unreadable
from campus_seg.label_studio.files import ExportFiles, FolderFiles, open_export
from campus_seg.label_studio.index import PhotoIndex
from campus_seg.label_studio.labels import find_labels
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.photos import Photo, read_photos
from campus_seg.label_studio.remote_files import RemoteFiles
from campus_seg.label_studio.report import LONGEST, ImportReport
from campus_seg.photos import PhotoError, photo_ending, upright_photo
from campus_seg.storage import checked_uri, is_uri

BRUSH_NOTE = (
    "BRUSH_TO_COCO has brush masks part by part and without holes, and no photos without objects; an export as JSON "
    "has all of it"
)
MAX_NAME = 200  # bytes of a file's name before its ending; file systems take 255 in all
COCO_NOTE = (
    "A COCO export cannot tell a photo without objects from one that nobody labelled or that has brush masks alone; "
    "an export as JSON can"
)


@dataclass
class Export:
    """A readable export: photos in the order of their names, class names in the model's order."""

    photos: list[Photo]
    classes: list[str]
    report: ImportReport
    index: PhotoIndex
    facts: PhotoFacts

    def content_hashes(self) -> dict[str, str]:
        """The identity of every photo: name -> SHA-256 of its bytes in hex. Names change from export to export."""
        return self.facts.hashes(photo.name for photo in self.photos)

    def place_photos(self, folder: Path, *, copy: bool = False) -> dict[str, str]:
        """Makes every photo a file with a place of its own; those inside an archive are unpacked to `folder`.

        Args:
            folder: made where it is missing.
            copy: also those that are files already, so that all lie in `folder`; those that lie on their side are
                saved anew, upright, for programs that do not look at the EXIF orientation.

        Returns:
            name -> COCO file_name: relative to `folder` where written there, else the absolute path or the URI.

        Raises:
            ExportError: a photo is gone, or damaged behind its header.
        """
        placed = {}
        taken = set()
        for photo in tqdm(self.photos, desc="photos", unit="photo", disable=None):
            path = self.index.path(photo.name)
            if path and not copy:
                placed[photo.name] = str(path)
                continue
            content = self._content(photo, upright=copy)
            unique = _unused(_file_name(photo.name, content), taken)
            with replacing(folder / unique) as temporary:
                temporary.write_bytes(content)
            placed[photo.name] = unique
        return placed

    def _content(self, photo: Photo, upright: bool) -> bytes:
        try:
            content = self.index.read(photo.name)
            return upright_photo(content) if upright and photo.orientation != 1 else content
        except (OSError, PhotoError) as error:
            raise ExportError(f"{photo.name}: cannot be read ({error}); export it again, or leave it out") from None

    def to_coco(self, photos: Sequence[Photo], file_names: dict[str, str]) -> dict[str, Any]:
        """COCO of some of the photos, with image, category and annotation ids from 1 (0 would mean "no match").

        An image also has `task`, the id of its task in Label Studio, where the export says so.
        """
        category_ids = {name: i for i, name in enumerate(self.classes, start=1)}
        images, annotations = [], []
        for photo in photos:
            image_id = len(images) + 1
            size = {"width": photo.width, "height": photo.height}
            task = {} if photo.task is None else {"task": photo.task}
            images.append({"id": image_id, "file_name": file_names[photo.name], **size, **task})
            for annotation in photo.annotations:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": category_ids[annotation.label],
                        "segmentation": annotation.segmentation,
                        "bbox": annotation.box,
                        "area": annotation.area,
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": i, "name": name} for name, i in category_ids.items()]
        return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def _file_name(name: str, content: bytes) -> str:
    """A name for a photo's file that every system takes: no path, not too long, with the ending of its format."""
    base = re.sub(r'[\x00-\x1f<>:"|?*\\]', "_", PurePosixPath(name).name).strip(". ")
    stem, dot, ending = base.rpartition(".")
    if not dot or not ending.isalnum() or len(ending) > 5:
        stem, ending = base, photo_ending(io.BytesIO(content)).removeprefix(".")
    stem = stem.encode()[:MAX_NAME].decode(errors="ignore") or "photo"
    return f"{stem}.{ending}" if ending else stem


def _unused(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken, also but for the case of its letters; takes it."""
    numbers = itertools.count(2)
    unique = name
    while unique.casefold() in taken:
        unique = f"{next(numbers)}_{name}"
    taken.add(unique.casefold())
    return unique


@collector_paused()
def read_export(export: str, options: ExportOptions) -> Export:
    """Reads an export whole, without writing anything but what it remembers of the photos in the user's cache.

    Args:
        export: a zip, a folder or a file of labels, COCO or Label Studio's own JSON.
        options: the policies.

    Raises:
        ExportError: it cannot be used; the message names the file and the way out.
    """
    files = open_export(export)
    raw, source = find_labels(files)
    if not raw.photos:
        raise ExportError(f"{source}: no labelled photo in it; label some, and export or pull again")
    report = ImportReport()
    distinct = len({photo.file_name for photo in raw.photos})
    tasks = sum(stray.code.startswith("task") for stray in raw.strays)
    report.counts.update(photos_in_export=distinct + tasks, annotations_in_export=raw.annotations)
    for stray in raw.strays:
        report.defect(*stray)
    index = PhotoIndex(photo_places(files, options.image_root))
    facts = PhotoFacts(index)
    groups = group_by_photo(raw.photos, index, report)
    headers = _readable(facts.headers(groups), report)
    there = {name: entries for name, entries in groups.items() if name in headers}
    groups = join_same_photos(there, headers, facts, options.annotators, report)
    entries = (
        (name, choose_annotator(name, groups[name], options.annotators, report), headers[name])
        for name in tqdm(sorted(groups), desc="labels", unit="photo", disable=None)
    )
    photos = list(read_photos(entries, options, report))
    if not photos and not (report.counts["background_dropped"] or report.counts["photo_emptied"]):
        counts = report.counts
        raise ExportError(
            f"{source}: none of its {distinct} photos is there, readable and of the stated shape "
            f"({counts['photo_missing']} missing, such as {raw.photos[0].file_name[:LONGEST]}; "
            f"{counts['photo_unreadable']} unreadable; {counts['photo_of_other_shape']} of another shape); say where "
            "they lie with CAMPUS.IMAGE_ROOT path/to/photos",
            report,
        )
    used = {annotation.label for photo in photos for annotation in photo.annotations}
    classes = _classes(used, options.classes, source)
    report.unused_labels = sorted(set(raw.labels) - used)
    report.counts.update(
        photos=len(photos),
        photos_without_objects=sum(not photo.annotations for photo in photos),
        objects=sum(len(photo.annotations) for photo in photos),
        unused_labels=len(report.unused_labels),
    )
    if any(photo.traced for photo in raw.photos):
        report.notes.append(BRUSH_NOTE)
    elif raw.form == "COCO" and (report.counts["photos_without_objects"] or report.counts["background_dropped"]):
        report.notes.append(COCO_NOTE)
    return Export(photos, classes, report, index, facts)


def _classes(used: set[str], frozen: Sequence[str], source: str) -> list[str]:
    """The class names in the model's order: the frozen ones, else those that have an object, by name."""
    if not used:
        raise ExportError(f"{source}: not one object in any of its photos; label some (polygons) and export again")
    unknown = sorted(used - set(frozen))
    if frozen and unknown:
        raise ExportError(
            f"{source}: the class {unknown[0]!r} is not one of CAMPUS.CLASSES {list(frozen)}; "
            "rename it in Label Studio, or train a new model with it at their end, or with CAMPUS.CLASSES []"
        )
    return list(frozen) or sorted(used, key=lambda name: (name.casefold(), name))


def photo_places(files: ExportFiles, image_root: str) -> list[ExportFiles]:
    """Where to look for photos: among the export's own files, then in IMAGE_ROOT."""
    given = [_image_root(image_root)] if image_root else []
    if files.bare:  # what lies beside a .json may be anything, so it comes last
        return [*given, files.beside()]
    return [files, *given]


def _image_root(image_root: str) -> ExportFiles:
    if is_uri(image_root):
        files = RemoteFiles(checked_uri(image_root))
        there = bool(files.names)
    else:
        there = os.path.isdir(image_root)  # noqa: PTH112 - unlike Path's, it takes any text
        files = FolderFiles(Path(image_root)) if there else None
    if not there:
        raise ExportError(f"{image_root}: no such folder; CAMPUS.IMAGE_ROOT must be the folder with the photos")
    return files


def _readable(headers: dict[str, Header | Unreadable], report: ImportReport) -> dict[str, Header]:
    """The headers of photos that can be read; the others are reported."""
    readable = {}
    for name, header in sorted(headers.items()):
        if isinstance(header, Unreadable):
            report.defect("photo_unreadable", name, None, f"left out ({header.reason})")
        else:
            readable[name] = header
    return readable
