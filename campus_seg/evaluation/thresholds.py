"""Precision, recall and F1 of each class over score thresholds, and the threshold with the best F1."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np

from campus_seg.atomic_writes import write_json
from campus_seg.errors import ConfigError
from campus_seg.evaluation.matching import NONE, Pairing, PhotoMatches
from campus_seg.label_studio.raw import NO_JSON

THRESHOLDS_FILE = "thresholds.json"  # in OUTPUT_DIR
DEFAULT = 0.5  # for a class that has no best one
GRID = np.linspace(0, 1, 101)
NO_OBJECT = "no object of this class in these photos"
NONE_RIGHT = "no detection of this class is right"


@dataclass(frozen=True, eq=False)
class Ranking:
    """The detections in some photos.

    Attributes:
        scores: (N,) float64, falling; without those that do not count.
        right: (N,) bool, whether each is of an object of its class.
        labels: (N,) int, category ids.
        object_labels: (M,) int, those of all objects.
    """

    scores: np.ndarray
    right: np.ndarray
    labels: np.ndarray
    object_labels: np.ndarray

    @property
    def objects(self) -> int:
        """How many there are to be found."""
        return len(self.object_labels)

    def of(self, label: int) -> "Ranking":
        """Those of one class."""
        own = self.labels == label
        objects = self.object_labels[self.object_labels == label]
        return Ranking(self.scores[own], self.right[own], self.labels[own], objects)


def rank(photos: Sequence[PhotoMatches], pairings: Sequence[Pairing]) -> Ranking:
    """The detections of all photos together.

    Args:
        photos: their overlaps.
        pairings: of each photo, within classes.
    """
    pairs = list(zip(photos, pairings, strict=True))
    scores = _joined([photo.scores[pairing.counts] for photo, pairing in pairs], float)
    right = _joined([pairing.object_of[pairing.counts] != NONE for _, pairing in pairs], bool)
    labels = _joined([photo.detected_classes[pairing.counts] for photo, pairing in pairs], int)
    order = np.argsort(-scores, kind="stable")
    objects = _joined([photo.object_classes for photo in photos], int)
    return Ranking(scores[order], right[order], labels[order], objects)


def _joined(arrays: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, kind), *arrays])


def _figures(ranking: Ranking, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of the `kept` surest detections, for each of such numbers; NaN where undefined."""
    found = np.concatenate([[0], np.cumsum(ranking.right)])[kept]
    with np.errstate(invalid="ignore"):
        precision, recall = found / kept, found / np.float64(ranking.objects)
    return {"precision": precision, "recall": recall, "f1": 2 * found / np.maximum(kept + ranking.objects, 1)}


def score_curve(ranking: Ranking) -> dict[str, list[float | None]]:
    """Precision, recall and F1 at each threshold of GRID; detections count from the threshold on.

    Returns:
        101 values each; None where there is nothing to take a share of, and throughout where there is no object.
    """
    kept = np.searchsorted(-ranking.scores, -GRID, side="right")
    figures = _figures(ranking, kept)
    if not ranking.objects:
        figures = dict.fromkeys(figures, np.full(len(GRID), np.nan))
    return {name: [None if np.isnan(value) else float(value) for value in each] for name, each in figures.items()}


def best_threshold(ranking: Ranking) -> dict[str, Any]:
    """The threshold with the best F1; of several, the highest.

    It lies halfway between the last score that it keeps and the next, since scores of other photos are a little off. If
    it keeps all of them it is the last one: what the model finds below was in no evaluation.

    Returns:
        `threshold`, `f1`, `precision`, `recall` (None where there is none) and `reason` (why there is none, else None).
    """
    reason = None if ranking.right.any() else NONE_RIGHT if ranking.objects else NO_OBJECT
    if reason:
        return {"threshold": None, "f1": None, "precision": None, "recall": None, "reason": reason}
    scores = ranking.scores
    ends = np.append(np.flatnonzero(scores[1:] < scores[:-1]) + 1, len(scores))  # equal scores go together
    figures = _figures(ranking, ends)
    best = int(figures["f1"].argmax())
    end = ends[best]
    threshold = float(scores[end - 1] + scores[min(end, len(scores) - 1)]) / 2
    return {"threshold": threshold, **{name: float(each[best]) for name, each in figures.items()}, "reason": None}


class _Chosen(TypedDict):
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None


class _File(TypedDict):
    classes: dict[str, _Chosen]
    model: NotRequired[str | None]


class OtherModelError(ConfigError):
    """Thresholds that were chosen for another model."""


def write_thresholds(
    output_dir: Path, dataset_name: str, by_class: Mapping[str, Mapping[str, Any]], model: str | None = None
) -> None:
    """Writes a run's thresholds.json.

    Args:
        output_dir: the run's folder.
        dataset_name: on whose photos they were chosen.
        by_class: class name -> what `best_threshold` returned.
        model: for which they were chosen, as `file_digest` gives it; None where it is not known.
    """
    content = {"dataset": dataset_name, "model": model, "iou": 0.5, "classes": by_class}
    write_json(output_dir / THRESHOLDS_FILE, content)


def read_thresholds(
    output_dir: Path, model: str | None = None, classes: Collection[str] = ()
) -> dict[str, float | None]:
    """A run's thresholds by class name; None for a class that has none.

    Args:
        output_dir: the run's folder.
        model: that they are wanted for, as `file_digest` gives it; None = any.
        classes: names that it knows; () = any.

    Raises:
        OtherModelError: they were chosen for another model.
        ConfigError: the run has no such file, or something else stands in it.
    """
    path = output_dir / THRESHOLDS_FILE
    way_out = "evaluate the run on validation photos (train_net.py --config-file … --eval-only), or give numbers"
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ConfigError(f"{path}: the run's best thresholds cannot be read ({error.strerror}); {way_out}") from None
    except NO_JSON as error:
        raise ConfigError(f"{path}: not what an evaluation writes ({error}); {way_out}") from None
    if None not in (model, known := content.get("model")) and known != model:
        raise OtherModelError(f"{path}: these thresholds were chosen for other weights; {way_out}")
    unknown = [name for name in content["classes"] if classes and name not in classes]
    if unknown:
        raise ConfigError(f"{path}: has a class {unknown[0]}, the model knows {', '.join(classes)}; {way_out}")
    return {name: chosen["threshold"] for name, chosen in content["classes"].items()}
