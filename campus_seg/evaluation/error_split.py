"""What kind of error costs how much: TIDE (Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV, https://arxiv.org/abs/2008.08115, section 2).

Each wrong detection has one kind, the first of these that fits the IoU with the object of its class that it overlaps
most, and with that of another class:

    place       of its class 0.1 … 0.5: the right thing, badly outlined
    class       of another class 0.5 or more
    double      of its class 0.5 or more, and a surer detection has that object already
    background  of neither more than 0.1
    both        what is left: of another class 0.1 … 0.5

and an object without detection is missed, unless a detection of kind place or class is meant for it. What a kind costs
is how much AP at IoU 0.5 would grow if an oracle put its errors right: detections for an object that is still free
become right, the surest of each object only; other wrong detections, and missed objects, are left out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from campus_seg.evaluation.matching import NONE, RECALLS, Pairing, PhotoMatches

NEAR, RIGHT = 0.1, 0.5  # IoU: from which on a detection has to do with an object, and is of it
KINDS = ("class", "place", "both", "double", "background", "missed")


@dataclass(frozen=True, eq=False)
class PhotoErrors:
    """The errors in one photo.

    Attributes:
        kinds: (D,) str, of each detection its kind, "right", or "" where it does not count.
        meant_for: (D,) int, the place of the object that a detection of kind place or class is meant for, else NONE.
        missed: (G,) bool.
    """

    kinds: np.ndarray
    meant_for: np.ndarray
    missed: np.ndarray


def find_errors(photo: PhotoMatches, pairing: Pairing) -> PhotoErrors:
    """The errors in a photo.

    Args:
        photo: its overlaps.
        pairing: `photo.pair(RIGHT, across_classes=False)`.
    """
    own = photo.detected_classes[:, None] == photo.object_classes[None]
    same, other = np.where(own, photo.ious, 0.0), np.where(own, 0.0, photo.ious)
    most_same, most_other = same.max(axis=1, initial=0.0), other.max(axis=1, initial=0.0)
    most = np.maximum(most_same, most_other)
    kinds = np.select(
        [
            ~pairing.counts,
            pairing.object_of != NONE,
            (most_same >= NEAR) & (most_same < RIGHT),
            most_other >= RIGHT,
            most_same >= RIGHT,
            most <= NEAR,
        ],
        ["", "right", "place", "class", "double", "background"],
        "both",
    )
    meant_for = np.full(len(kinds), NONE)
    for kind, overlaps in (("place", same), ("class", other)):
        of_kind = kinds == kind
        if of_kind.any():
            meant_for[of_kind] = overlaps[of_kind].argmax(axis=1)
    missed = pairing.detection_of(len(photo.objects)) == NONE
    missed[meant_for[meant_for != NONE]] = False
    return PhotoErrors(kinds, meant_for, missed)


def count_errors(photos: Sequence[PhotoMatches], errors: Sequence[PhotoErrors]) -> dict[int, Counter]:
    """Category id -> kind -> how many: wrong detections count for the class that they name, objects for their own."""
    counts: dict[int, Counter] = {}
    for photo, of_photo in zip(photos, errors, strict=True):
        for label, kind in zip(photo.detected_classes.tolist(), of_photo.kinds.tolist(), strict=True):
            if kind in KINDS:
                counts.setdefault(label, Counter())[kind] += 1
        for label in photo.object_classes[of_photo.missed].tolist():
            counts.setdefault(label, Counter())["missed"] += 1
    return counts


def error_costs(
    photos: Sequence[PhotoMatches], pairings: Sequence[Pairing], errors: Sequence[PhotoErrors]
) -> dict[str, float] | None:
    """What each kind costs, in AP at IoU 0.5 of 0 … 1, averaged over the classes that have objects.

    Returns:
        Kind -> the AP that would be gained; None where no class has an object.
    """
    # COCO's order of equal scores.
    together = sorted(zip(photos, pairings, errors, strict=True), key=lambda each: each[0].image["id"])
    labels = sorted({label for photo in photos for label in photo.object_classes.tolist()})
    if not labels:
        return None
    base = _mean_precision(together, labels, "")
    return {kind: max(0.0, _mean_precision(together, labels, kind) - base) for kind in KINDS}


def _mean_precision(
    together: Sequence[tuple[PhotoMatches, Pairing, PhotoErrors]], labels: Sequence[int], put_right: str
) -> float:
    """AP at IoU 0.5 over some classes, the errors of one kind put right."""
    scores, classes, right, objects = [], [], [], []
    for photo, pairing, errors in together:
        kept = ~np.isin(errors.kinds, ["", put_right] if put_right else [""])
        named = photo.detected_classes
        is_right = errors.kinds == "right"
        if put_right in ("place", "class"):
            free = pairing.detection_of(len(photo.objects)) == NONE
            named = named.copy()
            for detection in np.flatnonzero(errors.kinds == put_right):  # by falling score
                meant = errors.meant_for[detection]
                if free[meant]:
                    free[meant] = False
                    kept[detection] = is_right[detection] = True
                    named[detection] = photo.object_classes[meant]
        scores.append(photo.scores[kept])
        classes.append(named[kept])
        right.append(is_right[kept])
        objects.append(photo.object_classes[~errors.missed] if put_right == "missed" else photo.object_classes)
    scores, classes, right, objects = map(np.concatenate, (scores, classes, right, objects))
    order = np.argsort(-scores, kind="stable")
    classes, right = classes[order], right[order]
    return float(
        np.mean([average_precision(right[classes == label], int((objects == label).sum())) for label in labels])
    )


def average_precision(right: np.ndarray, objects: int) -> float:
    """COCO's AP: precision, made to fall with recall, at 101 recalls.

    Args:
        right: (N,) bool, the detections of a class by falling score.
        objects: of the class. Where there are none, an oracle has taken them: 0.
    """
    if not objects:
        return 0.0
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / objects, RECALLS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(places, len(precision))].mean())
