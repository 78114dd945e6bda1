"""An export of Label Studio becomes clean COCO: photos found and upright, classes by name, every defect named."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from campus_seg.errors import ExportError
from campus_seg.label_studio.coco import is_coco, read_coco
from campus_seg.label_studio.files import ExportFiles, FolderFiles, OneFile, PhotoIndex, open_export
from campus_seg.label_studio.native import is_native, read_native
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.photos import Photo, read_photo
from campus_seg.label_studio.raw import RawExport, RawPhoto
from campus_seg.label_studio.report import ImportReport
from campus_seg.storage import replacing


@dataclass
class Export:
    """A readable export: photos in the order of their names, class names in the model's order."""

    photos: list[Photo]
    classes: list[str]
    report: ImportReport
    index: PhotoIndex
    form: str  # of what was read: "COCO" or "JSON"

    def place_photos(self, folder: Path, *, copy: bool = False) -> dict[str, str]:
        """Makes every photo a file on disk; those inside an archive are unpacked to `folder`.

        Args:
            folder: made where it is missing.
            copy: also those that are files already, so that all lie in `folder`.

        Returns:
            name -> COCO file_name: relative to `folder` where written there, else the absolute path.
        """
        placed = {}
        taken = set()
        for photo in tqdm(self.photos, desc="photos", unit="photo", disable=None):
            path = self.index.path(photo.name)
            if path and not copy:
                placed[photo.name] = str(path)
                continue
            base = PurePosixPath(photo.name).name
            unique = base
            numbers = itertools.count(2)
            while unique.casefold() in taken:
                unique = f"{next(numbers)}_{base}"
            taken.add(unique.casefold())
            with replacing(folder / unique) as temporary:
                temporary.write_bytes(self.index.read(photo.name))
            placed[photo.name] = unique
        return placed

    def to_coco(self, photos: Sequence[Photo], file_names: dict[str, str]) -> dict[str, Any]:
        """COCO of some of the photos, with image, category and annotation ids from 1 (0 would mean "no match")."""
        category_ids = {name: i for i, name in enumerate(self.classes, start=1)}
        images, annotations = [], []
        for photo in photos:
            image_id = len(images) + 1
            size = {"width": photo.width, "height": photo.height}
            images.append({"id": image_id, "file_name": file_names[photo.name], **size})
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


def read_export(export: str, options: ExportOptions) -> Export:
    """Reads an export whole, without writing anything.

    Args:
        export: a .zip, a folder or a .json, COCO or Label Studio's own JSON.
        options: the policies.

    Raises:
        ExportError: it cannot be used; the message names the file and the way out.
    """
    files = open_export(export)
    raw, source = _find_labels(files)
    if not raw.photos:
        raise ExportError(f"{source}: no photo in it; label some and export again")
    report = ImportReport()
    distinct = len({photo.file_name for photo in raw.photos})
    report.counts.update(photos_in_export=distinct, annotations_in_export=raw.annotations)
    for stray in raw.strays:
        report.defect(*stray)
    index = PhotoIndex(_photo_places(files, options.image_root))
    groups = _group_by_photo(raw.photos, index, report)
    photos = []
    for name, entries in tqdm(sorted(groups.items()), desc="import", unit="photo", disable=None):
        entry = _choose_annotator(name, entries, options.annotators, report)
        photo = read_photo(name, entry, index, options, report)
        if photo and (photo.annotations or options.background == "keep"):
            photos.append(photo)
    if not photos and not (report.counts["background_dropped"] or report.counts["photo_emptied"]):
        raise ExportError(
            f"{source}: none of its {distinct} photos is there, readable and of the stated shape; export as "
            "'COCO with images', or say where they lie with CAMPUS.IMAGE_ROOT path/to/photos"
        )
    used = {annotation.label for photo in photos for annotation in photo.annotations}
    if not used:
        raise ExportError(f"{source}: not one object in any of its photos; label some (polygons) and export again")
    unknown = sorted(used - set(options.classes))
    if options.classes and unknown:
        raise ExportError(
            f"{source}: the class {unknown[0]!r} is not one of CAMPUS.CLASSES {list(options.classes)}; "
            "rename it in Label Studio, or train a new model with CAMPUS.CLASSES []"
        )
    classes = list(options.classes) or sorted(used, key=lambda name: (name.casefold(), name))
    report.unused_labels = sorted(set(raw.labels) - used)
    report.counts.update(
        photos=len(photos),
        photos_without_objects=sum(not photo.annotations for photo in photos),
        objects=sum(len(photo.annotations) for photo in photos),
        unused_labels=len(report.unused_labels),
    )
    return Export(photos, classes, report, index, raw.form)


def _find_labels(files: ExportFiles) -> tuple[RawExport, str]:
    """What the one file of labels among an export's files states, known by its content, and the file's name."""
    found, reasons = [], []
    for name in files.names:
        if not name.lower().endswith(".json"):
            continue
        source = f"{files.place / name}"
        try:
            value = json.loads(files.read(name))
        except (OSError, ValueError, RecursionError) as error:
            reasons.append(f"{source} is no JSON ({error})")
            continue
        if is_coco(value):
            found.append((read_coco, value, source))
        elif is_native(value):
            found.append((read_native, value, source))
        else:
            reasons.append(f"{source} is other JSON")
    if len(found) > 1:
        names = ", ".join(source for _, _, source in found)
        raise ExportError(
            f"{files.place}: several files of labels ({names}); leave one of them there, or give CAMPUS.EXPORT that "
            ".json itself and CAMPUS.IMAGE_ROOT the photos"
        )
    if not found:
        why = "; ".join(reasons[:3]) or f"{files.place} holds no .json"
        raise ExportError(f"{why}: no labels in it; export from Label Studio as 'COCO with images' or JSON")
    reader, value, source = found[0]
    return reader(value, source), source


def _photo_places(files: ExportFiles, image_root: str) -> list[ExportFiles]:
    """Where to look for photos: among the export's own files, then in IMAGE_ROOT."""
    root = Path(image_root) if image_root else None
    if root and not root.is_dir():
        raise ExportError(f"{root}: no such folder; CAMPUS.IMAGE_ROOT must be the folder with the photos")
    given = [FolderFiles(root)] if root else []
    if isinstance(files, OneFile):  # what lies beside a .json may be anything, so it comes last
        return [*given, FolderFiles(files.place)]
    return [files, *given]


def _group_by_photo(
    raw_photos: Sequence[RawPhoto], index: PhotoIndex, report: ImportReport
) -> dict[str, list[RawPhoto]]:
    """Entries of one photo together, in the export's order; photos that are not there are reported.

    Only entries of one path are of one photo: of several paths that lead to one file the closest keeps it.
    """
    groups: dict[str, dict[str, list[RawPhoto]]] = {}
    missing = []
    for raw in raw_photos:
        name = index.find(raw.file_name)
        if name is None:
            missing.append(raw)
        else:
            groups.setdefault(name, {}).setdefault(raw.file_name, []).append(raw)
    chosen = {}
    for name, by_path in groups.items():
        paths = sorted(by_path, key=lambda path: index.closeness(path, name), reverse=True)
        if len(paths) > 1 and index.closeness(paths[0], name) == index.closeness(paths[1], name):
            raise ExportError(
                f"{name}: both {paths[0]} and {paths[1]} lead to it; "
                "give CAMPUS.IMAGE_ROOT a folder that has both photos in the folders of these paths"
            )
        chosen[name] = by_path[paths[0]]
        missing += [raw for path in paths[1:] for raw in by_path[path]]
    for raw in missing:
        report.defect("photo_missing", raw.file_name, None, f"left out with {len(raw.annotations)} annotations")
    return chosen


def _choose_annotator(name: str, entries: list[RawPhoto], policy: str, report: ImportReport) -> RawPhoto:
    """One entry of a photo labelled by several people; Label Studio writes the newest first."""
    if len(entries) > 1 and policy == "error":
        raise ExportError(f"{name}: labelled by {len(entries)} people; set CAMPUS.ANNOTATORS newest or oldest")
    chosen = entries[0 if policy == "newest" else -1]
    for other in entries:
        if other is not chosen:
            action = f"{len(other.annotations)} annotations left out, the {policy} kept"
            report.defect("several_annotators", name, None, action)
    return chosen
