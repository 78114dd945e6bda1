"""One photo of an export: upright, of its true size, its objects in its own pixels."""

from dataclasses import dataclass, field
from typing import Any

from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError
from campus_seg.label_studio.files import PhotoIndex
from campus_seg.label_studio.geometry import MIN_AREA, box_ring, clean_rings, rings_area, rings_box, rle_runs
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.raw import RawAnnotation, RawPhoto
from campus_seg.label_studio.report import ImportReport
from campus_seg.photos import PhotoError, photo_size

ACTIONS = {
    "polygon_clipped": "clipped to the photo",
    "polygon_repaired": "crossed itself, made valid",
    "annotation_degenerate": "a part of it dropped",
}
Scale = tuple[float, float]


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


def read_photo(
    name: str, raw: RawPhoto, index: PhotoIndex, options: ExportOptions, report: ImportReport
) -> Photo | None:
    """One photo upright with its objects; None where it cannot be read or is unwanted, which is reported."""
    try:
        with index.open(name) as stream:
            width, height, orientation = photo_size(stream)
    except (OSError, PhotoError) as error:
        report.defect("photo_unreadable", name, None, f"left out ({error})")
        return None
    photo = Photo(name, width, height)
    scales = _scales(raw, photo, orientation, report)
    if scales is None:
        return None
    if orientation != 1:
        report.counts["photos_turned_upright"] += 1
    for annotation in raw.annotations:
        done = _read_annotation(annotation, photo, *scales, options, report)
        if done:
            photo.annotations.append(done)
    if raw.labelled and not photo.annotations:  # something is on it, so it is no background
        report.defect("photo_emptied", name, None, "left out: none of its annotations could be used")
        return None
    if not photo.annotations and options.background == "drop":
        report.defect("background_dropped", name, None, "left out")
    return photo


def _scales(raw: RawPhoto, photo: Photo, orientation: int, report: ImportReport) -> tuple[Scale, Scale] | None:
    """What brings polygons and boxes to the upright photo; None where it is another photo, which is reported."""
    size = (photo.width, photo.height)
    stated = (raw.width, raw.height) if raw.width and raw.height else size
    scale = (size[0] / stated[0], size[1] / stated[1])
    if orientation >= 5 and stated[0] != stated[1] and stated != size and _same_shape(stated[::-1], size):
        # Label Studio states the stored size, but draws on the photo as seen: its percentages are of the latter.
        # Rectangles alone are written in the size as seen.
        report.defect("orientation_squashed", photo.name, None, "polygons brought to the photo as seen")
        return scale, (size[0] / stated[1], size[1] / stated[0])
    if not _same_shape(stated, size):
        action = f"left out: stated as {stated[0]} x {stated[1]}, found as {size[0]} x {size[1]}"
        report.defect("photo_of_other_shape", photo.name, None, action)
        return None
    if stated != size:
        report.defect("size_differs", photo.name, None, f"annotations scaled from {stated[0]} x {stated[1]}")
    return scale, scale


def _same_shape(stated: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the aspects are equal but for a pixel of rounding in each side of the smaller size."""
    difference = abs(stated[0] * size[1] - stated[1] * size[0])
    return difference <= max(sum(stated), sum(size))


def _read_annotation(
    raw: RawAnnotation,
    photo: Photo,
    scale: Scale,
    box_scale: Scale,
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
        rings = [box_ring(*raw.box, rotation=raw.rotation) * box_scale]
    cleaned, codes = clean_rings(rings, photo.width, photo.height)
    if not cleaned:
        report.defect("annotation_degenerate", photo.name, raw.id, "dropped")
        return None
    for code in sorted(codes):
        report.defect(code, photo.name, raw.id, ACTIONS[code])
    polygons = [ring.ravel().tolist() for ring in cleaned]
    return Annotation(raw.label, polygons, rings_box(cleaned), rings_area(cleaned))


def _read_rle(raw: RawAnnotation, photo: Photo, report: ImportReport) -> Annotation | None:
    """An object given as COCO RLE, whose size must be the upright photo's."""
    size, counts = [photo.height, photo.width], raw.rle.get("counts")
    if raw.rle.get("size") != size or not isinstance(counts, str | list):
        report.defect("annotation_malformed", photo.name, raw.id, "dropped: its RLE is not of the photo's size")
        return None
    try:
        runs = rle_runs(counts) if isinstance(counts, str) else counts
    except ValueError as error:
        report.defect("annotation_malformed", photo.name, raw.id, f"dropped: {error}")
        return None
    # pycocotools decodes whatever it is given, beyond the photo's end or with chance values where runs are missing.
    if not all(type(n) is int and n >= 0 for n in runs) or sum(runs) != photo.height * photo.width:
        report.defect("annotation_malformed", photo.name, raw.id, "dropped: its RLE does not fill the photo")
        return None
    rle = coco_mask.frPyObjects({"size": size, "counts": runs}, *size)
    rle["counts"] = rle["counts"].decode("ascii")
    area = float(coco_mask.area(rle))
    if area < MIN_AREA:
        report.defect("annotation_degenerate", photo.name, raw.id, "dropped")
        return None
    return Annotation(raw.label, rle, [float(v) for v in coco_mask.toBbox(rle)], area)
