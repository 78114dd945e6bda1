"""How an export is to be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from campus_seg.errors import ConfigError

CHOICES = {
    "rectangles": ("mask", "drop", "error"),
    "annotators": ("newest", "oldest", "error"),
    "background": ("keep", "drop"),
}


@dataclass(frozen=True)
class ExportOptions:
    """How to read an export; see `cfg.CAMPUS` in config.py, where each default has its why.

    Attributes:
        image_root: folder with the photos, "" = inside or beside the export.
        classes: the frozen class names, empty = those that have an object.
        rectangles: "mask", "drop" or "error".
        annotators: "newest", "oldest" or "error".
        background: "keep" or "drop".

    Raises:
        ConfigError: a policy that does not exist, or a class that stands there twice.
    """

    image_root: str = ""
    classes: Sequence[str] = ()
    rectangles: str = "mask"
    annotators: str = "newest"
    background: str = "keep"

    def __post_init__(self):
        for policy, known in CHOICES.items():
            value = getattr(self, policy)
            if value not in known:
                raise ConfigError(f"CAMPUS.{policy.upper()} {value!r}: choose one of {', '.join(known)}")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"CAMPUS.CLASSES {list(self.classes)}: a class stands there twice; name each once")
