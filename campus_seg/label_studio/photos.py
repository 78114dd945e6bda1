"""The photos of an export: upright, of their true size, their objects in their own pixels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError
from campus_seg.label_studio.facts import Header
from campus_seg.label_studio.geometry import (
    MIN_AREA,
    box_ring,
    check_rings,
    clean_rings,
    rings_area,
    rings_box,
)
from campus_seg.label_studio.masks import checked_rle, resized_mask
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.raw import RawAnnotation, RawPhoto
from campus_seg.label_studio.report import ImportReport

ACTIONS = {
    "polygon_clipped": "clipped to the photo",
    "polygon_repaired": "crossed itself, made valid",
    "annotation_degenerate": "a part of it dropped",
}
BATCH = 10_000  # annotations whose outlines are checked at once
Scale = tuple[float, float]


@dataclass(slots=True)
class Annotation:
    """An object in upright pixels.

    Attributes:
        label: class name.
        rings: its outline, each (n, 2), whose union it is; or None.
        rle: its mask, where it is none of rings: COCO RLE, `counts` as str.
        box: XYWH_ABS.
        area: in square pixels.
    """

    label: str
    rings: list[np.ndarray] | None
    rle: dict[str, Any] | None
    box: list[float]
    area: float

    @property
    def segmentation(self) -> list[list[float]] | dict[str, Any]:
        """As COCO has it: polygons, or RLE."""
        return self.rle if self.rings is None else [ring.ravel().tolist() for ring in self.rings]


@dataclass(slots=True)
class Photo:
    """A photo that was found.

    Attributes:
        name: among the export's files.
        width: upright, in pixels.
        height: likewise.
        orientation: its EXIF orientation.
        annotations: its objects.
        task: the id of Label Studio's task that they are of, None where the export does not say.
    """

    name: str
    width: int
    height: int
    orientation: int = 1
    annotations: list[Annotation] = field(default_factory=list)
    task: int | None = None


class _Entry(NamedTuple):
    """A photo, what the export states of it, and what brings polygons and boxes to its upright pixels."""

    photo: Photo
    raw: RawPhoto
    scale: Scale
    box_scale: Scale


def read_photos(
    entries: Iterable[tuple[str, RawPhoto, Header]], options: ExportOptions, report: ImportReport
) -> Iterator[Photo]:
    """Photos upright with their objects; one that is unwanted or another than the export means is reported instead.

    Args:
        entries: name, what the export states, and header of each photo. What is stated is used up.
        options: the policies.
        report: for remarks.
    """
    batch, waiting = [], 0
    for name, raw, header in entries:
        photo = Photo(name, header.width, header.height, header.orientation)
        photo.task = raw.task if type(raw.task) is int else None
        scales = _scales(raw, photo, header.orientation, report)
        if scales is None:
            continue
        if header.orientation != 1:
            report.counts["photos_turned_upright"] += 1
        batch.append(_Entry(photo, raw, *scales))
        waiting += len(raw.annotations)
        if waiting >= BATCH:
            yield from _read_batch(batch, options, report)
            batch, waiting = [], 0
    yield from _read_batch(batch, options, report)


def _scales(raw: RawPhoto, photo: Photo, orientation: int, report: ImportReport) -> tuple[Scale, Scale] | None:
    """What brings polygons and boxes to the upright photo; None where it is another photo, which is reported."""
    size = (photo.width, photo.height)
    stated = (raw.width, raw.height) if raw.width and raw.height else size
    scale = (size[0] / stated[0], size[1] / stated[1])
    if orientation >= 5 and stated[0] != stated[1] and stated != size and _same_shape(stated[::-1], size):
        # Label Studio states the stored size, but draws on the photo as seen: its percentages are of the latter.
        # Rectangles alone are written in the size as seen.
        report.defect("orientation_squashed", photo.name, None, "polygons brought to the photo as seen")
        return scale, (size[0] / stated[1], size[1] / stated[0]) if raw.boxes_as_seen else scale
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


def _read_batch(batch: Sequence[_Entry], options: ExportOptions, report: ImportReport) -> Iterator[Photo]:
    rings, counts = [], []
    for _, raw, scale, _ in batch:
        own = [ring for annotation in raw.annotations for ring in annotation.rings]
        rings += own if scale == (1, 1) else [ring * scale for ring in own]
        counts.append(len(own))
    sizes = np.repeat(np.array([(e.photo.width, e.photo.height) for e in batch]).reshape(-1, 2), counts, axis=0)
    check = check_rings(rings, sizes)
    sound, boxes, areas = check.sound.tolist(), check.boxes.tolist(), check.areas.tolist()
    position = 0
    for entry in batch:
        photo, raw = entry.photo, entry.raw
        for annotation in raw.annotations:
            count = len(annotation.rings)
            own = rings[position : position + count]
            if count == 1 and sound[position] and annotation.rle is None:  # as nearly all are
                done = Annotation(annotation.label, own, None, boxes[position], areas[position])
            else:
                done = _read_annotation(annotation, own, entry, options, report)
            position += count
            if done:
                photo.annotations.append(done)
        raw.annotations = []
        if raw.labelled and not photo.annotations:  # something is on it, so it is no background
            report.defect("photo_emptied", photo.name, None, "left out: none of its annotations could be used")
        elif not photo.annotations and options.background == "drop":
            report.defect("background_dropped", photo.name, None, "left out")
        else:
            yield photo


def _read_annotation(
    raw: RawAnnotation, rings: list[np.ndarray], entry: _Entry, options: ExportOptions, report: ImportReport
) -> Annotation | None:
    """One object in upright pixels, whose rings are there already; None where it is dropped, which is reported."""
    photo = entry.photo
    if raw.problem or (not rings and raw.box is None and raw.rle is None):
        report.defect("annotation_malformed", photo.name, raw.id, f"dropped: {raw.problem or 'it has no shape'}")
        return None
    if raw.rle is not None:
        return _read_rle(raw, entry, report)
    if not rings:
        if options.rectangles == "error":
            raise ExportError(
                f"{photo.name}: annotation {raw.id} is a rectangle; set CAMPUS.RECTANGLES to mask or drop"
            )
        report.defect("rectangle", photo.name, raw.id, "dropped" if options.rectangles == "drop" else "filled")
        if options.rectangles == "drop":
            return None
        rings = [box_ring(*raw.box, rotation=raw.rotation) * entry.box_scale]
    cleaned, codes = clean_rings(rings, photo.width, photo.height)
    if not cleaned:
        report.defect("annotation_degenerate", photo.name, raw.id, "dropped")
        return None
    for code in sorted(codes):
        report.defect(code, photo.name, raw.id, ACTIONS[code])
    return Annotation(raw.label, cleaned, None, rings_box(cleaned), rings_area(cleaned))


def _read_rle(raw: RawAnnotation, entry: _Entry, report: ImportReport) -> Annotation | None:
    """An object given as COCO RLE of the photo as the export states it."""
    photo = entry.photo
    try:
        rle = checked_rle(raw.rle, entry.raw.width or photo.width, entry.raw.height or photo.height)
    except ValueError as error:
        report.defect("annotation_malformed", photo.name, raw.id, f"dropped: {error}")
        return None
    if rle["size"] != [photo.height, photo.width]:
        rle = resized_mask(rle, photo.width, photo.height)
    area = float(coco_mask.area(rle))
    if area < MIN_AREA:
        report.defect("annotation_degenerate", photo.name, raw.id, "dropped")
        return None
    return Annotation(raw.label, None, rle, [float(v) for v in coco_mask.toBbox(rle)], area)
