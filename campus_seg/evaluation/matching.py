"""Which detection is of which object: the one base of all that is said about a model beyond COCO's AP.

Overlaps are taken once, of all detections of a photo with all its objects whatever their class. Who belongs to whom is
then worked out anew for each IoU threshold and each least score that is asked for.

hotcoco counts much of this, too. Its COCOeval returns counts, and what is said here needs the places of pairs, by the
thresholds of each class; and `hotcoco.metrics`, which takes matches, is provisional by its own word.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle_tools

from campus_seg.errors import EvaluationError

NONE = -1  # stands for no object
MOST = 100  # detections of a class in a photo, by falling score; COCOeval knows no others
RECALLS = np.linspace(0, 1, 101)  # at which COCO's AP takes the precision


@dataclass(frozen=True, eq=False)
class Pairing:
    """Who belongs to whom in one photo.

    Attributes:
        object_of: (D,) int, for each detection the place of its object, or NONE.
        counts: (D,) bool, whether the detection counts at all: its score is high enough, and it does not lie in a
            crowd of its class instead of on an object. Those that do not count have no object.
    """

    object_of: np.ndarray
    counts: np.ndarray

    @property
    def pairs(self) -> np.ndarray:
        """(P, 2) int: the places of detection and object of each pair, by falling score."""
        detections = np.flatnonzero(self.object_of != NONE)
        return np.stack([detections, self.object_of[detections]], axis=1)

    def detection_of(self, objects: int) -> np.ndarray:
        """(G,) int: for each of so many objects the place of its detection, or NONE."""
        result = np.full(objects, NONE)
        detections, found = self.pairs.T
        result[found] = detections
        return result


@dataclass(frozen=True, eq=False)
class PhotoMatches:
    """The detections and objects of one photo, and how far they overlap.

    D detections, of each class at most MOST, stand by falling score, those of equal score as they were given; G objects
    and C crowds as in the file. Classes are the file's category ids.

    Attributes:
        image: the photo's entry in the COCO file.
        detections: D COCO results.
        objects: G annotations that are no crowds.
        crowds: C annotations with `iscrowd`.
        scores: (D,) float64.
        detected_classes: (D,) int.
        object_classes: (G,) int.
        crowd_classes: (C,) int.
        ious: (D, G) float64.
        crowd_overlaps: (D, C) float64, the share of each detection that lies in each crowd.
    """

    image: dict[str, Any]
    detections: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    crowds: list[dict[str, Any]]
    scores: np.ndarray
    detected_classes: np.ndarray
    object_classes: np.ndarray
    crowd_classes: np.ndarray
    ious: np.ndarray
    crowd_overlaps: np.ndarray

    def pair(
        self, iou: float = 0.5, least_scores: Mapping[int, float] | None = None, across_classes: bool = True
    ) -> Pairing:
        """Pairs detections with objects.

        First within each class, as COCO does: by falling score, each detection takes that of the free objects which it
        overlaps most. So a pair of one class is a true positive of COCOeval. Then, likewise, what is left: a detection
        and an object of different classes.

        Args:
            iou: the least overlap of a pair.
            least_scores: category id -> the score from which on its detections count; None = all do.
            across_classes: whether what is left is paired, too.
        """
        of_class = self.detected_classes[:, None] == self.object_classes[None]
        counts = np.ones(len(self.scores), bool)
        if least_scores is not None:
            counts = self.scores >= [least_scores[label] for label in self.detected_classes.tolist()]
        object_of = np.full(len(self.scores), NONE)
        _take(object_of, np.where(counts[:, None] & of_class, self.ious, 0.0), iou)
        in_crowd = self.crowd_overlaps * (self.detected_classes[:, None] == self.crowd_classes[None]) >= iou
        counts &= (object_of != NONE) | ~in_crowd.any(axis=1)
        if across_classes:
            _take(object_of, np.where(counts[:, None] & ~of_class, self.ious, 0.0), iou)
        return Pairing(object_of, counts)


def _take(object_of: np.ndarray, overlaps: np.ndarray, least: float) -> None:
    """Gives detections, in their order, a free object each, in place.

    Of objects that a detection overlaps equally it takes the last, as COCOeval does.
    """
    free = np.ones(overlaps.shape[1], bool)
    free[object_of[object_of != NONE]] = False
    allowed = (overlaps >= least) & (object_of == NONE)[:, None] & free
    for detection in np.flatnonzero(allowed.any(axis=1)):
        row = np.where(allowed[detection] & free, overlaps[detection], 0.0)[::-1]
        best = int(row.argmax())
        if row[best] > 0:
            best = len(row) - 1 - best
            object_of[detection] = best
            free[best] = False


def match_photos(
    truth: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]], iou_type: str = "segm"
) -> list[PhotoMatches]:
    """The overlaps of every detection with every object of its photo.

    Args:
        truth: a COCO file's `images`, `annotations` and `categories`.
        predictions: COCO results: `image_id`, `category_id`, `score`, and `segmentation` (an RLE) or `bbox`.
        iou_type: "segm" for masks, "bbox" for boxes (XYWH, pixels).

    Returns:
        One for each photo, also those without objects or detections, in the file's order.

    Raises:
        EvaluationError: a prediction of a photo or class that `truth` does not have.
    """
    objects, detections = defaultdict(list), defaultdict(list)
    for annotation in truth["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    for prediction in predictions:
        detections[prediction["image_id"]].append(prediction)
    check_ids(truth, predictions)
    return [_match(image, objects[image["id"]], detections[image["id"]], iou_type) for image in truth["images"]]


def check_ids(
    truth: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]], what: str = "the ground truth"
) -> None:
    """Makes sure that predictions are of photos and classes that `truth` has.

    Args:
        truth: with `images` and `categories`.
        predictions: with `image_id` and `category_id`.
        what: `truth` is called.

    Raises:
        EvaluationError: one is not.
    """
    for key, part in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in truth[part]}
        unknown = sorted({prediction[key] for prediction in predictions} - known)
        if unknown:
            raise EvaluationError(
                f"a prediction has {key} {unknown[0]}, which {what} does not have; give predictions of the same photos "
                "and classes"
            )


def _match(image: dict[str, Any], annotations: list[dict], predictions: list[dict], iou_type: str) -> PhotoMatches:
    scores = np.array([prediction["score"] for prediction in predictions], np.float64)
    order = np.argsort(-scores, kind="stable")
    labels = _classes(predictions)[order]
    kept = np.zeros(len(order), bool)
    for label in np.unique(labels):
        kept[np.flatnonzero(labels == label)[:MOST]] = True
    order = order[kept]
    detections = [predictions[place] for place in order]
    crowd = np.array([bool(annotation.get("iscrowd")) for annotation in annotations], bool)
    overlaps = np.zeros((len(detections), len(annotations)))
    if overlaps.size:
        size = (image["height"], image["width"]) if iou_type == "segm" else None
        found, known = ([shape_of(entry, size) for entry in entries] for entries in (detections, annotations))
        overlaps = rle_tools.iou(found, known, crowd)
    objects = [annotation for annotation, is_crowd in zip(annotations, crowd, strict=True) if not is_crowd]
    crowds = [annotation for annotation, is_crowd in zip(annotations, crowd, strict=True) if is_crowd]
    return PhotoMatches(
        image=image,
        detections=detections,
        objects=objects,
        crowds=crowds,
        scores=scores[order],
        detected_classes=_classes(detections),
        object_classes=_classes(objects),
        crowd_classes=_classes(crowds),
        ious=overlaps[:, ~crowd],
        crowd_overlaps=overlaps[:, crowd],
    )


def _classes(entries: list[dict]) -> np.ndarray:
    return np.array([entry["category_id"] for entry in entries], np.int64)


def shape_of(entry: Mapping[str, Any], size: tuple[int, int] | None) -> Any:
    """The mask of an annotation or a prediction as a compressed RLE, or its box (XYWH) where no size is given.

    Args:
        entry: with `segmentation` (polygons or an RLE of either form) or `bbox`.
        size: the photo's (height, width) in pixels.
    """
    if size is None:
        return entry["bbox"]
    shape = entry["segmentation"]
    if isinstance(shape, dict):
        return rle_tools.frPyObjects(shape, *size) if isinstance(shape["counts"], list) else shape
    return rle_tools.merge(rle_tools.frPyObjects(shape, *size))
