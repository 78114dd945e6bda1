"""What an import says of itself."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ImportReport:
    """What was read and what was wrong with it; nothing is dropped without a line here."""

    counts: Counter = field(default_factory=Counter)
    defects: list[dict[str, Any]] = field(default_factory=list)
    unused_labels: list[str] = field(default_factory=list)

    def defect(self, code: str, photo: str | None, annotation: Any, action: str) -> None:
        """Counts and lists one defect: what it is, where, and what was done about it."""
        self.counts[code] += 1
        self.defects.append({"code": code, "photo": photo, "annotation": annotation, "action": action})

    def as_dict(self) -> dict[str, Any]:
        """The form of import_report.json."""
        counts = dict(sorted(self.counts.items()))
        return {"counts": counts, "unused_labels": self.unused_labels, "defects": self.defects}
