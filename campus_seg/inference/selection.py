"""Which of the objects that a model finds are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from detectron2.structures import Instances

from campus_seg.errors import ConfigError


@dataclass(frozen=True)
class Selection:
    """Which objects count.

    Attributes:
        threshold: the least score, from which on an object counts, as in an evaluation.
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
        """What the model itself may take, which keeps scores above it: just below the least threshold of all."""
        return float(np.nextafter(np.float32(min([self.threshold, *self.by_class.values()])), np.float32(0)))

    def of(self, instances: Instances, class_names: Sequence[str]) -> Instances:
        """Those of a photo's instances whose class and score are wanted. Areas are known only when they are pasted."""
        thresholds = [self.by_class.get(name, self.threshold) for name in class_names]
        if self.classes:
            wanted = set(self.classes)
            thresholds = [value if name in wanted else 2.0 for name, value in zip(class_names, thresholds, strict=True)]
        least = torch.tensor(thresholds, dtype=torch.float64)  # in float32 a threshold between two scores may be one
        return instances[instances.scores >= least[instances.pred_classes]]

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
