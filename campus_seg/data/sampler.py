"""An endless, seeded order of the training photos in which every position says its epoch."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList
from detectron2.data.samplers import RepeatFactorTrainingSampler
from detectron2.utils import comm
from torch import Tensor
from torch.utils.data import Dataset, Sampler

SAMPLERS = ("TrainingSampler", "RepeatFactorTrainingSampler")  # values of DATALOADER.SAMPLER_TRAIN


class EpochSampler(Sampler):
    """Positions `(epoch * copies + copy) * size + index`, each epoch in an order of its own; the ranks take turns.

    Unlike Detectron2's samplers, whose indices do not tell their epoch, any position of this order can be worked out
    alone. Without repeats an epoch is a permutation of the photos, and every copy is 0.

    Args:
        size: photos in the dataset.
        seed: of the order.
        start: positions that an interrupted run has drawn already, all ranks together.
        repeats: (size,) how often each photo stands in an epoch, at least once; a fraction is the chance of once more,
            drawn anew each epoch (Gupta et al. 2019, arXiv:1908.03195, appendix B.2). None = once each.

    Attributes:
        copies: the most that one photo can stand in an epoch.
    """

    def __init__(self, size: int, seed: int, start: int = 0, repeats: Tensor | None = None):
        if size < 1:
            raise ValueError("there is no photo to draw from")
        self.size = size
        self.seed = seed
        self.start = start
        self.repeats = repeats
        self.copies = 1 if repeats is None else int(repeats.max().ceil())

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._positions(), comm.get_rank(), None, comm.get_world_size())

    def _positions(self) -> Iterator[int]:
        skipped = self.start
        for epoch in itertools.count():
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            drawn = self._drawn(generator)
            if skipped >= len(drawn):
                skipped -= len(drawn)
                continue
            order = torch.randperm(len(drawn), generator=generator)[skipped:]
            skipped = 0
            yield from (epoch * self.copies * self.size + drawn[order]).tolist()

    def _drawn(self, generator: torch.Generator) -> Tensor:
        """`copy * size + index` of all that one epoch holds, not shuffled yet."""
        indices = torch.arange(self.size)
        if self.repeats is None:
            return indices
        whole = self.repeats.floor()
        chances = torch.rand(self.size, generator=generator)
        counts = whole.long() + (chances < self.repeats - whole).long()
        return torch.cat([copy * self.size + indices[counts > copy] for copy in range(self.copies)])


class EpochDataset(Dataset):
    """Dataset dicts without end, by the positions of an `EpochSampler`: photo `index`, with "epoch" added.

    The epoch travels with the photo, so that its augmentation depends on run seed, epoch and photo alone, and not on
    the worker that happens to do it. A photo's second stand in an epoch has "copy" 1, its third 2.

    Args:
        dataset_dicts: the photos.
        copies: the sampler's.
    """

    def __init__(self, dataset_dicts: list[dict[str, Any]], copies: int = 1):
        self._dicts = DatasetFromList(dataset_dicts, copy=False)  # serialised once, shared by the workers
        self._copies = copies

    def __len__(self) -> int:
        return len(self._dicts)

    def __getitem__(self, position: int) -> dict[str, Any]:
        stand, index = divmod(position, len(self._dicts))
        epoch, copy = divmod(stand, self._copies)
        return {**self._dicts[index], "epoch": epoch, **({"copy": copy} if copy else {})}


def repeat_factors(cfg: CfgNode, dataset_dicts: list[dict[str, Any]]) -> Tensor | None:
    """How often each photo stands in an epoch, by `cfg.DATALOADER`: (N,) float, or None for once each.

    With SAMPLER_TRAIN "RepeatFactorTrainingSampler", photos of classes that fewer than REPEAT_THRESHOLD of the photos
    hold stand there more often.
    """
    if cfg.DATALOADER.SAMPLER_TRAIN == "TrainingSampler":
        return None
    return RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
        dataset_dicts, cfg.DATALOADER.REPEAT_THRESHOLD, sqrt=cfg.DATALOADER.REPEAT_SQRT
    )
