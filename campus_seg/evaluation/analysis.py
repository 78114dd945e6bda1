"""All that is said about a model on some photos, as plain JSON: analysis.json beside COCO's own figures.

AP and its kin, and what errors cost, are points of 0 … 100, as in metrics.json; scores, precision and the like are
0 … 1. What cannot be said is null, and `reason` says why. All but COCO's figures is about masks at IoU 0.5.

    dataset, photos, objects, detections (of each class the 100 surest in a photo, as of COCOeval),
    classes (names, in the order of their ids)
    figures          {"bbox" and "segm": {AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl}}
    accuracy         objects found as what they are, by detections of any score: {objects, found, share}
    thresholds       {chosen_on: a dataset, by_class: {name: the score from which on detections count below}}
    at_thresholds    accuracy again, with these
    sizes            {small, medium, large: {objects, found, share}}, with these
    confusion        {rows: classes and "background", columns: classes and "missed", matrix}, with these
    curve            precision, recall and F1 at the thresholds 0.00, 0.01 … 1.00: {precision, recall, f1: 101 values}
    calibration      {ece, bins: [{low, high, detections, score, right}]}
    quality          of masks that are right: {pairs, iou, boundary_iou}
    errors           {counts: {kind: number}, costs: {kind: points of AP50}}, kinds as in error_split.py
    by_class         a list of {name, reason, objects, photos (with such an object), detections,
                     figures (without recall), accuracy, at_thresholds, sizes, curve, calibration, quality,
                     errors (their counts), best: {threshold, f1, precision, recall, reason},
                     precision_recall: {"0.50", "0.75" and "mean" over IoU: precision at the recalls 0.00, 0.01 … 1.00}}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from campus_seg.evaluation.calibration import calibration
from campus_seg.evaluation.cocoeval import SHAPES, CocoFigures, coco_figures
from campus_seg.evaluation.confusion import confusion_matrix, gather_objects
from campus_seg.evaluation.error_split import KINDS, count_errors, error_costs, find_errors
from campus_seg.evaluation.matching import PhotoMatches, match_photos
from campus_seg.evaluation.quality import pair_quality
from campus_seg.evaluation.thresholds import DEFAULT, NO_OBJECT, best_threshold, rank, score_curve

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def analyse(
    truth: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    dataset: str = "",
    thresholds: Mapping[str, float | None] | None = None,
    chosen_on: str = "",
    backend: str = "hotcoco",
) -> dict[str, Any]:
    """Finds out what there is to say about predictions.

    Args:
        truth: a COCO file's `images`, `annotations` and `categories`.
        results: COCO results with boxes and masks; see `predictions.read_predictions` for those of a file.
        dataset: the name of the photos.
        thresholds: class name -> the score from which on detections count; None for a class stands for
            DEFAULT. None = those with the best F1 on these photos.
        chosen_on: the dataset that the thresholds are from.
        backend: for COCO's figures.

    Returns:
        What analysis.json holds, see above.

    Raises:
        EvaluationError: predictions of other photos or classes.
    """
    photos = match_photos(truth, results)
    within = [photo.pair(across_classes=False) for photo in photos]
    names = {category["id"]: category["name"] for category in sorted(truth["categories"], key=lambda each: each["id"])}
    ranking = rank(photos, within)
    best = {label: best_threshold(ranking.of(label)) for label in names}
    if thresholds is None:
        thresholds, chosen_on = {name: best[label]["threshold"] for label, name in names.items()}, dataset
    least = {label: thresholds.get(name) for label, name in names.items()}
    least = {label: DEFAULT if value is None else value for label, value in least.items()}
    across = [photo.pair(least_scores=least) for photo in photos]
    errors = [find_errors(photo, pairing) for photo, pairing in zip(photos, within, strict=True)]
    counts = count_errors(photos, errors)
    costs = error_costs(photos, within, errors)
    quality = pair_quality(photos, within)
    figures = {task: coco_figures(truth, results, task, backend) for task in SHAPES}

    found, found_at = gather_objects(photos, within), gather_objects(photos, across)

    def about(label: int | None) -> dict[str, Any]:
        of_label = [each if label is None else each.of(label) for each in (ranking, found, found_at)]
        kinds = counts.values() if label is None else [counts.get(label, {})]
        return {
            "accuracy": of_label[1].share_found(),
            "at_thresholds": of_label[2].share_found(),
            "sizes": of_label[2].by_size(),
            "curve": score_curve(of_label[0]),
            "calibration": calibration(of_label[0]),
            "quality": quality.mean(label),
            "errors": {"counts": {kind: sum(each.get(kind, 0) for each in kinds) for kind in KINDS}},
        }

    whole = about(None)
    whole["errors"]["costs"] = costs and {kind: 100 * cost for kind, cost in costs.items()}
    return {
        "dataset": dataset,
        "photos": len(photos),
        "objects": sum(len(photo.objects) for photo in photos),
        "detections": sum(len(photo.detections) for photo in photos),
        "classes": list(names.values()),
        "figures": {task: _points(FIGURES, each.stats) for task, each in figures.items()},
        "thresholds": {"chosen_on": chosen_on, "by_class": {names[label]: value for label, value in least.items()}},
        "confusion": {
            "rows": [*names.values(), "background"],
            "columns": [*names.values(), "missed"],
            "matrix": confusion_matrix(photos, across, list(names)).tolist(),
        },
        **whole,
        "by_class": [
            {
                "name": name,
                **_presence(photos, label),
                "figures": {task: _class_figures(each, place) for task, each in figures.items()},
                "best": best[label],
                "precision_recall": _precision_recall(figures["segm"], place),
                **about(label),
            }
            for place, (label, name) in enumerate(names.items())
        ],
    }


def _presence(photos: Sequence[PhotoMatches], label: int) -> dict[str, Any]:
    objects = [int((photo.object_classes == label).sum()) for photo in photos]
    return {
        "reason": None if any(objects) else NO_OBJECT,
        "objects": sum(objects),
        "photos": sum(count > 0 for count in objects),
        "detections": sum(int((photo.detected_classes == label).sum()) for photo in photos),
    }


def _points(names: Sequence[str], values: Sequence[float]) -> dict[str, float | None]:
    """COCO's figures in points; -1, where it has no ground truth to stand on, becomes None."""
    return {name: 100 * float(value) if value > -1 else None for name, value in zip(names, values, strict=True)}


def _class_figures(figures: CocoFigures, place: int) -> dict[str, float | None]:
    precision = figures.eval["precision"][:, :, place, :, -1]  # (T, R, A)
    parts = [precision[..., 0], precision[0, :, 0], precision[5, :, 0], *(precision[..., size] for size in (1, 2, 3))]
    return _points(FIGURES[:6], [part[part > -1].mean() if (part > -1).any() else -1 for part in parts])


def _precision_recall(figures: CocoFigures, place: int) -> dict[str, list[float]] | None:
    precision = figures.eval["precision"][:, :, place, 0, -1]  # (T, R)
    if precision[0, 0] < 0:
        return None
    return {"0.50": precision[0].tolist(), "0.75": precision[5].tolist(), "mean": precision.mean(axis=0).tolist()}
