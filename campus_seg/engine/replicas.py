"""The copies of one model in the processes that train it together."""

import zlib

import torch.distributed
from detectron2.engine.defaults import create_ddp_model
from detectron2.utils import comm
from torch import nn

from campus_seg.errors import ConfigError


def replicate(model: nn.Module) -> nn.Module:
    """The model as one of several that learn alike, by DistributedDataParallel; itself where there is one process.

    Buffers are each process's own, as in Detectron2: it is its own batches that a process normalises.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    return create_ddp_model(model, broadcast_buffers=False, device_ids=None if on_cpu else [comm.get_local_rank()])


def check_same_weights(model: nn.Module, source: str) -> None:
    """Makes sure that every process has loaded the same parameters and buffers; the gradients alone are shared.

    Args:
        model: of this process.
        source: where they came from, for the message.

    Raises:
        ConfigError: they differ; in all processes.
    """
    check = 0
    for tensor in model.state_dict().values():
        check = zlib.crc32(tensor.cpu().contiguous().numpy(), check)
    different = [rank for rank, other in enumerate(comm.all_gather(check)) if other != check]
    if different:
        raise ConfigError(
            f"{source}: the processes have loaded different weights; all machines need the same files, best on a disk "
            "that they share"
        )


def share_buffers(model: nn.Module) -> None:
    """Gives all processes the first one's buffers, such as the running statistics of normalisation.

    Each process has counted its own; those of the first are what checkpoints hold, so those are to be judged.
    """
    if comm.get_world_size() > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)
