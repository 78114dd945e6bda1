"""COCOEvaluator for the campus datasets, and its figures as a file."""

import math
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.evaluation import COCOEvaluator

from campus_seg.storage import write_json


def build_evaluator(cfg: CfgNode, dataset_name: str, *, keep_files: bool = True) -> COCOEvaluator:
    """COCOEvaluator for boxes and masks, with its files in OUTPUT_DIR/inference/<dataset> or without any."""
    return COCOEvaluator(
        dataset_name,
        tasks=("bbox", "segm"),  # not guessed from the predictions, of which there may be none
        output_dir=str(inference_folder(cfg, dataset_name)) if keep_files else None,
        use_fast_impl=False,  # that one needs Detectron2's compiled part
    )


def write_metrics(cfg: CfgNode, dataset_name: str, results: dict[str, dict[str, float]]) -> None:
    """Writes COCOEvaluator's results as metrics.json.

    A figure that has no ground truth to stand on is NaN there and null in the file, since JSON has no NaN.
    """
    figures = {
        task: {name: None if math.isnan(value) else value for name, value in values.items()}
        for task, values in results.items()
    }
    write_json(inference_folder(cfg, dataset_name) / "metrics.json", figures)


def without_nan(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """COCOEvaluator's results without the figures that have no ground truth to stand on."""
    return {
        task: {name: value for name, value in values.items() if not math.isnan(value)}
        for task, values in results.items()
    }


def inference_folder(cfg: CfgNode, dataset_name: str) -> Path:
    """Where the results of one dataset lie."""
    return Path(cfg.OUTPUT_DIR, "inference", dataset_name)
