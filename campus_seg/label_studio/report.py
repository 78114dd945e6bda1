"""What an import says of itself."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Codes of defects by what they cost, the worst first: photos, objects, what a policy decided, what was mended.
SEVERITY = (
    *("task_without_photo", "photo_missing", "photo_unreadable", "photo_of_other_shape", "photo_emptied"),
    "photo_elsewhere",
    *("task_of_several_photos", "annotation_without_photo", "annotation_without_category", "annotation_unsupported"),
    *("annotation_malformed", "annotation_degenerate", "annotation_of_several_classes"),
    *("photo_twice", "several_annotators", "rectangle", "background_dropped", "annotation_joined"),
    *("orientation_squashed", "size_differs", "polygon_repaired", "polygon_clipped"),
    *("annotation_skipped", "task_skipped", "task_unlabelled"),
)
LONGEST = 300  # letters of a name in a report; an address may hold a whole photo


@dataclass
class ImportReport:
    """What was read and what was wrong with it; nothing is dropped without a line here."""

    counts: Counter = field(default_factory=Counter)
    defects: list[dict[str, Any]] = field(default_factory=list)
    unused_labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what cannot be known of this export

    def defect(self, code: str, photo: str | None, annotation: Any, action: str) -> None:
        """Counts and lists one defect: what it is, where, and what was done about it."""
        if code not in SEVERITY:
            raise ValueError(f"{code} has no place in SEVERITY")
        if not isinstance(annotation, int | None):
            annotation = str(annotation)[:LONGEST]
        photo = photo and photo[:LONGEST]
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
        """(code, how often, what was mostly done, the first photo or annotation) of each code, worst first."""
        by_code: dict[str, list[dict[str, Any]]] = {}
        for defect in self.defects:
            by_code.setdefault(defect["code"], []).append(defect)
        rows = []
        for code in sorted(by_code, key=SEVERITY.index):
            found = by_code[code]
            actions = Counter(defect["action"] for defect in found)
            example = next(defect for defect in found if defect["action"] == actions.most_common(1)[0][0])
            others = f", and {len(actions) - 1} other ways" if len(actions) > 1 else ""
            rows.append((code, len(found), example["action"] + others, str(example["photo"] or example["annotation"])))
        return rows
