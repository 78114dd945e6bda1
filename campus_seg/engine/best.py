"""The best model of a run, kept over resumes, and the end of a run that gets no better."""

import logging
import math
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils import comm

from campus_seg.atomic_writes import replacing
from campus_seg.engine.evaluation import is_evaluated
from campus_seg.errors import ConfigError, WeightsError
from campus_seg.modeling.checkpoint import FINAL, CampusCheckpointer, write_checkpoint
from campus_seg.modeling.weights_file import read_checkpoint

logger = logging.getLogger(__name__)

BEST_FILE, ASIDE_FILE = "model_best.pth", "model_best_before.pth"  # in OUTPUT_DIR
VALIDATION_LOSS = "val/total_loss"


def check_best_keys(cfg: CfgNode) -> None:
    """Raises ConfigError where CAMPUS.BEST_METRIC or CAMPUS.PATIENCE cannot be used."""
    metric, patience = cfg.CAMPUS.BEST_METRIC, cfg.CAMPUS.PATIENCE
    if metric != VALIDATION_LOSS and not re.fullmatch(r"(bbox|segm)/AP(50|75)?", metric):
        raise ConfigError(
            f"CAMPUS.BEST_METRIC {metric!r}: choose segm/AP, segm/AP50, segm/AP75, bbox/AP, bbox/AP50, bbox/AP75 or "
            f"{VALIDATION_LOSS}, all of them on the validation photos; those for testing choose no model"
        )
    if metric.startswith("segm/") and not cfg.MODEL.MASK_ON:
        raise ConfigError(f"CAMPUS.BEST_METRIC {metric}: with MODEL.MASK_ON False there are no masks; choose bbox/AP")
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
        since: of the first evaluation that counts, where earlier ones do not; None where all do.
    """

    metric: str
    iteration: int | None = None
    value: float | None = None
    last_iteration: int | None = None
    last_value: float | None = None
    waited: int = 0
    since: int | None = None

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
    checkpoint is kept aside until the next. Where it is gone all the same, the choice begins anew; by the same metric
    and at least as many iterations that ends the same, since the later model was better than all before it.

    A run that goes on without validation photos keeps the best model it had, and one that goes on by another metric
    keeps it until the first evaluation by that one.

    The processes of a run agree on everything; the main one writes.
    """

    def __init__(self, checkpointer: CampusCheckpointer, cfg: CfgNode, dataset_name: str):
        """Called with a config that `check_best_keys` has passed.

        Args:
            checkpointer: the trainer's.
            cfg: gives CAMPUS.BEST_METRIC, CAMPUS.PATIENCE, DATASETS.TEST, TEST.EVAL_PERIOD and OUTPUT_DIR.
            dataset_name: of the validation photos; where DATASETS.TEST lacks them, nothing is chosen.
        """
        self.best = Best(cfg.CAMPUS.BEST_METRIC)
        self.path = Path(cfg.OUTPUT_DIR, BEST_FILE)
        self._metric = cfg.CAMPUS.BEST_METRIC
        self._dataset_name = dataset_name
        self._chooses = dataset_name in cfg.DATASETS.TEST
        self._patience = cfg.CAMPUS.PATIENCE
        self._period = cfg.TEST.EVAL_PERIOD
        self._checkpointer = checkpointer
        self._aside = self.path.with_name(ASIDE_FILE)
        self._known = False  # whether the checkpoint said what is the best
        self._checkpointed: int | None = None  # the best iteration that the last checkpoint knows
        self._gone: int | None = None  # the best iteration, where its model could not be restored

    def state_dict(self) -> dict[str, Any]:
        """What is the best so far, for the trainer's checkpoints."""
        self._checkpointed = self.best.iteration
        return asdict(self.best)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what was the best when a checkpoint was written."""
        self.best = Best(**state)
        self._known = True
        self._checkpointed = self.best.iteration
        if self.best.metric != self._metric:
            logger.warning(
                f"The best model was chosen by {self.best.metric}; it is chosen anew by {self._metric}, from the next "
                "evaluation on"
            )

    def before_train(self) -> None:
        """Makes model_best.pth what the checkpoint says; ends a run at once that had been stopped already."""
        if comm.all_gather(comm.is_main_process() and not self._put_back())[0]:
            self._gone = self.best.iteration
            self.best = Best(self._metric, since=self.trainer.start_iter)
        if self._is_over() and self.trainer.start_iter < self.trainer.max_iter:
            logger.info(f"This run was stopped early: {self._why_over()}; CAMPUS.PATIENCE 0 would go on")
            self.trainer.max_iter = self.trainer.start_iter

    def after_step(self) -> None:
        """Compares what was just evaluated; Detectron2's hook interface."""
        if not (self._chooses and is_evaluated(self.trainer, self._period)):
            return
        iteration, earlier = self.trainer.iter, self.best.iteration
        if self.best.metric != self._metric:
            self.best = Best(self._metric, since=iteration)
        best = self.best
        if best.update(iteration, comm.all_gather(self._value())[0]) and comm.is_main_process():
            if earlier is not None and earlier == self._checkpointed:
                self._keep_aside()
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
        """Whose model counts in the end, and why."""
        best, validation = self.best, self._dataset_name
        if best.iteration is None:
            why = "no validation photos chose a best one"
            if self._gone is not None:
                why = f"the best one, of iteration {self._gone}, is gone, and none was evaluated on {validation} since"
            elif self._chooses:
                why = f"none was evaluated on {validation} while this run trained"
            return f"the last iteration's: {why}"
        ended = best.last_iteration >= self.trainer.max_iter - 1
        if best.value is None:
            why = f", since {best.metric} was undefined on {validation} throughout"
        else:
            why = f" with {best.metric} {best.say(best.value)} on {validation}"
            if best.iteration != best.last_iteration:
                why += f"; the last one had {best.say(best.last_value)}"
            elif ended:
                why += "; it is the last one"
        if not ended:
            why += f"; after iteration {best.last_iteration} nothing was evaluated there"
        if best.since is not None:
            why += f"; judged by {best.metric} since iteration {best.since}"
        if best.metric != self._metric:
            why += f"; nothing was evaluated by {self._metric} yet"
        return f"the best, of iteration {best.iteration}{why}"

    def _save(self) -> None:
        best = self.best
        self._checkpointer.save_weights(self.path.stem, iteration=best.iteration, metric=best.metric, value=best.value)

    def _keep_aside(self) -> None:
        """Gives model_best.pth a second name, so that neither a kill nor a full disk leaves the run without it."""
        self._aside.unlink(missing_ok=True)  # of an earlier checkpoint
        try:
            os.link(self.path, self._aside)
        except OSError:  # such as on FAT, which has no links
            with replacing(self._aside) as temporary:
                shutil.copyfile(self.path, temporary)

    def _value(self) -> float | None:
        name = self.best.metric if self.best.metric == VALIDATION_LOSS else f"{self._dataset_name}/{self.best.metric}"
        value, iteration = self.trainer.storage.latest().get(name, (None, None))
        return value if iteration == self.trainer.iter else None

    def _is_over(self) -> bool:
        return self.best.metric == self._metric and 0 < self._patience <= self.best.waited

    def _why_over(self) -> str:
        best = self.best
        return (
            f"{best.metric} has not become better than {best.say(best.value)} of iteration {best.iteration} in "
            f"{best.waited} evaluations (CAMPUS.PATIENCE {self._patience})"
        )

    def _put_back(self) -> bool:
        """Whether model_best.pth is, or now was made, of the best iteration."""
        wanted = self.best.iteration
        if wanted is None:
            # That of a later iteration would pass for this run's, which may never get there. Where the checkpoint says
            # nothing of a best model, or of one by another metric, the file is left alone.
            if self._known and self.best.metric == self._metric:
                self.path.unlink(missing_ok=True)
            return True
        found = _read(self.path)
        if found and found.get("iteration") == wanted:
            return True
        if wanted == self.trainer.start_iter - 1:
            self._save()
            return True
        for name in (self._aside.name, f"model_{wanted:07d}.pth", f"{FINAL}.pth"):
            checkpoint = _read(self.path.with_name(name))
            if checkpoint and checkpoint.get("iteration") == wanted:
                logger.info(f"{self.path.name} is put back to that of iteration {wanted}, the best until here")
                kept = {key: checkpoint[key] for key in ("model", "classes", "iteration")}
                write_checkpoint(self.path, {**kept, "metric": self.best.metric, "value": self.best.value})
                return True
        lost = f"The best model until here, of iteration {wanted}, is gone; the best is chosen anew"
        if found:
            other = self.path.with_name(f"{self.path.stem}_{found.get('iteration')}.pth")
            self.path.replace(other)
            lost += f", and {self.path.name}, which is of another iteration, is now {other.name}"
        logger.warning(lost)
        self.path.unlink(missing_ok=True)
        return False


def _read(path: Path) -> dict[str, Any] | None:
    """A checkpoint; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        return read_checkpoint(str(path))
    except WeightsError:
        return None
