"""What an import says of itself."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Codes of defects by what they cost, the worst first: photos, objects, what was mended, what a policy decided.
SEVERITY = (
    *("task_without_photo", "photo_missing", "photo_unreadable", "photo_of_other_shape", "photo_emptied"),
    *("annotation_without_photo", "annotation_without_category", "annotation_unsupported"),
    *("annotation_malformed", "annotation_degenerate", "annotation_of_several_classes"),
    *("orientation_squashed", "size_differs", "polygon_repaired", "polygon_clipped"),
    *("photo_twice", "several_annotators", "rectangle", "annotation_joined", "background_dropped"),
    *("task_skipped", "task_unlabelled"),
)


@dataclass
class ImportReport:
    """What was read and what was wrong with it; nothing is dropped without a line here."""

    counts: Counter = field(default_factory=Counter)
    defects: list[dict[str, Any]] = field(default_factory=list)
    unused_labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what cannot be known of this export

    def defect(self, code: str, photo: str | None, annotation: Any, action: str) -> None:
        """Counts and lists one defect: what it is, where, and what was done about it."""
        if not isinstance(annotation, int | str | None):
            annotation = str(annotation)[:80]
        self.counts[code] += 1
        self.defects.append({"code": code, "photo": photo, "annotation": annotation, "action": action})

    def as_dict(self) -> dict[str, Any]:
        """The form of import_report.json."""
        counts = dict(sorted(self.counts.items()))
        return {
            "counts": counts,
            "unused_labels": self.unused_labels,
            "notes": self.notes,
            "defects": self.defects,
        }

    def table(self) -> list[tuple[str, int, str, str]]:
        """(code, how often, what was done, the first photo or annotation) for each kind of defect, worst first."""
        kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for defect in self.defects:
            kinds.setdefault((defect["code"], defect["action"]), []).append(defect)
        order = {code: i for i, code in enumerate(SEVERITY)}
        rows = [
            (code, len(found), action, str(found[0]["photo"] or found[0]["annotation"]))
            for (code, action), found in kinds.items()
        ]
        return sorted(rows, key=lambda row: (order[row[0]], -row[1], row))
