"""How an export is to be read."""

from collections.abc import Sequence
from dataclasses import dataclass


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
