"""The hook that writes checkpoints from which a run goes on as if it had never stopped."""

import logging
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from campus_seg.engine.state import random_state, recent_scalars, restore_random_state, restore_recent_scalars
from campus_seg.engine.stopping import ADVICE, StopRequest
from campus_seg.errors import Stopped
from campus_seg.metrics_file import METRICS_FILE, trim_metrics
from campus_seg.modeling.checkpoint import FINAL, CampusCheckpointer, remove_old_checkpoints

logger = logging.getLogger(__name__)


class Checkpoints(HookBase):
    """Saves every `period` iterations, after the last one, and where a signal asks for a stop, which it then obeys.

    It has to be the last hook that does anything in a step: a run that goes on knows of everything that was done until
    here, and of nothing else. That includes what Detectron2 leaves out: random states, which choose the proposals
    that count, and the values from which the writers' medians are made. Every process of a run has this hook; the main
    one writes.
    """

    def __init__(self, checkpointer: CampusCheckpointer, period: int, stop: StopRequest, keep: int = 3):
        """Called with the trainer's parts.

        Args:
            checkpointer: whose checkpoints hold the trainer.
            period: iterations from one checkpoint to the next; 0 for none before the end.
            stop: what signals ask for.
            keep: how many of the periodic checkpoints stay on the disk.
        """
        self._checkpointer = checkpointer
        self._period = period
        self._stop = stop
        self._keep = keep
        self._metrics = Path(checkpointer.save_dir) / METRICS_FILE
        self._state: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Random states by rank, recent scalars and the size of metrics.json at the checkpoint being written."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keeps what a checkpoint holds until the training starts."""
        self._state = state

    def restore_metrics(self, iteration: int) -> None:
        """Makes metrics.json what it was at the checkpoint that was loaded, which is of this iteration."""
        if comm.is_main_process():
            trim_metrics(self._metrics, iteration, self._state.get("metrics_size"))

    def before_train(self) -> None:
        """Restores what the checkpoint holds. After the other hooks' part, in which random numbers may be drawn."""
        self._stop.at_once = self.trainer.start_iter >= self.trainer.max_iter
        if not self._state:
            return
        restore_recent_scalars(self.trainer.storage, self._state["scalars"])
        states = self._state["random"]
        if len(states) != comm.get_world_size():
            logger.warning(
                f"The run was in {len(states)} processes and goes on in {comm.get_world_size()}: with the same photos "
                "in the same order, but other anchors and proposals are drawn than without this change"
            )
        if comm.get_rank() < len(states):  # in a run of more processes than before, the new ones keep their seeds
            restore_random_state(states[comm.get_rank()])

    def after_step(self) -> None:
        """Saves where it is time, and stops where that is asked for; Detectron2's hook interface.

        Raises:
            OutputError: the disk is full.
            Stopped: a signal asked for it.
        """
        done = self.trainer.iter + 1
        last = done >= self.trainer.max_iter
        signal_number = self._stop.agreed()
        if last or signal_number or (self._period > 0 and done % self._period == 0):
            self._save(FINAL if last else f"model_{self.trainer.iter:07d}")
        if last or signal_number:
            comm.synchronize()  # none ends, or lets a signal end all at once, before the main process has saved
        self._stop.at_once = last
        if signal_number:
            raise Stopped(f"stopped and saved after iteration {self.trainer.iter}; {ADVICE} from there", signal_number)

    def _save(self, name: str) -> None:
        states = comm.gather(random_state())
        if not comm.is_main_process():
            return
        self._state = {
            "random": states,
            "scalars": recent_scalars(self.trainer.storage),
            "metrics_size": self._metrics.stat().st_size if self._metrics.is_file() else 0,
        }
        self._checkpointer.save(name, iteration=self.trainer.iter)
        remove_old_checkpoints(Path(self._checkpointer.save_dir), self._keep)
