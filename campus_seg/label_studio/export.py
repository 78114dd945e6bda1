"""An export of Label Studio becomes clean COCO: photos found and upright, classes by name, every defect named."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask
from tqdm import tqdm

from campus_seg.errors import ExportError
from campus_seg.label_studio.coco import RawAnnotation, RawPhoto, is_coco, read_coco
from campus_seg.label_studio.files import ExportFiles, FolderFiles, OneFile, PhotoIndex, open_export
from campus_seg.label_studio.geometry import (
    EXIF_ORIENTATION,
    MIN_AREA,
    box_ring,
    clean_rings,
    rings_area,
    rings_box,
    upright_size,
)
from campus_seg.storage import replacing

COCO_NAMES = ("result.json", "result_coco.json")


@dataclass(frozen=True)
class ExportOptions:
    """How to read an export; see `cfg.CAMPUS` in config.py, where each default has its why.

    Attributes:
        image_root: folder with the photos, "" = inside or beside the export.
        classes: the frozen class names, empty = those that have an object.
        rectangles: "mask", "drop" or "error".
        annotators: "newest", "oldest" or "error".
        background: "keep" or "drop".
    """

    image_root: str = ""
    classes: Sequence[str] = ()
    rectangles: str = "mask"
    annotators: str = "newest"
    background: str = "keep"


@dataclass
class ImportReport:
    """What was read and what was wrong with it; nothing is dropped without a line here."""

    counts: Counter = field(default_factory=Counter)
    defects: list[dict[str, Any]] = field(default_factory=list)
    unused_labels: list[str] = field(default_factory=list)

    def defect(self, code: str, photo: str | None, annotation: Any, action: str) -> None:
        """Counts and lists one defect: what it is, where, and what was done about it."""
        self.counts[code] += 1
        self.defects.append({"code": code, "photo": photo, "annotation": annotation, "action": action})

    def as_dict(self) -> dict[str, Any]:
        """The form of import_report.json."""
        counts = dict(sorted(self.counts.items()))
        return {"counts": counts, "unused_labels": self.unused_labels, "defects": self.defects}


@dataclass
class Annotation:
    """An object: its label, its COCO segmentation (polygons, or RLE), box in XYWH_ABS and area, in upright pixels."""

    label: str
    segmentation: list[list[float]] | dict[str, Any]
    box: list[float]
    area: float


@dataclass
class Photo:
    """A photo that was found: `name` among the export's files, and its upright size in pixels."""

    name: str
    width: int
    height: int
    annotations: list[Annotation] = field(default_factory=list)


@dataclass
class Export:
    """A readable export: photos in the order of their names, class names in the model's order."""

    photos: list[Photo]
    classes: list[str]
    report: ImportReport
    index: PhotoIndex

    def place_photos(self, folder: Path) -> dict[str, str]:
        """Makes every photo a file on disk; those inside an archive are unpacked to `folder`.

        Returns:
            name -> COCO file_name: relative to `folder` where unpacked there, else the absolute path.
        """
        placed = {}
        taken = set()
        for photo in tqdm(self.photos, desc="photos", unit="photo", disable=None):
            path = self.index.files.path(photo.name)
            if path:
                placed[photo.name] = str(path)
                continue
            base = PurePosixPath(photo.name).name
            unique = base if base.casefold() not in taken else f"{len(taken)}_{base}"
            taken.add(unique.casefold())
            with replacing(folder / unique) as temporary:
                temporary.write_bytes(self.index.files.read(photo.name))
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
        export: a .zip, a folder or a .json, in Label Studio's COCO form.
        options: the policies.

    Raises:
        ExportError: it cannot be used; the message names the file and the way out.
    """
    files = open_export(export)
    value, source = _find_coco(files)
    raw_photos, labels, strays = read_coco(value, source)
    if not raw_photos:
        raise ExportError(f"{source}: no photo in it; label some and export again")
    report = ImportReport()
    report.counts.update(photos_in_export=len(raw_photos), annotations_in_export=len(value["annotations"]))
    for annotation, reason in strays:
        report.defect(reason, None, annotation, "dropped")
    index = PhotoIndex(_photo_files(files, options.image_root))
    groups = _group_by_photo(raw_photos, index, report)
    photos = []
    for name, entries in tqdm(sorted(groups.items()), desc="import", unit="photo", disable=None):
        raw = _choose_annotator(name, entries, options.annotators, report)
        photo = _read_photo(name, raw, index, options, report)
        if photo and (photo.annotations or options.background == "keep"):
            photos.append(photo)
    if not photos and not report.counts["background_dropped"]:
        raise ExportError(
            f"{source}: none of its {len(raw_photos)} photos is there and readable; export as 'COCO with images', "
            "or say where they lie with CAMPUS.IMAGE_ROOT path/to/photos"
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
    report.unused_labels = sorted(set(labels) - used)
    report.counts.update(
        photos=len(photos),
        photos_without_objects=sum(not photo.annotations for photo in photos),
        objects=sum(len(photo.annotations) for photo in photos),
        unused_labels=len(report.unused_labels),
    )
    return Export(photos, classes, report, index)


def _find_coco(files: ExportFiles) -> tuple[dict[str, Any], str]:
    """The COCO value among an export's files, known by its content, and the name to use for it in messages."""
    names = sorted(
        (name for name in files.names if name.lower().endswith(".json")),
        key=lambda name: (PurePosixPath(name).name not in COCO_NAMES, name.count("/"), name),
    )
    reasons = []
    for name in names:
        source = f"{files.place / name}"
        try:
            value = json.loads(files.read(name))
        except (OSError, ValueError, RecursionError) as error:
            reasons.append(f"{source} is no JSON ({error})")
            continue
        if is_coco(value):
            return value, source
        reasons.append(f"{source} is {'native Label Studio JSON' if isinstance(value, list) else 'other JSON'}")
    found = "; ".join(reasons[:3]) or f"{files.place} holds no .json"
    raise ExportError(f"{found}: no COCO in it; export from Label Studio as 'COCO with images'")


def _photo_files(files: ExportFiles, image_root: str) -> ExportFiles:
    if image_root:
        root = Path(image_root)
        if not root.is_dir():
            raise ExportError(f"{root}: no such folder; CAMPUS.IMAGE_ROOT must be the folder with the photos")
        return FolderFiles(root)
    return FolderFiles(files.place) if isinstance(files, OneFile) else files


def _group_by_photo(
    raw_photos: Sequence[RawPhoto], index: PhotoIndex, report: ImportReport
) -> dict[str, list[RawPhoto]]:
    """Entries of one photo together, in the export's order; photos that are not there are reported."""
    groups: dict[str, list[RawPhoto]] = {}
    for raw in raw_photos:
        name = index.find(raw.file_name)
        if name is None:
            report.defect("photo_missing", raw.file_name, None, f"left out with {len(raw.annotations)} annotations")
        else:
            groups.setdefault(name, []).append(raw)
    return groups


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


def _read_photo(
    name: str, raw: RawPhoto, index: PhotoIndex, options: ExportOptions, report: ImportReport
) -> Photo | None:
    """One photo upright with its objects; None where it cannot be read or is unwanted, which is reported."""
    try:
        with index.open(name) as stream, Image.open(stream) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
            width, height = upright_size(*image.size, orientation)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        report.defect("photo_unreadable", name, None, f"left out ({error})")
        return None
    if orientation != 1:
        report.counts["photos_turned_upright"] += 1
    # Label Studio states the stored size, but draws on the photo as seen: its percentages are of the latter.
    scale = (width / (raw.width or width), height / (raw.height or height))
    box_scale = scale
    if (raw.width, raw.height) == (height, width) and width != height:
        box_scale = (1.0, 1.0)  # rectangles alone are written in the size as seen
        report.defect("orientation_squashed", name, None, "polygons brought to the photo as seen")
    elif scale != (1, 1):
        report.defect("size_differs", name, None, f"annotations scaled from {raw.width} x {raw.height}")
    photo = Photo(name, width, height)
    for annotation in raw.annotations:
        done = _read_annotation(annotation, photo, scale, box_scale, options, report)
        if done:
            photo.annotations.append(done)
    if not photo.annotations and options.background == "drop":
        report.defect("background_dropped", name, None, "left out")
    return photo


def _read_annotation(
    raw: RawAnnotation,
    photo: Photo,
    scale: tuple[float, float],
    box_scale: tuple[float, float],
    options: ExportOptions,
    report: ImportReport,
) -> Annotation | None:
    """One object in upright pixels; None where it is dropped, which is reported."""
    if raw.rle is not None:
        return _read_rle(raw, photo, report)
    rings = [ring * scale for ring in raw.rings]
    if raw.malformed or (not rings and raw.box is None):
        report.defect("annotation_malformed", photo.name, raw.id, "dropped")
        return None
    if not rings:
        if options.rectangles == "error":
            raise ExportError(
                f"{photo.name}: annotation {raw.id} is a rectangle; set CAMPUS.RECTANGLES to mask or drop"
            )
        report.defect("rectangle", photo.name, raw.id, "dropped" if options.rectangles == "drop" else "filled")
        if options.rectangles == "drop":
            return None
        rings = [box_ring(*raw.box) * box_scale]
    cleaned = clean_rings(rings, photo.width, photo.height)
    if not cleaned:
        report.defect("annotation_degenerate", photo.name, raw.id, "dropped")
        return None
    if len(cleaned) != len(rings) or any(a is not b for a, b in zip(cleaned, rings, strict=False)):
        report.defect("annotation_repaired", photo.name, raw.id, "clipped to the photo and made valid")
    polygons = [ring.ravel().tolist() for ring in cleaned]
    return Annotation(raw.label, polygons, rings_box(cleaned), rings_area(cleaned))


def _read_rle(raw: RawAnnotation, photo: Photo, report: ImportReport) -> Annotation | None:
    """An object given as COCO RLE, whose size must be the upright photo's."""
    size, counts = raw.rle.get("size"), raw.rle.get("counts")
    if size != [photo.height, photo.width] or not isinstance(counts, str | list):
        report.defect("annotation_malformed", photo.name, raw.id, "dropped: its RLE is not of the photo's size")
        return None
    rle = {"size": size, "counts": counts}
    if isinstance(counts, list):
        if not all(isinstance(n, int) and n >= 0 for n in counts) or sum(counts) != photo.height * photo.width:
            report.defect("annotation_malformed", photo.name, raw.id, "dropped: its RLE does not fill the photo")
            return None
        rle = coco_mask.frPyObjects(rle, photo.height, photo.width)
        rle["counts"] = rle["counts"].decode("ascii")
    area = float(coco_mask.area(rle))
    if area < MIN_AREA:
        report.defect("annotation_degenerate", photo.name, raw.id, "dropped")
        return None
    return Annotation(raw.label, rle, [float(v) for v in coco_mask.toBbox(rle)], area)
