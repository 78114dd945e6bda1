"""COCOEvaluator for the campus datasets, and its figures as a file."""

import math
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.evaluation import COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from campus_seg.storage import write_json


class CampusEvaluator(COCOEvaluator):
    """COCOEvaluator, for which a model that finds nothing is as bad as can be, and not without figures.

    Figures are NaN where there is no ground truth to stand on, and there alone: of any class, or for those of a class
    or a size, of that.
    """

    def _derive_coco_results(self, coco_eval: COCOeval | None, iou_type: str, class_names: Any = None):
        if coco_eval is None:  # no prediction at all, to which Detectron2 gives NaN and no figures of classes
            coco_eval = _compare_nothing(self._coco_api, iou_type)
        return super()._derive_coco_results(coco_eval, iou_type, class_names)


def _compare_nothing(truth: COCO, task: str) -> COCOeval:
    """What pycocotools makes of no predictions; its own `loadRes` cannot take an empty list."""
    nothing = COCO()
    nothing.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": []}
    nothing.createIndex()
    evaluation = COCOeval(truth, nothing, task)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def build_evaluator(cfg: CfgNode, dataset_name: str, *, keep_files: bool = True) -> CampusEvaluator:
    """CampusEvaluator for boxes and masks, with its files in OUTPUT_DIR/inference/<dataset> or without any."""
    return CampusEvaluator(
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
