"""What can go wrong in a training step or an evaluation, told in one line that names the photos and the way out."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
from detectron2.config import CfgNode
from detectron2.utils import comm

from campus_seg.errors import TrainingError

# How torch on CPUs, OpenCV and a loader's worker say it; torch on GPUs and numpy have exceptions of their own.
NO_MEMORY = ("out of memory", "can't allocate memory", "Insufficient memory", "shared memory")
KILLED = re.compile(r"DataLoader worker .* is killed by signal: ([^.]*)")


class NamedBatches:
    """A data loader that keeps the file names of the batch it gave last, for an error to name.

    Args:
        loader: gives lists of Detectron2's dataset dicts.

    Attributes:
        file_names: of the last batch; of this process, where there are several.
    """

    def __init__(self, loader: Iterable[list[dict]]):
        self.loader = loader
        self.file_names: list[str] = []

    def __iter__(self) -> Iterator[list[dict]]:
        for batch in self.loader:
            self.file_names = [photo["file_name"] for photo in batch]
            yield batch


@contextlib.contextmanager
def clear_failures(when: str, batches: NamedBatches, cfg: CfgNode) -> Iterator[None]:
    """Turns losses that are no numbers, and what `enough_memory` does, in a training step into errors for the user.

    Args:
        when: what is going on, for the message.
        batches: where the photos came from.
        cfg: the run's config, of which the message says what to lower.

    Raises:
        TrainingError: as said.
    """
    try:
        with enough_memory(when, cfg, "SOLVER.IMS_PER_BATCH", "CAMPUS.INPUT_SIZE"):
            yield
    except FloatingPointError as error:
        where = " (or of another process)" if comm.get_world_size() > 1 else ""
        reason = str(error).splitlines()[-1]
        raise TrainingError(
            f"{when}: the losses are no numbers any more ({reason}); the photos{where} are "
            f"{', '.join(batches.file_names)}; look at their labels, or lower SOLVER.BASE_LR "
            f"({cfg.SOLVER.BASE_LR:g}); earlier checkpoints are kept"
        ) from error


@contextlib.contextmanager
def enough_memory(when: str, cfg: CfgNode, *keys: str) -> Iterator[None]:
    """Turns a lack of memory, and the end of a loader's worker, in the block into errors for the user.

    Args:
        when: what is going on, for the message.
        cfg: the run's config.
        keys: those that the message says to lower.

    Raises:
        TrainingError: as said.
    """
    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:
        end = _end_of_a_worker(error)
        if end:
            raise TrainingError(
                f"{when}: a loader worker {end}, often for want of memory; lower DATALOADER.NUM_WORKERS "
                f"({cfg.DATALOADER.NUM_WORKERS}), 0 does without them"
            ) from error
        if not (isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)):
            raise
        lower = " or ".join(f"{key} ({_get(cfg, key)})" for key in keys)
        raise TrainingError(f"{when}: out of memory on {cfg.MODEL.DEVICE}; lower {lower}") from error


def _end_of_a_worker(error: BaseException) -> str:
    """How a loader's worker ended, where that is what an error says; "" where it is not."""
    end = "ended unexpectedly" if "exited unexpectedly" in str(error) else ""
    while error:  # the signal is often told by an earlier one alone
        killed = KILLED.search(str(error))
        if killed:
            return f"was killed (signal: {killed[1]})"
        error = error.__cause__
    return end


def _get(cfg: CfgNode, key: str) -> Any:
    node, name = key.split(".")
    return cfg[node][name]
