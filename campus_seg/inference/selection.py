"""Which of the objects that a model finds are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from detectron2.structures import Instances

from campus_seg.errors import ConfigError


@dataclass(frozen=True)
class Selection:
    """Which objects count.

    Attributes:
        threshold: the least score; an object has to be above it, as in Detectron2.
        by_class: class name -> its own threshold.
        classes: names of those that are wanted; () = all.
        min_area: the least area in pixels of the photo.
    """

    threshold: float = 0.0
    by_class: dict[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    min_area: int = 0

    def check(self, class_names: Sequence[str]) -> None:
        """Refuses classes that the model does not know.

        Raises:
            ConfigError: names them and those that it knows.
        """
        unknown = [name for name in (*self.classes, *self.by_class) if name not in class_names]
        if unknown:
            raise ConfigError(f"class {', '.join(unknown)}: the model knows {', '.join(class_names)}")

    @property
    def least(self) -> float:
        """The least threshold of all, which the model itself may take."""
        return min([self.threshold, *self.by_class.values()])

    def of(self, instances: Instances, class_names: Sequence[str]) -> Instances:
        """Those of a photo's instances whose class and score are wanted. Areas are known only when they are pasted."""
        thresholds = [self.by_class.get(name, self.threshold) for name in class_names]
        if self.classes:
            wanted = set(self.classes)
            thresholds = [value if name in wanted else 2.0 for name, value in zip(class_names, thresholds, strict=True)]
        return instances[instances.scores > torch.tensor(thresholds)[instances.pred_classes]]

    def told(self, class_names: Sequence[str]) -> str:
        """Each class's threshold in words."""
        return ", ".join(f"{name} {self.by_class.get(name, self.threshold):.2f}" for name in class_names)

    @property
    def made_with(self) -> dict[str, Any]:
        """For `Journal`, by the names of the command's arguments."""
        return {
            "--confidence-threshold": [self.threshold, dict(sorted(self.by_class.items()))],
            "--classes": sorted(self.classes),
            "--min-area": self.min_area,
        }
