"""The best model of a run, kept over resumes, and the end of a run that gets no better."""

import logging
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils import comm

from campus_seg.engine.evaluation import is_evaluated
from campus_seg.errors import ConfigError, WeightsError
from campus_seg.modeling.checkpoint import FINAL, CampusCheckpointer, write_checkpoint
from campus_seg.modeling.weights_file import read_checkpoint

logger = logging.getLogger(__name__)

BEST_FILE = "model_best.pth"  # in OUTPUT_DIR
VALIDATION_LOSS = "val/total_loss"


def check_best_keys(cfg: CfgNode) -> None:
    """Raises ConfigError where CAMPUS.BEST_METRIC or CAMPUS.PATIENCE cannot be used."""
    metric, patience = cfg.CAMPUS.BEST_METRIC, cfg.CAMPUS.PATIENCE
    if metric != VALIDATION_LOSS and not re.fullmatch(r"(bbox|segm)/AP(50|75)?", metric):
        raise ConfigError(
            f"CAMPUS.BEST_METRIC {metric!r}: choose segm/AP, segm/AP50, segm/AP75, bbox/AP, bbox/AP50, bbox/AP75 or "
            f"{VALIDATION_LOSS}, all of them on the validation photos; those for testing choose no model"
        )
    if patience < 0:
        raise ConfigError(f"CAMPUS.PATIENCE {patience}: give a number of evaluations, 0 for no early stopping")


@dataclass
class Best:
    """Which evaluation was the best so far; a plain record, so that checkpoints can hold it.

    Attributes:
        metric: what is compared; a loss is better lower, everything else higher.
        iteration: of the best evaluation, None before the first.
        value: of the metric there, None where it was undefined.
        last_iteration: of the last evaluation.
        last_value: of the metric there.
        waited: evaluations since the best one.
    """

    metric: str
    iteration: int | None = None
    value: float | None = None
    last_iteration: int | None = None
    last_value: float | None = None
    waited: int = 0

    def update(self, iteration: int, value: float | None) -> bool:
        """Takes in an evaluation; says whether its model is to be kept as the best.

        An undefined value (None, NaN, infinite) is lower than every other. The first evaluation is always kept; of
        equal ones the earlier stays, and of undefined ones the later, which has at least learned for longer.
        """
        value = value if value is not None and math.isfinite(value) else None
        self.last_iteration, self.last_value = iteration, value
        if self.value is None or self._score(value) > self._score(self.value):
            self.iteration, self.value, self.waited = iteration, value, 0
            return True
        self.waited += 1
        return False

    def _score(self, value: float | None) -> float:
        if value is None:
            return -math.inf
        return -value if self.metric == VALIDATION_LOSS else value

    def say(self, value: float | None) -> str:
        """A value of the metric for the log: percent in tenths, losses in thousandths."""
        return "undefined" if value is None else f"{value:.3f}" if self.metric == VALIDATION_LOSS else f"{value:.1f}"


class BestModel(HookBase):
    """Keeps the best model as model_best.pth and stops a run that has been getting no better; after `Evaluation`.

    It has to come before the hook that writes checkpoints: what is the best so far is part of them, and a run that
    goes on from one knows just what was known then. Where a run is killed between a better model and the next
    checkpoint, model_best.pth is of a later iteration than the one that goes on; so the best model of the last
    checkpoint is kept aside until the next. Where it is gone all the same, the choice begins anew, which ends the same:
    the later model was better than all before it, and is found again.

    The processes of a run agree on everything; the main one writes.
    """

    def __init__(self, checkpointer: CampusCheckpointer, cfg: CfgNode, dataset_name: str):
        """Called with a config that `check_best_keys` has passed.

        Args:
            checkpointer: the trainer's.
            cfg: gives CAMPUS.BEST_METRIC, CAMPUS.PATIENCE, TEST.EVAL_PERIOD and OUTPUT_DIR.
            dataset_name: of the validation photos.
        """
        self.best = Best(cfg.CAMPUS.BEST_METRIC)
        self.path = Path(cfg.OUTPUT_DIR, BEST_FILE)
        self._dataset_name = dataset_name
        self._patience = cfg.CAMPUS.PATIENCE
        self._period = cfg.TEST.EVAL_PERIOD
        self._checkpointer = checkpointer
        self._aside = self.path.with_name("model_best_before.pth")
        self._checkpointed: int | None = None  # the best iteration that the last checkpoint knows

    def state_dict(self) -> dict[str, Any]:
        """What is the best so far, for the trainer's checkpoints."""
        self._checkpointed = self.best.iteration
        return asdict(self.best)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what was the best when a checkpoint was written."""
        if state["metric"] != self.best.metric:
            logger.warning(f"The best model was chosen by {state['metric']}, and is chosen anew by {self.best.metric}")
            return
        self.best = Best(**state)
        self._checkpointed = self.best.iteration

    def before_train(self) -> None:
        """Makes model_best.pth what the checkpoint says; ends a run at once that had been stopped already."""
        if comm.all_gather(comm.is_main_process() and not self._restored())[0]:
            self.best = Best(self.best.metric)
        if self._is_over() and self.trainer.start_iter < self.trainer.max_iter:
            logger.info(f"This run was stopped early: {self._why_over()}; CAMPUS.PATIENCE 0 would go on")
            self.trainer.max_iter = self.trainer.start_iter

    def after_step(self) -> None:
        """Compares what was just evaluated; Detectron2's hook interface."""
        if not is_evaluated(self.trainer, self._period):
            return
        best, iteration, earlier = self.best, self.trainer.iter, self.best.iteration
        if best.update(iteration, comm.all_gather(self._value())[0]) and comm.is_main_process():
            if earlier is not None and earlier == self._checkpointed:
                self.path.replace(self._aside)
            self._save()
        logger.info(
            f"Iteration {iteration}: {best.metric} {best.say(best.last_value)} on {self._dataset_name}; "
            f"the best is {best.say(best.value)} of iteration {best.iteration}"
        )
        if self._is_over() and iteration + 1 < self.trainer.max_iter:
            logger.info(f"Stopping early: {self._why_over()}")
            self.trainer.max_iter = iteration + 1

    def after_train(self) -> None:
        """Removes what only a resume would have needed; Detectron2's hook interface."""
        if comm.is_main_process() and self.trainer.iter >= self.trainer.max_iter:
            self._aside.unlink(missing_ok=True)

    def verdict(self) -> str:
        """Which iteration won and why."""
        best = self.best
        if best.value is None:
            return f"iteration {best.iteration}, since {best.metric} was undefined on {self._dataset_name} throughout"
        won = f"iteration {best.iteration} with {best.metric} {best.say(best.value)} on {self._dataset_name}"
        if best.iteration == best.last_iteration:
            return f"{won}; it is the last one"
        return f"{won}; the last one had {best.say(best.last_value)}"

    def _save(self) -> None:
        best = self.best
        self._checkpointer.save_weights(self.path.stem, iteration=best.iteration, metric=best.metric, value=best.value)

    def _value(self) -> float | None:
        name = self.best.metric if self.best.metric == VALIDATION_LOSS else f"{self._dataset_name}/{self.best.metric}"
        value, iteration = self.trainer.storage.latest().get(name, (None, None))
        return value if iteration == self.trainer.iter else None

    def _is_over(self) -> bool:
        return 0 < self._patience <= self.best.waited

    def _why_over(self) -> str:
        best = self.best
        return (
            f"{best.metric} has not become better than {best.say(best.value)} of iteration {best.iteration} in "
            f"{best.waited} evaluations (CAMPUS.PATIENCE {self._patience})"
        )

    def _restored(self) -> bool:
        """Whether model_best.pth is, or now was made, of the best iteration."""
        wanted = self.best.iteration
        if _iteration_of(self.path) == wanted:
            return True
        if wanted is None:
            self.path.unlink(missing_ok=True)  # it would pass for this run's, which may never get to that iteration
            return True
        if wanted == self.trainer.start_iter - 1:
            self._save()
            return True
        for name in (self._aside.name, f"model_{wanted:07d}.pth", f"{FINAL}.pth"):
            checkpoint = self.path.with_name(name)
            if _iteration_of(checkpoint) == wanted:
                logger.info(f"{self.path.name} is put back to that of iteration {wanted}, the best until here")
                kept = {key: read_checkpoint(str(checkpoint))[key] for key in ("model", "classes", "iteration")}
                write_checkpoint(self.path, {**kept, "metric": self.best.metric, "value": self.best.value})
                return True
        logger.warning(f"The best model until here, of iteration {wanted}, is gone; the best is chosen anew")
        self.path.unlink(missing_ok=True)
        return False


def _iteration_of(path: Path) -> int | None:
    """The iteration of a checkpoint; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        return read_checkpoint(str(path)).get("iteration")
    except WeightsError:
        return None
