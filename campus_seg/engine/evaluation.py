"""When a run is evaluated, and what is found out then."""

import contextlib
import io
import logging
import math
from collections.abc import Iterator

from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.engine.train_loop import TrainerBase
from detectron2.evaluation import inference_on_dataset
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import EventWriter, JSONWriter, TensorboardXWriter

from campus_seg.data.datasets import dataset_name
from campus_seg.data.splits import SPLITS
from campus_seg.engine.guard import enough_memory
from campus_seg.engine.losses import build_loss_loader, photo_losses, undisturbed
from campus_seg.engine.replicas import share_buffers
from campus_seg.evaluation.evaluator import without_nan

logger = logging.getLogger(__name__)


def is_evaluated(trainer: TrainerBase, period: int) -> bool:
    """Whether the iteration just done is followed by an evaluation: every `period`, and the last; once each."""
    done = trainer.iter + 1
    return done == trainer.max_iter or (period > 0 and done % period == 0)


def evaluating(when: str, cfg: CfgNode) -> contextlib.AbstractContextManager:
    """Turns a lack of memory in an evaluation, which takes photos one by one, into a TrainingError with a way out."""
    return enough_memory(f"the evaluation of {when}", cfg, "CAMPUS.INPUT_SIZE", "TEST.DETECTIONS_PER_IMAGE")


class Evaluation(HookBase):
    """Losses on the photos of every dataset in DATASETS.TEST, and COCOEvaluator's figures on those for validation.

    Those for testing are looked at once, when the run is over; until then they give a curve and nothing else. The
    training does not notice: it goes the same way, bit for bit, as without. Everything goes to the trainer's storage:
    "val/loss_cls" …, "val/total_loss", "test/…", and "campus_val/segm/AP" ….
    """

    def __init__(self, cfg: CfgNode):
        """Called with a config that gives DATASETS.TEST, TEST.EVAL_PERIOD, and what the photos are read with."""
        self._cfg = cfg

    def before_train(self) -> None:
        """Reads the datasets once; Detectron2's hook interface."""
        cfg, trainer, validation = self._cfg, self.trainer, dataset_name("val")
        if trainer.start_iter >= trainer.max_iter:
            return
        splits = {dataset_name(split): split for split in SPLITS}
        self._losses = {splits[name]: build_loss_loader(cfg, name) for name in cfg.DATASETS.TEST}
        self._figures = {}
        if validation in cfg.DATASETS.TEST:
            evaluator = trainer.build_evaluator(cfg, validation, keep_files=False)
            self._figures[validation] = trainer.build_test_loader(cfg, validation), evaluator

    def after_step(self) -> None:
        """Evaluates where it is time; Detectron2's hook interface."""
        if not is_evaluated(self.trainer, self._cfg.TEST.EVAL_PERIOD):
            return
        share_buffers(self.trainer.model)
        with evaluating(f"iteration {self.trainer.iter}", self._cfg):
            self._evaluate()
        comm.synchronize()  # the other processes must not start on the next step and wait there

    def _evaluate(self) -> None:
        model = self.trainer.model
        for split, loader in self._losses.items():
            self._put({f"{split}/{name}": loss for name, loss in photo_losses(model, loader).items()})
        for name, (loader, evaluator) in self._figures.items():
            with undisturbed(model), _quietly():
                results = inference_on_dataset(model, loader, evaluator)
            self._put(flatten_results_dict({name: without_nan(results)}))

    def _put(self, values: dict[str, float]) -> None:
        undefined = sorted(name for name, value in values.items() if not math.isfinite(value))
        if undefined:  # which the files could not hold, since they are no JSON
            logger.warning(f"Iteration {self.trainer.iter}: not finite and left out: {', '.join(undefined)}")
        values = {name: value for name, value in values.items() if name not in undefined}
        self.trainer.storage.put_scalars(smoothing_hint=False, **values)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the pages that Detectron2 and pycocotools print; once an epoch they would bury all else."""
    evaluation = logging.getLogger("detectron2.evaluation")
    level = evaluation.level
    evaluation.setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        evaluation.setLevel(level)


class FinalEvaluation(HookBase):
    """Evaluates the best model once, when the run is over and was neither broken off nor failed."""

    def after_train(self) -> None:
        """Evaluates; Detectron2's hook interface."""
        if self.trainer.iter >= self.trainer.max_iter:
            self.trainer.evaluate_best()


class Writers(HookBase):
    """Detectron2's PeriodicWriter, whose files also get a line of their own for every evaluation.

    It has to come before the hook that writes checkpoints, so that metrics.json lacks nothing that a checkpoint knows.
    """

    def __init__(self, period: int, evaluation_period: int):
        """Called with numbers of iterations.

        Args:
            period: between two lines.
            evaluation_period: TEST.EVAL_PERIOD.
        """
        self._period = period
        self._evaluation_period = evaluation_period
        self._writers: list[EventWriter] = []

    def before_train(self) -> None:
        """Opens the files; not before, since a resume replaces metrics.json, and a writer keeps the file it opened."""
        self._writers = self.trainer.build_writers()

    def after_step(self) -> None:
        """Writes where it is time; Detectron2's hook interface."""
        periodic = (self.trainer.iter + 1) % self._period == 0 or self.trainer.iter + 1 == self.trainer.max_iter
        evaluated = is_evaluated(self.trainer, self._evaluation_period)
        for writer in self._writers:
            if periodic or (evaluated and _is_file(writer)):
                writer.write()

    def after_train(self) -> None:
        """Writes what a run that was broken off has left, and closes the files."""
        for writer in self._writers:
            if _is_file(writer):
                writer.write()
            writer.close()


def _is_file(writer: EventWriter) -> bool:
    return isinstance(writer, (JSONWriter, TensorboardXWriter))
