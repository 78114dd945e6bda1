"""COCO's figures, by hotcoco, which is fast, or by pycocotools, which is the reference.

Both are given the same and return the same, to the last digits, and both stumble here if left alone:

- Of predictions with a box, they take the box's area for the mask's when they sort objects by size. So masks are
  compared without boxes, as Detectron2 does.
- pycocotools takes a match with the annotation of id 0 for none. So annotations are numbered anew, from 1.
- pycocotools cannot load an empty list of predictions.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from campus_seg.collector import collector_paused
from campus_seg.errors import ConfigError

SHAPES = {"bbox": "bbox", "segm": "segmentation"}  # task -> what of a prediction it compares


@dataclass(frozen=True, eq=False)
class CocoFigures:
    """What COCOeval finds out, in its own form.

    Attributes:
        stats: (12,) float64, AP, AP50, AP75, APs, APm, APl and six of recall, of 0 … 1; -1 where there is no ground
            truth to stand on.
        eval: "precision" and "scores" (T, R, K, A, M), "recall" (T, K, A, M): IoU thresholds 0.50, 0.55 … 0.95,
            recall thresholds 0.00, 0.01 … 1.00, classes by their ids, sizes (all, small, medium, large), and at most
            1, 10 or 100 detections a photo and class. -1 likewise.
        table: the stats as COCO's tools print them.
    """

    stats: np.ndarray
    eval: dict[str, np.ndarray]
    table: str


@collector_paused()
def coco_figures(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], task: str, backend: str = "hotcoco"
) -> CocoFigures:
    """Compares predictions with the ground truth.

    Args:
        truth: a COCO file's `images`, `annotations` and `categories`.
        results: COCO results: `image_id`, `category_id`, `score`, and `bbox` (XYWH, pixels) or `segmentation` (an RLE);
            there may be none.
        task: "bbox" or "segm".
        backend: one of BACKENDS.

    Raises:
        ConfigError: there is no such backend.
    """
    check_backend(backend)
    annotations = [{**annotation, "id": number} for number, annotation in enumerate(truth["annotations"], start=1)]
    known = {"images": truth["images"], "categories": truth["categories"], "annotations": annotations}
    keys = ("image_id", "category_id", "score", SHAPES[task])
    found = [{key: result[key] for key in keys} for result in results]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluation = BACKENDS[backend](known, found, task)
        evaluation.evaluate()
        evaluation.accumulate()
        printed.truncate(printed.seek(0))  # what pycocotools has said of its progress
        evaluation.summarize()
    arrays = evaluation.eval  # of hotcoco, a copy each time
    return CocoFigures(
        np.asarray(evaluation.stats),
        {name: np.asarray(arrays[name]) for name in ("precision", "recall", "scores")},
        printed.getvalue().rstrip(),
    )


def check_backend(backend: str) -> None:
    """Makes sure that there is such a backend.

    Raises:
        ConfigError: there is not.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"CAMPUS.EVALUATION.BACKEND {backend!r}: choose {' or '.join(BACKENDS)}")


def _by_hotcoco(known: dict[str, Any], found: list[dict[str, Any]], task: str) -> hotcoco.COCOeval:
    truth = hotcoco.COCO(known)
    return hotcoco.COCOeval(truth, truth.load_res(found), task)


def _by_pycocotools(known: dict[str, Any], found: list[dict[str, Any]], task: str) -> COCOeval:
    truth, detections = COCO(), COCO()
    truth.dataset = known
    truth.createIndex()
    if found:
        detections = truth.loadRes(found)
    else:
        detections.dataset = {**known, "annotations": []}
        detections.createIndex()
    return COCOeval(truth, detections, task)


BACKENDS: dict[str, Callable[[dict, list, str], hotcoco.COCOeval | COCOeval]] = {
    "hotcoco": _by_hotcoco,
    "pycocotools": _by_pycocotools,
}
