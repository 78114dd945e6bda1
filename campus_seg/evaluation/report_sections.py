"""The parts of a report, each as the page takes it: plain values and pictures."""

import importlib.metadata
import logging
import platform
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from campus_seg.config import CONFIG_FILE
from campus_seg.data.datasets import dataset_name, register_datasets
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.splits import SPLITS
from campus_seg.errors import CampusError
from campus_seg.evaluation import charts, run_charts
from campus_seg.evaluation.loss_curves import read_losses
from campus_seg.evaluation.matching import PhotoMatches
from campus_seg.evaluation.report_photos import SIDE, Album, Drawing, object_sides, ranked_photos, shown_detections
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.evaluation.suspects import SuspectPhoto
from campus_seg.inference.contact_sheet import evenly_spaced
from campus_seg.inference.labelled import draw_augmented
from campus_seg.label_studio.report import ImportReport
from campus_seg.metrics_file import METRICS_FILE
from campus_seg.palette import class_colors

logger = logging.getLogger(__name__)

MOST_SUSPECTS = 100  # photos in the page; suspects.json has all
PICTURED_SUSPECTS = 30
ROOM = {"suspects": 2_400_000, "classes": 2_600_000, "augmented": 600_000}  # bytes of photos in the page
PAIRS = 36  # photos for all classes together: four bad and two good of each, or fewer
AUGMENTED = 8
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "albumentations", "pycocotools", "hotcoco")
DETECTRON2 = ("detectron2", "sal-detectron2")  # as upstream's build and the one of PyPI are called


def training_section(run: RunFiles, cfg: CfgNode) -> dict[str, Any] | None:
    """Losses, learning rate and time; None where the run was not trained in its folder."""
    rates = [line for line in run.metrics if "lr" in line]
    if not rates:
        return None
    best = best_iteration(run.metrics, cfg.CAMPUS.BEST_METRIC)
    steps = np.diff([line["iteration"] for line in rates], prepend=-1)
    seconds = sum(max(0, step) * line.get("time", 0.0) for step, line in zip(steps.tolist(), rates, strict=True))
    return {
        "losses": run_charts.loss_chart(read_losses(run.folder / METRICS_FILE), best),
        "schedule": run_charts.schedule_chart(rates),
        "best": best,
        "iterations": rates[-1]["iteration"] + 1,
        "minutes": seconds / 60,
        "step": float(np.median([line["time"] for line in rates if "time" in line] or [0.0])),
    }


def best_iteration(lines: Sequence[Mapping[str, Any]], metric: str) -> int | None:
    """The evaluation that was the best on the validation photos; the first of equal ones."""
    is_loss = metric == "val/total_loss"
    name = metric if is_loss else f"{dataset_name('val')}/{metric}"
    judged = {line["iteration"]: line[name] for line in lines if name in line}
    if not judged:
        return None
    return min(judged, key=lambda iteration: (judged[iteration] * (1 if is_loss else -1), iteration))


def figures_section(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of one evaluated split."""
    return {
        "figures": analysis["figures"],
        "accuracy": analysis["accuracy"],
        "rows": [_class_row(entry, place, analysis) for place, entry in enumerate(analysis["by_class"])],
        "chosen_on": analysis["thresholds"]["chosen_on"],
    }


def chart_section(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """The charts of one evaluated split: some of one size with their titles, and the confusion matrix."""
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
) -> list[dict[str, Any]]:
    """The worst and the best photos of each class, the class that comes off worst first."""
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
                if pair
            ]
        if any(entry["rows"].values()):
            entries.append(entry)
    return entries


def shown_name(image: Mapping[str, Any]) -> str:
    """What a photo is called in the page: of one that lies elsewhere, its name and that of its folder."""
    path = PurePath(image["file_name"])
    return str(PurePath(*path.parts[-2:])) if path.is_absolute() else image["file_name"]


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


def data_section(run: RunFiles, cfg: CfgNode) -> dict[str, Any]:
    """What the model was taught and judged with."""
    names = dict(enumerate(run.classes, start=1))
    counts = {
        split: Counter(names[entry["category_id"]] for entry in truth["annotations"])
        for split, truth in run.truths.items()
    }
    photos = {split: len(truth["images"]) for split, truth in run.truths.items()}
    defects = ImportReport(defects=run.import_report["defects"]).table()
    return {
        "photos": photos,
        "objects": {split: counts[split].total() for split in SPLITS},
        "counts": counts,
        "by_class": run_charts.object_chart(counts, run.classes),
        "sizes": run_charts.object_size_chart({split: object_sides(truth) for split, truth in run.truths.items()}),
        "defects": defects,
        "notes": run.import_report["notes"],
        "unused_labels": run.import_report["unused_labels"],
        "augmented": _augmented(run, cfg),
    }


def _augmented(run: RunFiles, cfg: CfgNode) -> dict[str, Any]:
    """Some training photos as the model saw them in its first epoch: `pictures`, and the `album` that counted them."""
    album = Album(ROOM["augmented"])
    register_datasets(run.folder, run.classes)
    photos = [photo for photo in DatasetCatalog.get(dataset_name("train")) if photo["annotations"]]
    photos = [photos[place] for place in evenly_spaced(len(photos), AUGMENTED)]
    try:
        mapper = CampusMapper(cfg, is_train=True)
    except CampusError as error:  # the pipeline's file is gone
        logger.warning(f"The report goes without augmented photos: {error}")
        album.unread = len(photos)
        return {"pictures": [], "album": album}
    colors, one_at_a_time = class_colors(len(run.classes)), threading.Lock()

    def draw(photo: dict[str, Any]) -> list[tuple[np.ndarray, str]]:
        with one_at_a_time:  # the mapper's random state is one
            mapped = mapper({**photo, "epoch": 0})
        said = f"A training photo as augmented, with {len(photo['annotations'])} objects"
        return [(draw_augmented(mapped, cfg.INPUT.FORMAT, run.classes, colors, SIDE), said)]

    shown = album.add(partial(draw, photo) for photo in photos)
    return {"pictures": [picture for pictures in shown for picture in pictures], "album": album}


def repeat_section(run: RunFiles, cfg: CfgNode) -> dict[str, Any]:
    """What it takes to repeat the run."""
    versions = {"Python": platform.python_version()}
    for name in ("campus_seg", *DETECTRON2, *PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # Detectron2 under its other name
            continue
    return {
        "export": run.import_report.get("export") or cfg.CAMPUS.EXPORT,
        "config_file": str(run.folder / CONFIG_FILE),
        "versions": versions,
        "seed": cfg.SEED,
        "config": cfg.dump(),
    }
