"""How much a model has to learn from a photo, by what it says of the photo itself.

An object is there with probability p, its score; if it is, each cell of its mask belongs to it with a probability of
its own. What is unknown of the two together is, by the chain rule of entropy, H(p) + p H(mask), with the mean of the
cells' entropies as H(mask), so that large and small objects count alike. Added up over a photo's objects, as in Yang et
al. 2024, "Plug and Play Active Learning for Object Detection" (arXiv:2211.11612), which has the first term.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """What a model makes of a photo, with K classes.

    Attributes:
        found: (K,), how many objects of each class it expects: their scores added up.
        class_bits: (K,), what it does not know of their classes, in bits.
        mask_bits: (K,), what it does not know of their masks, in bits a cell.
        feature: (D,) float32, what its backbone makes of the whole photo.
    """

    found: np.ndarray
    class_bits: np.ndarray
    mask_bits: np.ndarray
    feature: np.ndarray

    @property
    def bits(self) -> np.ndarray:
        """(K,), both together."""
        return self.class_bits + self.mask_bits


def look_of(scores: np.ndarray, classes: np.ndarray, masks: np.ndarray, feature: np.ndarray, class_count: int) -> Look:
    """Adds up what a model says of a photo's N objects.

    Args:
        scores: (N,), 0 … 1.
        classes: (N,), from 0.
        masks: (N, h, w), the probability of "object" within the box.
        feature: (D,).
        class_count: K.
    """
    mask_bits = scores * entropy(masks).mean(axis=(1, 2)) if len(masks) else np.zeros(0)

    def by_class(values: np.ndarray) -> np.ndarray:
        return np.bincount(classes, values, class_count)

    return Look(by_class(scores), by_class(entropy(scores)), by_class(mask_bits), feature)


def entropy(probability: np.ndarray) -> np.ndarray:
    """Bits of a yes or no that is a yes with that probability: 0 where it is certain, 1 at a half; of any shape."""
    p = np.asarray(probability, np.float64)
    # The logarithm of 0 is none, and 0 times anything is to be 0.
    return -sum(q * np.log2(q, out=np.zeros_like(q), where=q > 0) for q in (p, 1 - p))
