"""Labels that are likely wrong, by what the model says of them: where a team should look first.

The model has learned from many labels at once, so that a single wrong one stands out where it is sure of something
else. It is no judge: each of these is a place to look at.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle_tools

from campus_seg.evaluation.matching import NONE, PhotoMatches

KINDS = {  # kind -> what it means, for a label named {label} and a detection named {found}
    "missing": "{found} found where nothing is labelled",
    "class": "labelled {label}, found as {found}",
    "place": "the label {label} lies beside what is found",
    "unseen": "nothing found at the label {label}",
}
SAME = 0.5  # overlap from which on a detection and a label are of one object
APART = 0.1  # overlap below which they have nothing to do with each other
LEAST_SUSPICION = 0.5  # of all kinds but "unseen"
LEAST_SCORE = 0.05  # of a detection that shows that the model sees something
MOST_UNSEEN = 0.2  # labels of a class that may be "unseen"; beyond it the model is to blame
# How often a label is of nothing, before anything is known of it; only the order of the list depends on it.
LABEL_OF_NOTHING = 0.02


@dataclass(frozen=True)
class Suspect:
    """One place where label and model disagree.

    Attributes:
        kind: one of KINDS.
        suspicion: how likely the label is at fault, 0 … 1; good for an order, no probability.
        found: the detection, a COCO result, or None.
        label: the label, a COCO annotation, or None.
    """

    kind: str
    suspicion: float
    found: dict[str, Any] | None
    label: dict[str, Any] | None

    @property
    def place(self) -> tuple[bool, float]:
        """Sorts suspects: the most suspicious first, and after all others what the model never finds."""
        return self.kind == "unseen", -self.suspicion

    @property
    def box(self) -> list[float]:
        """Where to look: XYWH in the photo's pixels, around detection and label."""
        boxes = np.array([shape["bbox"] for shape in (self.found, self.label) if shape], float)
        low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        return [*low.tolist(), *(high - low).tolist()]

    def say(self, names: Mapping[int, str]) -> str:
        """What is suspected, in words; `names` are those of the category ids."""
        words = {key: names[shape["category_id"]] for key, shape in self._shapes()}
        score = f" ({100 * self.found['score']:.0f} %)" if self.found else ""
        return KINDS[self.kind].format(**words) + score

    def as_dict(self, names: Mapping[int, str]) -> dict[str, Any]:
        """For programs; `annotation` is the label's id in the run's COCO file."""
        classes = {key: names[shape["category_id"]] for key, shape in self._shapes()}
        return {
            "kind": self.kind,
            "suspicion": round(self.suspicion, 4),
            "found": classes.get("found"),
            "score": self.found and round(self.found["score"], 4),
            "label": classes.get("label"),
            "annotation": self.label and self.label["id"],
            "bbox": [round(value, 1) for value in self.box],
        }

    def _shapes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from ((key, shape) for key, shape in (("found", self.found), ("label", self.label)) if shape)


@dataclass(frozen=True)
class SuspectPhoto:
    """A photo with what is suspected on it, the most suspicious first."""

    photo: PhotoMatches
    suspects: list[Suspect]

    def as_dict(self, names: Mapping[int, str]) -> dict[str, Any]:
        """For programs; `task` is Label Studio's, null where the export did not say."""
        image = self.photo.image
        entry = {"file_name": image["file_name"], "task": image.get("task")}
        return {**entry, "suspects": [suspect.as_dict(names) for suspect in self.suspects]}


def find_suspects(photos: Sequence[PhotoMatches]) -> list[SuspectPhoto]:
    """The photos with labels that are likely wrong, by their first suspect; see `Suspect.place`.

    - "missing": a detection that overlaps no label. As suspicious as it is sure.
    - "class": a label that a detection of another class overlaps by half or more. The more suspicious, the surer that
      one is than any detection of the label's own class there.
    - "place": a detection and a label of one class, next to each other, and no other detection or label there. The
      more suspicious, the surer it is and the less they overlap.
    - "unseen": a label that no detection overlaps, of a class of which nearly all are found. The more suspicious, the
      more are.

    Args:
        photos: of `match_photos`, with masks.
    """
    overlaps = [np.maximum(photo.ious, _box_overlaps(photo.detections, photo.objects)) for photo in photos]
    unseen = [
        ~(each[photo.scores >= LEAST_SCORE] >= APART).any(axis=0) for photo, each in zip(photos, overlaps, strict=True)
    ]
    chances = _chances_of_nothing(photos, unseen)
    result = []
    for photo, *seen in zip(photos, overlaps, unseen, strict=True):
        suspects = [*_of_photo(photo, *seen, chances)]
        if suspects:
            result.append(SuspectPhoto(photo, sorted(suspects, key=lambda one: one.place)))
    return sorted(result, key=lambda one: one.suspects[0].place)


def _of_photo(
    photo: PhotoMatches, overlaps: np.ndarray, unseen: np.ndarray, chances: Mapping[int, float]
) -> Iterator[Suspect]:
    for suspect in _doubted(photo, overlaps):
        if suspect.suspicion >= LEAST_SUSPICION:
            yield suspect
    for label in np.flatnonzero(unseen).tolist():
        category = int(photo.object_classes[label])
        if category in chances:
            yield Suspect("unseen", chances[category], None, photo.objects[label])


def _doubted(photo: PhotoMatches, overlaps: np.ndarray) -> Iterator[Suspect]:
    """Where the model is more or less sure of something else."""
    pairing = photo.pair(SAME, across_classes=False)
    object_of, detection_of = pairing.object_of, pairing.detection_of(len(photo.objects))
    in_crowd = (photo.crowd_overlaps >= SAME).any(axis=1)
    told: set[int] = set()  # detections that need no further word
    for label in range(len(photo.objects)):
        suspect = _other_class(photo, label, object_of, detection_of)
        if suspect is None and detection_of[label] == NONE:
            suspect = _beside(photo, label, object_of, overlaps)
        if suspect:
            told.add(suspect[0])
            yield suspect[1]
    alone = [d for d in np.flatnonzero(overlaps.max(axis=1, initial=0) < APART) if not in_crowd[d] and d not in told]
    for place in _strongest([photo.detections[d] for d in alone]):
        yield Suspect("missing", float(photo.scores[alone[place]]), photo.detections[alone[place]], None)


def _other_class(
    photo: PhotoMatches, label: int, object_of: np.ndarray, detection_of: np.ndarray
) -> tuple[int, Suspect] | None:
    """The surest detection of another class on a label, where it is surer than that of the label's own."""
    others = (photo.ious[:, label] >= SAME) & (photo.detected_classes != photo.object_classes[label])
    others &= object_of == NONE  # a detection that belongs to a label of its own class is of that object
    if not others.any():
        return None
    detection = int(np.flatnonzero(others)[0])
    own = photo.scores[detection_of[label]] if detection_of[label] != NONE else 0.0
    suspicion = float(photo.scores[detection] - own)
    return detection, Suspect("class", suspicion, photo.detections[detection], photo.objects[label])


def _beside(photo: PhotoMatches, label: int, object_of: np.ndarray, overlaps: np.ndarray) -> tuple[int, Suspect] | None:
    """The surest detection of a label's class that overlaps it a little and belongs to no label."""
    near = (overlaps[:, label] >= APART) & (photo.detected_classes == photo.object_classes[label])
    near &= object_of == NONE
    if not near.any():
        return None
    detection = int(np.flatnonzero(near)[0])
    apart = 1 - overlaps[detection, label]
    suspicion = float(photo.scores[detection] * apart)
    return detection, Suspect("place", suspicion, photo.detections[detection], photo.objects[label])


def _chances_of_nothing(photos: Iterable[PhotoMatches], unseen: Iterable[np.ndarray]) -> dict[int, float]:
    """Category id -> how likely a label at which nothing is found is of nothing, by Bayes' rule.

    A label of an object is not found as often as its class is missed; one of nothing is never found. Classes that are
    missed more often than MOST_UNSEEN are left out.
    """
    labels: Counter = Counter()
    lost: Counter = Counter()
    for photo, gone in zip(photos, unseen, strict=True):
        labels.update(photo.object_classes.tolist())
        lost.update(photo.object_classes[gone].tolist())
    missed = {category: (lost[category] + 1) / (count + 2) for category, count in labels.items()}
    return {
        category: LABEL_OF_NOTHING / (LABEL_OF_NOTHING + (1 - LABEL_OF_NOTHING) * share)
        for category, share in missed.items()
        if share <= MOST_UNSEEN
    }


def _box_overlaps(detections: Sequence[dict], objects: Sequence[dict]) -> np.ndarray:
    """(D, G) IoU of boxes: those of thin objects agree where their masks, pixel by pixel, hardly do."""
    if not (detections and objects):
        return np.zeros((len(detections), len(objects)))
    boxes = ([entry["bbox"] for entry in entries] for entries in (detections, objects))
    return rle_tools.iou(*boxes, [False] * len(objects))


def _strongest(detections: Sequence[dict]) -> list[int]:
    """Of detections by falling score, whatever their class, the places of those that no surer one overlaps."""
    overlaps = _box_overlaps(detections, detections)
    kept: list[int] = []
    for place in range(len(detections)):
        if not (overlaps[place, kept] >= SAME).any():
            kept.append(place)
    return kept
