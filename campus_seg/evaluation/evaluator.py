"""COCOEvaluator for the campus datasets, and its figures as a file."""

import itertools
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator

from campus_seg.atomic_writes import replacing, write_json
from campus_seg.collector import collector_paused
from campus_seg.evaluation.cocoeval import coco_figures

RESULTS_FILE, METRICS_FILE = "coco_instances_results.json", "metrics.json"  # in the folder of a dataset


class CampusEvaluator(COCOEvaluator):
    """COCOEvaluator, whose arithmetic is done by the backend of one's choice.

    A model that finds nothing is as bad as can be, and not without figures. Figures are NaN where there is no ground
    truth to stand on, and there alone: of any class, or for those of a class or a size, of that.
    """

    @collector_paused()
    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] = ("bbox", "segm"),
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        backend: str = "hotcoco",
    ):
        """Reads the labels. COCOEvaluator's own way would have pycocotools do so, which takes as long as all the rest.

        So its `__init__` is not called, and what only its own arithmetic uses is not set: `_coco_api`,
        `_do_evaluation`, `_kpt_oks_sigmas`, `_max_dets_per_image` and `_use_fast_impl`.

        Args:
            dataset_name: as registered; its metadata have `json_file` and `thing_classes`.
            tasks: what is compared; not guessed from the predictions, of which there may be none.
            distributed: whether the predictions of all processes are evaluated, by the main one.
            output_dir: for coco_instances_results.json and instances_predictions.pth; None = no files.
            backend: one of `cocoeval.BACKENDS`.
        """
        self._logger = logging.getLogger(COCOEvaluator.__module__)
        self._distributed = distributed
        self._output_dir = output_dir
        self._tasks = tasks
        self._cpu_device = torch.device("cpu")
        self._metadata = MetadataCatalog.get(dataset_name)
        self._truth = msgspec.json.decode(Path(self._metadata.json_file).read_bytes())
        self._backend = backend

    @collector_paused()
    def _eval_predictions(self, predictions: list[dict[str, Any]], img_ids: Collection[int] | None = None) -> None:
        """Fills `self._results`, as Detectron2's does with pycocotools, and writes the predictions."""
        truth = self._truth
        class_ids = sorted(category["id"] for category in truth["categories"])
        results = [
            {**result, "category_id": class_ids[result["category_id"]]}
            for result in itertools.chain.from_iterable(prediction["instances"] for prediction in predictions)
        ]
        if self._output_dir:
            path = Path(self._output_dir, RESULTS_FILE)
            self._logger.info(f"Saving results to {path}")
            with replacing(path) as temporary:
                temporary.write_bytes(msgspec.json.encode(results))
        if img_ids is not None:
            truth, results = _of_photos(truth, results, set(img_ids))
        for task in sorted(self._tasks):
            self._logger.info(f"Evaluating {len(results)} predictions with {self._backend} ...")
            figures = coco_figures(truth, results, task, self._backend)
            self._logger.info(f"COCO's figures for {task}:\n{figures.table}")
            self._results[task] = self._derive_coco_results(figures, task, self._metadata.thing_classes)


def _of_photos(truth: Mapping[str, Any], results: list[dict[str, Any]], ids: Collection[int]) -> tuple[dict, list]:
    images = [image for image in truth["images"] if image["id"] in ids]
    annotations = [annotation for annotation in truth["annotations"] if annotation["image_id"] in ids]
    some = {**truth, "images": images, "annotations": annotations}
    return some, [result for result in results if result["image_id"] in ids]


def build_evaluator(cfg: CfgNode, dataset_name: str, *, keep_files: bool = True) -> CampusEvaluator:
    """CampusEvaluator for boxes, and masks if any, with its files in OUTPUT_DIR/inference/<dataset> or without."""
    return CampusEvaluator(
        dataset_name,
        tasks=("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",),
        backend=cfg.CAMPUS.EVALUATION.BACKEND,
        output_dir=str(inference_folder(cfg.OUTPUT_DIR, dataset_name)) if keep_files else None,
    )


def write_metrics(cfg: CfgNode, dataset_name: str, results: dict[str, dict[str, float]]) -> None:
    """Writes COCOEvaluator's results as metrics.json.

    A figure that has no ground truth to stand on is NaN there and null in the file, since JSON has no NaN.
    """
    figures = {
        task: {name: None if math.isnan(value) else value for name, value in values.items()}
        for task, values in results.items()
    }
    write_json(inference_folder(cfg.OUTPUT_DIR, dataset_name) / METRICS_FILE, figures)


def without_nan(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """COCOEvaluator's results without the figures that have no ground truth to stand on."""
    return {
        task: {name: value for name, value in values.items() if not math.isnan(value)}
        for task, values in results.items()
    }


def inference_folder(output_dir: Path | str, dataset_name: str) -> Path:
    """Where the results of one dataset lie in a run's folder."""
    return Path(output_dir, "inference", dataset_name)
