"""The losses on photos that are not trained on."""

import contextlib
import math
import zlib
from collections.abc import Iterable, Iterator

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parallel import DistributedDataParallel

from campus_seg.data.loading import build_test_loader
from campus_seg.data.mapper import CampusMapper
from campus_seg.engine.stopping import shield_workers


def build_loss_loader(cfg: CfgNode, dataset_name: str) -> Iterable[list[dict]]:
    """One pass over a dataset with its instances, not augmented; the ranks share the photos."""
    mapper = CampusMapper(cfg, is_train=True, augmentation=None)
    return shield_workers(build_test_loader(cfg, dataset_name, mapper))


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Puts back, at its end, the mode of every module and torch's random states, as if nothing had happened.

    Detectron2's own inference sets one mode for all modules, and even a DataLoader draws a random number.
    """
    modes = [(module, module.training) for module in model.modules()]
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode


@torch.no_grad()
def photo_losses(model: nn.Module, loader: Iterable[list[dict]]) -> dict[str, float]:
    """The losses of a model in training mode, averaged over photos.

    The photos go through one by one, and the proposals that count are drawn by a seed from the photo's "image_id", so
    that batches, order, workers and ranks make no difference. Normalisation and dropout are those of prediction.
    A training's losses are averages over batches in the same units.

    Args:
        model: gives a dict of scalar losses in training mode; neither it nor torch's random states are changed.
        loader: lists of photos with "instances", each photo once over all ranks.

    Returns:
        Name ("loss_cls" …) -> loss, and their sum as "total_loss"; that alone, as NaN, where the model has diverged.
        Empty on other ranks than the main one, and where there is no photo.
    """
    model = model.module if isinstance(model, DistributedDataParallel) else model
    losses = []
    # A storage of their own for what the heads put down; 1 since at 0 they would draw pictures by VIS_PERIOD.
    with undisturbed(model), EventStorage(1):
        model.train()
        for module in model.modules():
            if isinstance(module, (_NormBase, _DropoutNd)):
                module.eval()
        for photo in (photo for batch in loader for photo in batch):
            torch.manual_seed(zlib.crc32(str(photo["image_id"]).encode()))
            try:
                losses.append({name: loss.item() for name, loss in model([photo]).items()})
            except FloatingPointError:  # Detectron2's, for proposals that are no numbers; the other ranks wait below
                losses.append({"total_loss": math.nan})
    everyone = [each for rank in comm.gather(losses) for each in rank]
    if not everyone:
        return {}
    diverged = [each for each in everyone if "total_loss" in each]
    if diverged:
        return diverged[0]
    # fsum rounds once, whatever the order.
    means = {name: math.fsum(each[name] for each in everyone) / len(everyone) for name in everyone[0]}
    return {**means, "total_loss": math.fsum(means.values())}
