"""In which order unlabelled photos are to be labelled: what each would teach beyond those before it.

Photos are taken one at a time, each the best of those left, which is the one with the highest

    (sum over the classes of the bits unknown of their objects / sqrt(objects of the class labelled by then + 1))
    * distance to the nearest photo that is labelled or taken already, or 0.001 where that is more.

The square root favours rare classes as the repeat factors of LVIS do (Gupta et al. 2019, arXiv:1908.03195), and a class
is less rare with each photo taken. The distance is that of core-sets (Sener and Savarese 2018, arXiv:1708.00489) in the
model's own features: a second photo of the same scene teaches little, however unsure the model is of both.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from campus_seg.active_learning.uncertainty import Look

# What a photo counts in which nothing is found at all: less than anything found, so that these photos come last, those
# that are like no other first.
NOTHING = 1e-6
NEAREST = 1e-3  # the distance below which photos are the same scene: what is unknown still tells them apart
ROUNDING = 1e-5  # of a feature's length: what is left of features that are all alike


class Place(NamedTuple):
    """A photo's place in the order.

    Attributes:
        index: which photo it is.
        gain: what its label would teach, as above; comparable within one order alone.
        distance: 0 … 1, to the nearest photo labelled or taken before it; 1 where there is none.
    """

    index: int
    gain: float
    distance: float


def order_photos(looks: Sequence[Look], known: Sequence[np.ndarray], labelled: np.ndarray, limit: int) -> list[Place]:
    """Orders photos, the one that would teach most first.

    Args:
        looks: N, of the photos.
        known: the features of photos that are labelled, each (D,).
        labelled: (K,), objects of each class that are labelled.
        limit: places that are given one at a time, at a cost of N each. The others follow by what they would teach
            after these.

    Returns:
        N places.
    """
    bits = np.stack([look.bits for look in looks])
    found = np.stack([look.found for look in looks])
    features = unit_features(np.stack([*(look.feature for look in looks), *known]))
    features, known = features[: len(looks)], features[len(looks) :]
    expected = labelled.astype(np.float64)
    distance = np.ones(len(looks))
    for feature in known:
        distance = np.minimum(distance, distances(features, feature))

    def gains() -> np.ndarray:
        return (bits @ (expected + 1) ** -0.5 + NOTHING) * np.maximum(distance, NEAREST)

    left = np.ones(len(looks), dtype=bool)
    places = []
    for _ in range(min(limit, len(looks))):
        gain = gains()
        best = int(np.argmax(np.where(left, gain, -1)))
        places.append(Place(best, float(gain[best]), float(distance[best])))
        left[best] = False
        expected += found[best]
        distance = np.minimum(distance, distances(features, features[best]))
    gain = gains()
    rest = [i for i in np.argsort(-gain, kind="stable").tolist() if left[i]]
    return places + [Place(i, float(gain[i]), float(distance[i])) for i in rest]


def unit_features(features: np.ndarray) -> np.ndarray:
    """Features (N, D) without what is common to all of them, and of length 1; zero where nothing is left."""
    common = features.mean(axis=0)
    own = features - common
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    return np.divide(own, lengths, out=np.zeros_like(own), where=lengths > ROUNDING * np.linalg.norm(common))


def distances(features: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """Half of the Euclidean distance of features (N, D) of length 1 or 0 to another one (D,): (N,), 0 … 1."""
    return np.linalg.norm(features - feature, axis=1) / 2
