"""The sides of the comparison in `evaluating.py`, each set up in a process of its own."""

import logging
import time
from collections.abc import Callable

import msgspec
from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator

from campus_seg.benchmarks.evaluating import Work
from campus_seg.evaluation.evaluator import CampusEvaluator

Evaluate = Callable[[], tuple[float, dict[str, float]]]  # the seconds and the mask figures
NAME = "campus_seg_benchmark"
TASKS = ("segm",)


def side(build: Callable[[], COCOEvaluator]) -> Callable[[Work], tuple[str, Evaluate]]:
    """An evaluator that is built anew for each evaluation."""

    def set_up(work: Work) -> tuple[str, Evaluate]:
        logging.getLogger("detectron2").setLevel(logging.WARNING)
        categories = msgspec.json.decode(work.labels.read_bytes())["categories"]
        MetadataCatalog.get(NAME).set(
            json_file=str(work.labels),
            thing_classes=[category["name"] for category in categories],
            thing_dataset_id_to_contiguous_id={category["id"]: i for i, category in enumerate(categories)},
        )

        def evaluate() -> tuple[float, dict[str, float]]:
            predictions = msgspec.json.decode(work.predictions.read_bytes())
            began = time.perf_counter()
            evaluator = build()
            evaluator._predictions = predictions  # what `process` would have left
            figures = evaluator.evaluate()["segm"]
            return time.perf_counter() - began, figures

        return build().__class__.__name__, evaluate

    return set_up


SIDES = {
    "hotcoco": side(lambda: CampusEvaluator(NAME, tasks=TASKS, backend="hotcoco")),
    "pycocotools": side(lambda: CampusEvaluator(NAME, tasks=TASKS, backend="pycocotools")),
    "detectron2": side(lambda: COCOEvaluator(NAME, tasks=TASKS, use_fast_impl=False)),
}
