"""An endless, seeded order of the training photos in which every position says its epoch."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from detectron2.data import DatasetFromList
from detectron2.utils import comm
from torch.utils.data import Dataset, Sampler


class EpochSampler(Sampler):
    """Positions `epoch * size + index`, each epoch a permutation of its own; the ranks take turns.

    Unlike Detectron2's TrainingSampler, whose indices do not tell their epoch, any position of this order can be
    worked out alone.

    Args:
        size: photos in the dataset.
        seed: of the order.
        start: positions that an interrupted run has drawn already, all ranks together.
    """

    def __init__(self, size: int, seed: int, start: int = 0):
        if size < 1:
            raise ValueError("there is no photo to draw from")
        self.size = size
        self.seed = seed
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._positions(), comm.get_rank(), None, comm.get_world_size())

    def _positions(self) -> Iterator[int]:
        first, done = divmod(self.start, self.size)
        for epoch in itertools.count(first):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(self.size, generator=generator).tolist()
            for index in order[done if epoch == first else 0 :]:
                yield epoch * self.size + index


class EpochDataset(Dataset):
    """Dataset dicts without end: position `epoch * n + index` is photo `index`, with "epoch" added.

    The epoch travels with the photo, so that its augmentation depends on run seed, epoch and photo alone, and not on
    the worker that happens to do it.
    """

    def __init__(self, dataset_dicts: list[dict[str, Any]]):
        self._dicts = DatasetFromList(dataset_dicts, copy=False)  # serialised once, shared by the workers

    def __len__(self) -> int:
        return len(self._dicts)

    def __getitem__(self, position: int) -> dict[str, Any]:
        epoch, index = divmod(position, len(self._dicts))
        return {**self._dicts[index], "epoch": epoch}
