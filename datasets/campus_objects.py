"""The six classes of the sample: how each is drawn and how large it stands in a photo."""

from collections.abc import Callable

import numpy as np
from campus_figures import dog, horse_statue, person
from campus_things import bench, car, fire_extinguisher
from shapes import Part

# How to draw each class, and the length in photo pixels of its longer side at the far and at the near end of a scene.
CLASSES: dict[str, tuple[Callable[[np.random.Generator], list[Part]], tuple[float, float]]] = {
    "bench": (bench, (95, 230)),
    "car": (car, (110, 255)),
    "dog": (dog, (58, 165)),
    "fire extinguisher": (fire_extinguisher, (55, 150)),
    "horse statue": (horse_statue, (100, 255)),
    "person": (person, (90, 240)),
}
