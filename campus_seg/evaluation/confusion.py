"""What is taken for what, and how many objects of each size are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from campus_seg.evaluation.matching import NONE, Pairing, PhotoMatches

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}  # COCO's, by area in pixels


def confusion_matrix(
    photos: Sequence[PhotoMatches], pairings: Sequence[Pairing], class_ids: Sequence[int]
) -> np.ndarray:
    """How often an object of one class was taken for one of another, was missed, or was none.

    Args:
        photos: their overlaps.
        pairings: of each photo, also across classes.
        class_ids: the category ids in the order of rows and columns.

    Returns:
        (K + 1, K + 1) int64: a row for each class of objects, then "background", where there is no object; a column
        for each detected class, then "missed".
    """
    places = {label: place for place, label in enumerate(class_ids)}
    last = len(places)
    matrix = np.zeros((last + 1, last + 1), np.int64)
    for photo, pairing in zip(photos, pairings, strict=True):
        objects = np.array([places[label] for label in photo.object_classes.tolist()] + [last])
        detected = np.array([places[label] for label in photo.detected_classes.tolist()], np.int64)
        np.add.at(matrix, (objects[pairing.object_of[pairing.counts]], detected[pairing.counts]), 1)  # NONE is the last
        missed = pairing.detection_of(len(photo.objects)) == NONE
        np.add.at(matrix, (objects[:-1][missed], last), 1)
    return matrix


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of some photos.

    Attributes:
        labels: (M,) int, category ids.
        areas: (M,) float64, pixels.
        found: (M,) bool, whether a detection of its class belongs to each.
    """

    labels: np.ndarray
    areas: np.ndarray
    found: np.ndarray

    def of(self, label: int) -> "Objects":
        """Those of one class."""
        own = self.labels == label
        return Objects(self.labels[own], self.areas[own], self.found[own])

    def share_found(self) -> dict[str, Any]:
        """How many `objects` there are, how many are `found`, and the `share`, None where there is no object.

        Of all objects, this is what the project of 2023 called its accuracy.
        """
        objects, found = len(self.found), int(self.found.sum())
        return {"objects": objects, "found": found, "share": found / objects if objects else None}

    def by_size(self) -> dict[str, dict[str, Any]]:
        """`share_found` for each of COCO's sizes."""
        result = {}
        for size, (least, most) in SIZES.items():
            own = (self.areas >= least) & (self.areas < most)
            result[size] = Objects(self.labels[own], self.areas[own], self.found[own]).share_found()
        return result


def gather_objects(photos: Sequence[PhotoMatches], pairings: Sequence[Pairing]) -> Objects:
    """The objects of all photos together.

    Args:
        photos: their overlaps.
        pairings: of each photo.
    """
    labels, areas, found = [np.zeros(0, int)], [np.zeros(0)], [np.zeros(0, bool)]
    for photo, pairing in zip(photos, pairings, strict=True):
        labels.append(photo.object_classes)
        areas.append(np.array([entry["area"] for entry in photo.objects], float))
        detection_of = pairing.detection_of(len(photo.objects))
        of_class = np.append(photo.detected_classes, NONE)[detection_of] == photo.object_classes
        found.append((detection_of != NONE) & of_class)
    return Objects(np.concatenate(labels), np.concatenate(areas), np.concatenate(found))
