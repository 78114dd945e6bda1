"""Whether one model is better than another on the same photos, or only had luck with them.

The photos that judge are a draw of all that could have been taken. So they are drawn again, many times, with some of
them twice and some not at all (the bootstrap: Efron 1979, https://doi.org/10.1214/aos/1176344552); how much the
difference of two models varies over these draws is what luck with photos can do. Both are judged by the same draw each
time, since a photo that is hard for one is mostly hard for the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.matching import NONE, RECALLS, PhotoMatches

IOUS = np.linspace(0.5, 0.95, 10)  # COCO's
DRAWS = 1000
SURE = 0.95  # share of the draws between the two ends of an interval
ROUNDING = 1e-6  # of an AP
FEWEST = 5  # photos with an object, below which draws of them say nothing of other photos
AT_ONCE = 4_000_000  # numbers in a temporary array


@dataclass(frozen=True)
class Difference:
    """How far the second model's AP is from the first's.

    Attributes:
        first: AP of 0 … 100.
        second: likewise.
        low: the lower end of the interval in which the difference lies in SURE of the draws.
        high: the upper end.
        photos: that have an object to judge by.
    """

    first: float
    second: float
    low: float
    high: float
    photos: int

    @property
    def value(self) -> float:
        """Second minus first."""
        return self.second - self.first

    @property
    def exceeds_noise(self) -> bool:
        """Whether the difference has the same sign in nearly all draws, of photos that are not too few."""
        return self.photos >= FEWEST and (self.low > ROUNDING or self.high < -ROUNDING)

    @property
    def verdict(self) -> str:
        """What to make of it, in words."""
        if self.photos < FEWEST:
            return f"too few photos to tell ({self.photos})"
        if not (self.value or self.low or self.high):
            return "no difference"
        if not self.exceeds_noise:
            return "within the noise"
        return "better" if self.value > 0 else "worse"


class BootstrapAP:
    """COCO's AP of a model on a set of photos, and on draws of them.

    Attributes:
        classes: category ids that have an object, ascending; the others are in no mean.
        objects_of: category id -> (N,) int, how many each photo has, photos in the order of their ids.
    """

    def __init__(self, photos: Sequence[PhotoMatches]):
        """Called with what `match_photos` gives; order and photos of two models have to be the same."""
        # COCO's own order, by which detections of equal score stand.
        self._photos = sorted(range(len(photos)), key=lambda place: photos[place].image["id"])
        ordered = [photos[place] for place in self._photos]
        objects = [photo.object_classes for photo in ordered]
        self.classes = sorted({int(category) for each in objects for category in each})
        self.objects_of = {
            category: np.array([(each == category).sum() for each in objects]) for category in self.classes
        }
        self._found = _by_class(ordered, self.classes)

    def by_class(self, draws: np.ndarray) -> np.ndarray:
        """AP of every class in every draw.

        Args:
            draws: (B, N) int, how often each photo is drawn.

        Returns:
            (B, K) float64 of 0 … 100; NaN where no object of the class is drawn.
        """
        draws = draws[:, self._photos].astype(np.int32)
        columns = [
            self._of_class(draws, self.objects_of[category], *self._found[category]) for category in self.classes
        ]
        return np.stack(columns, axis=1) if columns else np.zeros((len(draws), 0))

    def _of_class(self, draws: np.ndarray, objects: np.ndarray, owners: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """AP of one class.

        Args:
            draws: (B, N).
            objects: (N,) of the class in each photo.
            owners: (D,) the photo of each detection, all of them by falling score.
            kinds: (T, D) 1 where it is right at an IoU threshold, 0 where it is wrong, -1 where it does not count.
        """
        counts = draws @ objects
        result = np.zeros(len(draws))
        step = max(1, AT_ONCE // max(1, len(owners)))
        for start in range(0, len(draws), step):
            part = slice(start, start + step)
            weights = draws[part][:, owners]
            ranks = np.cumsum(weights, axis=1, dtype=np.int32)
            sums = [_area(weights, ranks, of_iou, counts[part]) for of_iou in kinds]
            result[part] = 100 * np.mean(sums, axis=0)
        return np.where(counts > 0, result, np.nan)


def _area(weights: np.ndarray, ranks: np.ndarray, kinds: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """COCO's mean of the precision at RECALLS, at one IoU threshold.

    Args:
        weights: (B, D) how often each detection is drawn, the surest first.
        ranks: (B, D) how many are drawn up to each.
        kinds: (D,) 1, 0 or -1.
        objects: (B,) there are.

    Returns:
        (B,) of 0 … 1.
    """
    right = np.flatnonzero(kinds == 1)
    counted = ranks[:, right]
    aside = np.flatnonzero(kinds == -1)
    if len(aside):
        before = np.cumsum(np.pad(weights[:, aside], ((0, 0), (1, 0))), axis=1)
        counted = counted - before[:, np.searchsorted(aside, right)]
    hits = np.cumsum(weights[:, right], axis=1, dtype=np.int32)
    # Precision falls from one right detection to the next, and what comes later may raise it for all before.
    precision = np.divide(hits, counted, out=np.zeros(hits.shape), where=counted > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, hits / np.maximum(objects, 1)[:, None], side="right")
    steps = np.diff(reached, axis=1, prepend=0)
    return (steps * precision).sum(axis=1) / len(RECALLS)


def _by_class(photos: Sequence[PhotoMatches], classes: Sequence[int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Category id -> the photo of each detection (D,) and what it is at each IoU (T, D), by falling score."""
    owners: dict[int, list[np.ndarray]] = {category: [] for category in classes}
    scores = {category: [] for category in classes}
    kinds = {category: [] for category in classes}
    for number, photo in enumerate(photos):
        pairings = [photo.pair(iou, across_classes=False) for iou in IOUS]
        states = np.array([np.where(each.object_of != NONE, 1, np.where(each.counts, 0, -1)) for each in pairings])
        for category in np.unique(photo.detected_classes).tolist():
            if category in owners:
                own = np.flatnonzero(photo.detected_classes == category)
                owners[category].append(np.full(len(own), number))
                scores[category].append(photo.scores[own])
                kinds[category].append(states[:, own])
    result = {}
    for category in classes:
        if not owners[category]:
            result[category] = np.zeros(0, int), np.zeros((len(IOUS), 0), int)
            continue
        order = np.argsort(-np.concatenate(scores[category]), kind="stable")
        result[category] = np.concatenate(owners[category])[order], np.concatenate(kinds[category], axis=1)[:, order]
    return result


def compare(
    first: Sequence[PhotoMatches], second: Sequence[PhotoMatches], draws: int = DRAWS, seed: int = 0
) -> tuple[Difference, dict[int, Difference]]:
    """Compares two models on the same photos with the same labels.

    Args:
        first: of `match_photos`.
        second: likewise, the same photos in the same order.
        draws: of as many photos as there are.
        seed: of the draws.

    Returns:
        The difference of AP over all classes, and category id -> that of its AP, of those that have an object.

    Raises:
        EvaluationError: there are no photos, or no objects in them.
    """
    if not any(len(photo.object_classes) for photo in first):
        raise EvaluationError("no photo with an object that both models were evaluated on; evaluate them on the same")
    rng = np.random.default_rng(seed)
    everyone = np.ones((1, len(first)), int)
    drawn = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), size=draws)
    counts = np.concatenate([everyone, drawn])
    models = [BootstrapAP(photos) for photos in (first, second)]
    figures = [model.by_class(counts) for model in models]
    having = {category: int(np.count_nonzero(each)) for category, each in models[0].objects_of.items()}
    by_class = {
        category: _difference(figures[0][:, place], figures[1][:, place], having[category])
        for place, category in enumerate(models[0].classes)
    }
    together = sum(len(photo.object_classes) > 0 for photo in first)
    return _difference(*(_mean(values) for values in figures), together), by_class


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the classes of which an object was drawn."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=1)
    return np.divide(total, known.sum(axis=1), out=np.full(len(values), np.nan), where=known.any(axis=1))


def _difference(first: np.ndarray, second: np.ndarray, photos: int) -> Difference:
    """Of figures of all photos, and then of each draw; one without an object shows no difference."""
    change = np.nan_to_num((second - first)[1:])
    tail = (1 - SURE) / 2
    low, high = np.quantile(change, (tail, 1 - tail))
    return Difference(float(first[0]), float(second[0]), float(low), float(high), photos)
