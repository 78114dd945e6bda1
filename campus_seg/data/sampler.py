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
        upright: (size,) bool, photos that are higher than wide. Batches are then of upright photos or of others, as far
            as an epoch's numbers allow, and are padded less: Detectron2's ASPECT_RATIO_GROUPING, whose own order
            depends on the number of loader workers. None = any photos together.
        batch: photos of a step, all ranks together; `upright` wants it.

    Attributes:
        copies: the most that one photo can stand in an epoch.
    """

    def __init__(
        self,
        size: int,
        seed: int,
        start: int = 0,
        repeats: Tensor | None = None,
        upright: Tensor | None = None,
        batch: int = 1,
    ):
        if size < 1:
            raise ValueError("there is no photo to draw from")
        self.size = size
        self.seed = seed
        self.start = start
        self.repeats = repeats
        self.upright = upright
        self.batch = batch
        self.copies = 1 if repeats is None else int(repeats.max().ceil())

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._positions(), comm.get_rank(), None, comm.get_world_size())

    def _positions(self) -> Iterator[int]:
        first = 0  # place of the epoch's first photo among all that are drawn
        for epoch in itertools.count():
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            drawn = self._drawn(generator)
            if first + len(drawn) > self.start:
                order = drawn[torch.randperm(len(drawn), generator=generator)]
                if self.upright is not None:
                    order = self._grouped(order, -first % self.batch)
                yield from (epoch * self.copies * self.size + order[max(0, self.start - first) :]).tolist()
            first += len(drawn)

    def _drawn(self, generator: torch.Generator) -> Tensor:
        """`copy * size + index` of all that one epoch holds, not shuffled yet."""
        indices = torch.arange(self.size)
        if self.repeats is None:
            return indices
        whole = self.repeats.floor()
        chances = torch.rand(self.size, generator=generator)
        counts = whole.long() + (chances < self.repeats - whole).long()
        return torch.cat([copy * self.size + indices[counts > copy] for copy in range(self.copies)])

    def _grouped(self, order: Tensor, owed: int) -> Tensor:
        """An epoch's order with those of one orientation together, batch by batch, as they come.

        What fills no batch of its own stands at the epoch's ends: the last epoch's last batch lacks the first `owed`.
        """
        upright = self.upright[order % self.size]
        batches, rest = [], []
        for places in (torch.nonzero(upright)[:, 0], torch.nonzero(~upright)[:, 0]):
            whole = len(places) // self.batch * self.batch
            batches += places[:whole].split(self.batch) if whole else []
            rest.append(places[whole:])
        batches.sort(key=lambda places: int(places[-1]))  # a batch stands where it gets its last photo
        if batches and sum(map(len, rest)) < owed:  # less than a batch, so one will do
            rest.append(batches.pop())
        rest = torch.cat(rest)
        return order[torch.cat([rest[:owed], *batches, rest[owed:]])]


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


def upright_photos(cfg: CfgNode, dataset_dicts: list[dict[str, Any]]) -> Tensor | None:
    """Which photos are higher than wide, for batches of their own.

    Args:
        cfg: of the run.
        dataset_dicts: the photos.

    Returns:
        (N,) bool; None where `DATALOADER.ASPECT_RATIO_GROUPING` is off, or where `CAMPUS.RESIZE` stretch makes all
        photos square, so that none is padded. A square photo counts as wide; Detectron2 puts it with the upright
        ones, and its padding is as much either way.
    """
    if not cfg.DATALOADER.ASPECT_RATIO_GROUPING or cfg.CAMPUS.RESIZE == "stretch":
        return None
    return torch.tensor([record["height"] > record["width"] for record in dataset_dicts])
