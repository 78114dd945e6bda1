"""What a run has to remember beside weights and optimizer so that, going on, it does the same as without a stop."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.utils.events import EventStorage

from campus_seg.engine.metrics_file import trim_metrics


def random_state() -> dict[str, Any]:
    """The states of this process's random generators, as tensors and numbers, which can be read back safely."""
    version, python, gauss = random.getstate()
    _, numpy, position, has_gauss, cached = np.random.get_state()  # of the generator that all code shares
    state = {
        "torch": torch.get_rng_state(),
        "numpy": (torch.from_numpy(numpy.astype(np.int64)), position, has_gauss, cached),
        "python": (version, python, gauss),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Sets this process's random generators to what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    numpy, *rest = state["numpy"]
    np.random.set_state(("MT19937", numpy.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def recent_scalars(storage: EventStorage) -> dict[str, list[tuple[float, int]]]:
    """The values, each with its iteration, from which the writers' medians are made, by name."""
    names = [name for name, smoothed in storage.smoothing_hints().items() if smoothed]
    return {name: storage.history(name).values()[-storage.count_samples(name) :] for name in names}


def restore_recent_scalars(storage: EventStorage, recent: dict[str, list[tuple[float, int]]]) -> None:
    """Puts back what `recent_scalars` gave; the writers do not take it for news."""
    for name, values in recent.items():
        for value, iteration in values:
            storage.histories()[name].update(value, iteration)


def cut_metrics(path: Path, size: int | None, iteration: int) -> None:
    """Makes metrics.json what it was when a checkpoint was written.

    Args:
        path: of the file, which need not exist and which nobody holds open.
        size: that it had then, in bytes. None, or one at which no line ends, where that is not known.
        iteration: of the checkpoint; later lines are removed in any case.
    """
    if size is not None and path.is_file():
        content = path.read_bytes()
        if content[:size].endswith(b"\n") or size == 0:
            os.truncate(path, min(size, len(content)))
    trim_metrics(path, iteration)
