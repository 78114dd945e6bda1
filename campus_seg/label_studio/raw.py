"""What an export states, in the form all readers bring it to; nothing is repaired yet."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


@dataclass
class RawAnnotation:
    """One annotation as the export states it, in pixels of the size that the export states.

    Attributes:
        id: the export's own, for reports.
        label: category name.
        rings: each (n, 2); empty where the outline is missing (a rectangle) or given as `rle`.
        box: XYWH_ABS, or None.
        rotation: of the box about its first corner, clockwise in degrees.
        rle: COCO RLE ({"size": [height, width], "counts": …}), or None.
        malformed: the segmentation is there but makes no sense.
    """

    id: Any
    label: str
    rings: list[np.ndarray] = field(default_factory=list)
    box: list[float] | None = None
    rotation: float = 0.0
    rle: dict[str, Any] | None = None
    malformed: bool = False


@dataclass
class RawPhoto:
    """One entry of `images`: a photo as one annotator labelled it.

    Attributes:
        file_name: as the export states it, with "/" between its parts.
        width: in pixels, None where not stated.
        height: likewise.
        annotations: those that have a category.
        labelled: whether there are any at all, with or without a category.
    """

    file_name: str
    width: int | None
    height: int | None
    annotations: list[RawAnnotation] = field(default_factory=list)
    labelled: bool = False


class Stray(NamedTuple):
    """Something that belongs to no photo or no category: a defect's code, the photo if known, its id, what was done."""

    code: str
    photo: str | None
    id: Any
    action: str


@dataclass
class RawExport:
    """What one file states.

    Attributes:
        form: "COCO" or "JSON", Label Studio's own.
        photos: of a photo labelled by several people one entry each, the newest first.
        labels: category names, also those that nobody used, where the form has them.
        annotations: how many there are in all.
        strays: what is in no photo's list.
    """

    form: str
    photos: list[RawPhoto]
    labels: list[str]
    annotations: int
    strays: list[Stray]


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a coordinate can be."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and not math.isnan(value)


def pixels(value: Any) -> int | None:
    """A JSON value as a size in pixels; None where it is none."""
    return int(value) if is_number(value) and value >= 1 else None
