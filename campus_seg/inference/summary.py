"""What was found, for people who count: a table with a row an object, and the figures of the whole folder.

A photo's record is what `PictureWriter.draw` returns, {"image": …, "annotations": [...]}, with the photo's "name" (what
its outputs are called), or {"reason": …} of one that could not be read. Records come from an iterator and are not kept.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campus_seg.atomic_writes import replacing

HEADER = ("photo", "class", "instance_id", "score", "x", "y", "width", "height", "area", "share")
# What spreadsheets take for the beginning of a formula, also in a CSV's quotes, and the wide forms that some of them
# turn into these. https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = tuple("=+-@\t\r\n＝＋－＠")


@dataclass(frozen=True)
class Counts:
    """The figures of a masked folder.

    Attributes:
        photos: photos that were masked.
        with_objects: those of them with at least one object.
        objects: class name -> how many objects of it were found: the most frequent class first, without those of which
            there is none.
        failures: photos that could not be read.
    """

    photos: int
    with_objects: int
    objects: dict[str, int]
    failures: int

    def lines(self, seconds: float, earlier: int = 0) -> list[tuple[str, str]]:
        """The figures as (name, value), to be printed; without a speed where nothing was masked.

        Args:
            seconds: how long masking took.
            earlier: photos that were masked before that, and do not count for the speed.
        """
        lines = [("photos masked", f"{self.photos}"), ("with objects", f"{self.with_objects}")]
        lines.append(("objects found", f"{sum(self.objects.values())}"))
        width = len(str(max(self.objects.values(), default=0)))
        lines += [("", f"{count:>{width}} {name}") for name, count in self.objects.items()]
        if self.photos > earlier:
            lines.append(("photos/s", f"{(self.photos - earlier) / seconds:.3g}"))
        return lines


def write_summary_csv(path: Path, records: Iterable[Mapping[str, Any]], class_names: Sequence[str]) -> Counts:
    """Writes a row for each object as UTF-8 CSV; a photo without objects has none.

    Boxes and areas are in pixels of the upright photo, `share` is the area as a part of 1. Names are written such that
    no spreadsheet takes one for a formula: see `harmless_path` and `harmless_text`.

    Args:
        path: of the file.
        records: one a photo.
        class_names: in the order of the category ids, which begin with 1.

    Returns:
        What was counted on the way.
    """
    photos = with_objects = failures = 0
    objects: Counter[str] = Counter()
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        # With quotes around all text a ";" in a name ends no cell, in countries where it is Excel's separator.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(HEADER)
        for record in records:
            if "reason" in record:
                failures += 1
                continue
            image, annotations = record["image"], record["annotations"]
            photos += 1
            with_objects += bool(annotations)
            for found in annotations:
                class_name = class_names[found["category_id"] - 1]
                objects[class_name] += 1
                share = float(f"{found['area'] / (image['width'] * image['height']):.6g}")
                names = (harmless_path(image["file_name"]), harmless_text(class_name))
                writer.writerow(
                    (*names, found["instance_id"], found["score"], *found["bbox"], found["area"], share),
                )
    by_count = dict(sorted(objects.items(), key=lambda item: (-item[1], item[0])))
    return Counts(photos, with_objects, by_count, failures)


def harmless_path(path: str) -> str:
    """The path, with "./" in front where it would begin a formula: it still leads to the same photo."""
    return f"./{path}" if path.startswith(FORMULA) else path


def harmless_text(text: str) -> str:
    """The text, with "'" in front, spreadsheets' own mark of a text, where it would begin a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
