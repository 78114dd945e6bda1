"""What an evaluation costs, by each backend and by Detectron2's own COCOEvaluator, on drawn photos and detections."""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from campus_seg.benchmarks.timing import in_turn
from campus_seg.benchmarks.worker import Worker

SIDES_MODULE = "campus_seg.benchmarks.evaluating_sides"
EVALUATE_SIDES = ("hotcoco", "pycocotools", "detectron2")
OBJECTS = 7  # a photo
WIDTH, HEIGHT = 640, 480  # pixels


@dataclass(frozen=True)
class Work:
    """What each side is given.

    Attributes:
        labels: the COCO file of the photos.
        predictions: the file of what a model found, in the form in which an evaluator holds it.
    """

    labels: Path
    predictions: Path


def measure_evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Times mask evaluations from the file of labels, and predictions in memory, to the table of figures.

    Args:
        args: of tools/benchmark.py: photos, detections, repeats and sides.

    Returns:
        Of each side, under "seconds" the median of its repeats, under "peak_mb" the largest memory of its process with
        the predictions, under "AP" its mask AP. "ratios" has seconds of others over those of hotcoco, and
        "largest_difference" how far the sides are apart in any figure, in points.
    """
    from campus_seg.benchmarks.drawn_export import CATEGORIES

    with tempfile.TemporaryDirectory() as scratch:
        work = Work(Path(scratch, "labels.json"), Path(scratch, "predictions.json"))
        truth, predictions = draw_set(args.photos, args.detections, CATEGORIES)
        work.labels.write_bytes(msgspec.json.encode(truth))
        work.predictions.write_bytes(msgspec.json.encode(predictions))
        counts = {"photos": args.photos, "objects": len(truth["annotations"]), "detections": args.detections}
        del truth, predictions
        seconds, peaks, results = _take_turns(work, args.sides, args.repeats)
    medians = {side: statistics.median(taken) for side, taken in seconds.items()}
    ratios = {}
    for name, other in (("evaluate_vs_pycocotools", "pycocotools"), ("evaluate_vs_detectron2", "detectron2")):
        if {"hotcoco", other} <= medians.keys():
            ratios[name] = medians[other] / medians["hotcoco"]
    first, *others = results.values()
    return {
        **counts,
        "repeats": args.repeats,
        "seconds": medians,
        "peak_mb": peaks,
        "AP": {side: result["AP"] for side, result in results.items()},
        "largest_difference": float(max((furthest(first, other) for other in others), default=0.0)),
        "ratios": ratios,
    }


def furthest(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """How far two sides are apart in any figure; infinite where one of them lacks a figure, or it is NaN for one."""
    values = [np.array([each[name] for name in sorted(each)], float) for each in (one, other)]
    if one.keys() != other.keys() or not np.array_equal(*np.isnan(values)):
        return np.inf
    return float(np.nanmax(np.abs(values[0] - values[1]), initial=0.0))


def _take_turns(
    work: Work, sides: list[str], repeats: int
) -> tuple[dict[str, list[float]], dict[str, float], dict[str, dict[str, float]]]:
    """Seconds of each repeat, peak memory and figures, each by side."""
    from tqdm import tqdm

    seconds, peaks, results = {side: [] for side in sides}, {}, {}
    with contextlib.ExitStack() as stack, tqdm(total=repeats * len(sides), desc="measuring", disable=None) as bar:
        workers = {side: stack.enter_context(Worker(SIDES_MODULE, side, work)) for side in sides}
        for repeat in range(repeats):
            for side in in_turn(sides, repeat):
                bar.set_postfix_str(side)
                taken, results[side] = workers[side].do()
                seconds[side].append(taken)
                bar.update()
        for side in sides:
            peaks[side] = workers[side].peak_mb()
    return seconds, peaks, results


def draw_set(photos: int, detections: int, classes: tuple[str, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draws labels, and predictions as `COCOEvaluator.process` leaves them; the same every time.

    Four of five detections are of an object, their rings a little off, and four of five of those name its class; the
    rest lie anywhere.

    Args:
        photos: how many, of WIDTH x HEIGHT pixels, with OBJECTS objects each.
        detections: how many in all, shared out evenly.
        classes: names.
    """
    from tqdm import tqdm

    from campus_seg.benchmarks.drawn_export import draw_rings

    rng = np.random.default_rng(0)
    truth = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    predictions = []
    for photo in tqdm(range(photos), desc="drawing", unit="photo", disable=None):
        here = detections // photos + (photo < detections % photos)
        points, starts = draw_rings(rng, np.full((OBJECTS + here, 2), (WIDTH, HEIGHT), float))
        rings = np.split(points, starts[1:])
        labels = rng.integers(1, len(classes) + 1, OBJECTS + here)
        for place in np.flatnonzero(rng.random(here) < 0.8):
            of = rng.integers(OBJECTS)
            ring = rings[of] + rng.normal(0, 4, 2) + rng.normal(0, 2, rings[of].shape)
            rings[OBJECTS + place] = ring.clip(0, (WIDTH, HEIGHT))
            if rng.random() < 0.8:
                labels[OBJECTS + place] = labels[of]
        truth["images"].append({"id": photo + 1, "file_name": f"{photo}.jpg", "width": WIDTH, "height": HEIGHT})
        for number in range(OBJECTS):
            entry = {
                "id": len(truth["annotations"]) + 1,
                "iscrowd": 0,
                "segmentation": [rings[number].ravel().tolist()],
            }
            truth["annotations"].append({**entry, **_measured(rings[number], photo, int(labels[number]))})
        instances = [
            {**_measured(rings[number], photo, int(labels[number]) - 1, rle=True), "score": float(rng.random())}
            for number in range(OBJECTS, OBJECTS + here)
        ]
        predictions.append({"image_id": photo + 1, "instances": instances})
    return truth, predictions


def _measured(ring: np.ndarray, photo: int, label: int, rle: bool = False) -> dict[str, Any]:
    """Ids, box and area of a ring's mask, and the mask."""
    from pycocotools import mask as rle_tools

    (mask,) = rle_tools.frPyObjects([ring.ravel().tolist()], HEIGHT, WIDTH)
    entry = {"image_id": photo + 1, "category_id": label, "bbox": rle_tools.toBbox(mask).tolist()}
    if rle:
        return {**entry, "segmentation": {"size": [HEIGHT, WIDTH], "counts": mask["counts"].decode()}}
    return {**entry, "area": float(rle_tools.area(mask))}
