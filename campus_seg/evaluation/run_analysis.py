"""The analyses of a run: from its evaluations, or of predictions in a file."""

import contextlib
import logging
from pathlib import Path
from typing import Any, TypedDict

import msgspec
from detectron2.config import CfgNode

from campus_seg.atomic_writes import write_json
from campus_seg.data.datasets import coco_file, dataset_name, image_folder, split_of
from campus_seg.errors import EvaluationError
from campus_seg.evaluation.analysis import analyse
from campus_seg.evaluation.evaluator import RESULTS_FILE, inference_folder
from campus_seg.evaluation.predictions import read_predictions
from campus_seg.evaluation.thresholds import (
    THRESHOLDS_FILE,
    OtherModelError,
    read_thresholds,
    write_thresholds,
)
from campus_seg.label_studio.raw import NO_JSON
from campus_seg.modeling.weights_file import file_digest

logger = logging.getLogger(__name__)

ANALYSIS_FILE = "analysis.json"  # beside metrics.json
VALIDATION = dataset_name("val")


class _Truth(TypedDict):
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]


def write_analyses(cfg: CfgNode, weights: str = "") -> dict[str, dict[str, Any]]:
    """Analyses what was just evaluated: every dataset of DATASETS.TEST, from the predictions that lie in its folder.

    The best thresholds are chosen on the validation photos and written as the run's thresholds.json; those for
    testing are judged by them.

    Args:
        cfg: gives DATASETS.TEST and OUTPUT_DIR.
        weights: the file of the model that was evaluated; "" where it is not known.

    Returns:
        Dataset -> what its analysis.json holds.

    Raises:
        CampusError: a file of the run cannot be used. No analysis of an earlier evaluation is left then.
    """
    for name in cfg.DATASETS.TEST:
        (inference_folder(cfg.OUTPUT_DIR, name) / ANALYSIS_FILE).unlink(missing_ok=True)
    model = file_digest(weights) if weights else None
    analyses = {}
    for name in sorted(cfg.DATASETS.TEST, key=lambda name: name != VALIDATION):  # it comes first
        truth = read_truth(cfg, name)
        results = read_predictions(inference_folder(cfg.OUTPUT_DIR, name) / RESULTS_FILE, truth, check_masks=False)
        analyses[name] = _analyse(cfg, name, truth, results, model)
        write_json(inference_folder(cfg.OUTPUT_DIR, name) / ANALYSIS_FILE, analyses[name], indent=None)
        if name == VALIDATION:
            best = {entry["name"]: entry["best"] for entry in analyses[name]["by_class"]}
            write_thresholds(Path(cfg.OUTPUT_DIR), name, best, model)
        _log(analyses[name])
    return analyses


def analyse_predictions(cfg: CfgNode, name: str, path: Path) -> dict[str, Any]:
    """Analyses predictions for one dataset of a run, without its model; writes nothing.

    Args:
        cfg: the run's.
        name: of the dataset.
        path: coco_instances_results.json of an evaluation, or predictions.json of visualize.py.

    Returns:
        What an analysis.json holds.

    Raises:
        CampusError: the file, or the run's own, cannot be used.
    """
    truth = read_truth(cfg, name)
    return _analyse(cfg, name, truth, read_predictions(path, truth, image_folder(Path(cfg.OUTPUT_DIR))))


def read_truth(cfg: CfgNode, name: str) -> dict[str, Any]:
    """The COCO file of one of a run's datasets.

    Raises:
        EvaluationError: the run has no such file, or it is damaged.
    """
    path = coco_file(Path(cfg.OUTPUT_DIR), split_of(name))
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Truth)
    except OSError as error:
        raise EvaluationError(
            f"{path}: the photos' labels cannot be read ({error.strerror}); give the config.yaml of a run that "
            "imported them, in the run's own folder"
        ) from None
    except NO_JSON as error:
        raise EvaluationError(f"{path}: damaged ({error}); train anew in another OUTPUT_DIR") from None


def _analyse(
    cfg: CfgNode, name: str, truth: dict[str, Any], results: list[dict[str, Any]], model: str | None = None
) -> dict[str, Any]:
    """An analysis; for testing, with the model's thresholds that were chosen on the validation photos, if they were."""
    thresholds, chosen_on = None, ""
    if name != VALIDATION:
        thresholds = {}
        if Path(cfg.OUTPUT_DIR, THRESHOLDS_FILE).is_file():
            with contextlib.suppress(OtherModelError):
                thresholds, chosen_on = read_thresholds(Path(cfg.OUTPUT_DIR), model), VALIDATION
    backend = cfg.CAMPUS.EVALUATION.BACKEND
    return analyse(truth, results, dataset=name, thresholds=thresholds, chosen_on=chosen_on, backend=backend)


def _log(analysis: dict[str, Any]) -> None:
    whole, at_thresholds = analysis["accuracy"], analysis["at_thresholds"]
    if whole["share"] is not None:
        logger.info(
            f"{analysis['dataset']}: of {whole['objects']} objects {whole['share']:.0%} are found as what they are, "
            f"{at_thresholds['share']:.0%} by scores above the classes' thresholds"
        )
