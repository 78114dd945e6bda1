"""What a run has to remember beside weights and optimizer so that, going on, it does the same as without a stop."""

import random
from typing import Any

import numpy as np
import torch
from detectron2.utils.events import EventStorage


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
