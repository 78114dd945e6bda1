"""What an export states, in the form all readers bring it to; nothing is repaired yet."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

# What msgspec raises for what is no JSON, no text, or nested too deeply.
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_COORDINATE = 1e9  # pixels; what is beyond is no coordinate


@dataclass(slots=True)
class RawAnnotation:
    """One annotation as the export states it, in pixels of the size that the export states.

    Attributes:
        id: the export's own, for reports.
        label: category name.
        rings: each (n, 2); empty where the outline is missing (a rectangle) or given as `rle`.
        box: XYWH_ABS, or None.
        rotation: of the box about its first corner, clockwise in degrees.
        rle: COCO RLE ({"size": [height, width], "counts": …}), or None.
        problem: why it makes no sense, "" where it does.
    """

    id: Any
    label: str
    rings: list[np.ndarray] = field(default_factory=list)
    box: list[float] | None = None
    rotation: float = 0.0
    rle: dict[str, Any] | None = None
    problem: str = ""


@dataclass(slots=True)
class RawPhoto:
    """One entry of `images`: a photo as one annotator labelled it.

    Attributes:
        file_name: as the export states it, with "/" between its parts.
        width: in pixels, None where not stated.
        height: likewise.
        annotations: those that have a category.
        labelled: whether there are any at all, with or without a category.
        task: which task of Label Studio's it is; None where the form does not say.
        time: when it was labelled, as text that sorts; "" where the form does not say.
        traced: its outlines may have been traced around brush masks.
        boxes_as_seen: rectangles stand in the size as seen, where the polygons of a photo on its side do not.
    """

    file_name: str
    width: int | None
    height: int | None
    annotations: list[RawAnnotation] = field(default_factory=list)
    labelled: bool = False
    task: Any = None
    time: str = ""
    traced: bool = False
    boxes_as_seen: bool = False


class Stray(NamedTuple):
    """A remark on what is in no photo's list: a defect's code, the photo if known, its id, what was done."""

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
        strays: remarks on what is in no photo's list.
    """

    form: str
    photos: list[RawPhoto]
    labels: list[str]
    annotations: int
    strays: list[Stray]


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a coordinate can be."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < MAX_COORDINATE and not math.isnan(value)


def pixels(value: Any) -> int | None:
    """A JSON value as a size in pixels; None where it is none."""
    return int(value) if is_number(value) and value >= 1 else None


def strict_json(content: bytes) -> bytes:
    """JSON as some programs write it (a byte order mark, UTF-16, NaN) as JSON of the standard (RFC 8259).

    NaN and infinite numbers become null, since no coordinate is either.

    Raises:
        ValueError: it is no JSON all the same.
        RecursionError: it is nested too deeply.
    """

    def whole(digits: str) -> int | float:
        return int(digits) if len(digits) < 16 else float(digits)

    value = json.loads(content, parse_constant=lambda _: None, parse_int=whole)
    return msgspec.json.encode(value)  # infinite numbers, as of 1e999, become null here
