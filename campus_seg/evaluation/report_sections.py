"""The parts of a report that say how good a run is, each as the page takes it: plain values and pictures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from detectron2.config import CfgNode

from campus_seg.config import RUN_WEIGHTS
from campus_seg.data.datasets import dataset_name
from campus_seg.errors import WeightsError
from campus_seg.evaluation import charts, run_charts
from campus_seg.evaluation.loss_curves import losses_of
from campus_seg.evaluation.matching import PhotoMatches
from campus_seg.evaluation.report_photos import Album, Drawing, ranked_photos, shown_detections
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.evaluation.suspects import SuspectPhoto
from campus_seg.evaluation.thresholds import DEFAULT
from campus_seg.modeling.weights_file import read_checkpoint
from campus_seg.palette import class_colors
from campus_seg.storage import is_uri

MOST_SUSPECTS = 100  # photos in the page; suspects.json has all
PICTURED_SUSPECTS = 30
ROOM = {"suspects": 2_400_000, "classes": 2_600_000}  # bytes of photos in the page
PAIRS = 36  # photos for all classes together: four bad and two good of each, or fewer


def training_section(run: RunFiles, cfg: CfgNode) -> dict[str, Any] | None:
    """Losses, learning rate and time; None where the run was not trained in its folder.

    Returns:
        The charts `losses` and `schedule`, the `best` iteration or None, `iterations`, `minutes` of steps, and seconds
        of a `step`, None where none was timed.
    """
    rates = [line for line in run.metrics if "lr" in line]
    if not rates:
        return None
    kept = run.folder / RUN_WEIGHTS[0]
    best = kept_iteration(kept) if kept.is_file() else best_iteration(run.metrics, cfg.CAMPUS.BEST_METRIC)
    steps = np.diff([line["iteration"] for line in rates], prepend=-1)
    seconds = sum(max(0, step) * line.get("time", 0.0) for step, line in zip(steps.tolist(), rates, strict=True))
    times = [line["time"] for line in rates if "time" in line]
    return {
        "losses": run_charts.loss_chart(losses_of(run.metrics), best),
        "schedule": run_charts.schedule_chart(rates),
        "best": best,
        "iterations": rates[-1]["iteration"] + 1,
        "minutes": round(seconds / 60),
        "step": float(np.median(times)) if times else None,
    }


def kept_iteration(path: Path) -> int | None:
    """The iteration of a best model; None where the file cannot say."""
    try:
        return read_checkpoint(str(path)).get("iteration")
    except WeightsError:
        return None


def best_iteration(lines: Sequence[Mapping[str, Any]], metric: str) -> int | None:
    """The evaluation that was the best on the validation photos, where its model is gone; the first of equal ones."""
    is_loss = metric == "val/total_loss"
    name = metric if is_loss else f"{dataset_name('val')}/{metric}"
    judged = {line["iteration"]: line[name] for line in lines if name in line}
    if not judged:
        return None
    return min(judged, key=lambda iteration: (judged[iteration] * (1 if is_loss else -1), iteration))


def figures_section(analysis: Mapping[str, Any], validation: Mapping[str, Any] | None) -> dict[str, Any]:
    """The tables of one evaluated split.

    Args:
        analysis: of the split.
        validation: that of the validation photos, which chose the thresholds; None where they were not evaluated.

    Returns:
        `figures` and `accuracy` as in the analysis, `rows` by class, whether thresholds were `chosen`, and the classes
        for which they could not be and that `fell_back`.
    """
    chosen = analysis["thresholds"]["chosen_on"] == dataset_name("val")
    unknown = [each["name"] for each in (validation or {}).get("by_class", ()) if each["best"]["threshold"] is None]
    return {
        "figures": analysis["figures"],
        "accuracy": analysis["accuracy"],
        "rows": [_class_row(entry, place, analysis) for place, entry in enumerate(analysis["by_class"])],
        "chosen": chosen,
        "fell_back": [name for name in unknown if chosen and analysis["thresholds"]["by_class"].get(name) == DEFAULT],
    }


def chart_section(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """The charts of one evaluated split.

    Returns:
        `titled`: those of one size by their titles; and the `confusion` matrix.
    """
    colors = class_colors(len(analysis["classes"]))
    titled = {
        "Precision and recall": charts.precision_recall_chart(analysis, colors),
        "F1 over the score threshold": charts.f1_chart(analysis, colors),
        "AP by size of the object": charts.size_chart(analysis),
        "Reliability of scores": charts.calibration_chart(analysis),
    }
    if analysis["errors"]["costs"]:
        titled["What errors cost"] = charts.error_chart(analysis)
    return {"titled": titled, "confusion": charts.confusion_chart(analysis)}


def _class_row(entry: Mapping[str, Any], place: int, analysis: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a class; precision and recall are those at its threshold in use."""
    matrix = np.array(analysis["confusion"]["matrix"])
    right, detected, objects = matrix[place, place], matrix[:, place].sum(), matrix[place].sum()
    return {
        "name": entry["name"],
        "reason": entry["reason"],
        "objects": entry["objects"],
        "segm": entry["figures"]["segm"],
        "bbox": entry["figures"]["bbox"],
        "threshold": analysis["thresholds"]["by_class"][entry["name"]],
        "precision": right / detected if detected else None,
        "recall": right / objects if objects else None,
        "f1": 2 * right / (detected + objects) if detected + objects else None,
        "quality": entry["quality"],
    }


def suspects_section(
    run: RunFiles, found: Mapping[str, Sequence[SuspectPhoto]], drawing: Drawing, thresholds: Mapping[int, float]
) -> dict[str, Any]:
    """Suspected label errors by photo, the most suspicious first.

    Args:
        run: gives the photos.
        found: split -> what `find_suspects` gave of it.
        drawing: of objects.
        thresholds: category id -> the score from which on a detection is drawn.

    Returns:
        Photos that are `pictured` and those that are only `listed` (`name`, `task`, `split`, `said`, `pictures`), how
        many `more` there are, the number of `suspects`, of `all_photos` with one, and of those `searched` by split.
    """
    together = [(split, photo) for split, photos in found.items() for photo in photos]
    together.sort(key=lambda each: each[1].suspects[0].place)
    entries = []
    for split, suspect in together[:MOST_SUSPECTS]:
        image = suspect.photo.image
        said = [one.say(drawing.names) for one in suspect.suspects]
        entry = {"name": shown_name(image), "task": image.get("task"), "split": split, "said": said}
        entries.append({**entry, "pictures": ()})
    draws = []
    for _, suspect in together[:PICTURED_SUSPECTS]:
        marks = [one.box for one in suspect.suspects]
        also = [one.found for one in suspect.suspects if one.found]
        draws.append(_pair(run, suspect.photo, drawing, shown_detections(suspect.photo, thresholds, also), marks))
    for entry, pair in zip(entries, Album(ROOM["suspects"]).add(draws), strict=False):
        entry["pictures"] = pair
    return {
        "pictured": [entry for entry in entries if entry["pictures"]],
        "listed": [entry for entry in entries if not entry["pictures"]],
        "more": len(together) - len(entries),
        "suspects": sum(len(photo.suspects) for _, photo in together),
        "all_photos": len(together),
        "searched": {split: len(run.truths[split]["images"]) for split in found},
    }


def classes_section(
    run: RunFiles, photos: Sequence[PhotoMatches], drawing: Drawing, thresholds: Mapping[int, float]
) -> dict[str, Any]:
    """The worst and the best photos of each class.

    Args:
        run: gives the photos.
        photos: of the split that judges.
        drawing: of objects.
        thresholds: category id -> the score from which on a detection counts.

    Returns:
        `by_class`, the class that comes off worst first: `name`, and `rows` of photos (`name`, `quality`, `pictures`);
        and the `album` that counted those without pictures.
    """
    album = Album(ROOM["classes"])
    pairings = [photo.pair(least_scores=thresholds, across_classes=False) for photo in photos]
    ranked = {number: ranked_photos(photos, pairings, number) for number in drawing.names}
    ranked = {number: rated for number, rated in ranked.items() if rated}
    worst = 4 if len(ranked) * 6 <= PAIRS else 2 if len(ranked) * 3 <= PAIRS else 1
    entries = []
    for number, rated in sorted(ranked.items(), key=lambda each: np.mean([quality for quality, _ in each[1]])):
        rows = {"Worst": rated[:worst], "Best": rated[worst:][::-1][: max(1, worst // 2)]}
        entry = {"name": drawing.names[number], "rows": {}}
        for title, chosen in rows.items():
            pairs = album.add([_pair(run, photo, drawing, shown_detections(photo, thresholds)) for _, photo in chosen])
            entry["rows"][title] = [
                {"name": shown_name(photo.image), "quality": quality, "pictures": pair}
                for (quality, photo), pair in zip(chosen, pairs, strict=True)
            ]
        entries.append(entry)
    return {"by_class": entries, "album": album}


def shown_name(image: Mapping[str, Any]) -> str:
    """What a photo is called in the page: of one that lies elsewhere, its name and that of its folder."""
    path = PurePath(image["file_name"])
    return str(PurePath(*path.parts[-2:])) if path.is_absolute() or is_uri(image["file_name"]) else image["file_name"]


def _pair(
    run: RunFiles,
    photo: PhotoMatches,
    drawing: Drawing,
    detections: Sequence[dict],
    marks: Sequence[Sequence[float]] = (),
) -> Callable[[], list[tuple[np.ndarray, str]]]:
    """What draws the two pictures of a photo, for an album: labels, and what was found."""
    sides = {"Labelled": [*photo.objects, *photo.crowds], "Found": detections}
    return partial(drawing.draw, run.photo(photo.image), sides, marks)
