"""One photo of an export: upright, of its true size, its objects in its own pixels."""

from dataclasses import dataclass, field
from typing import Any

from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError
from campus_seg.label_studio.coco import RawAnnotation, RawPhoto
from campus_seg.label_studio.files import PhotoIndex
from campus_seg.label_studio.geometry import (
    EXIF_ORIENTATION,
    MIN_AREA,
    box_ring,
    clean_rings,
    rings_area,
    rings_box,
    upright_size,
)
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.report import ImportReport


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
