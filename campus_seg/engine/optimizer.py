"""The optimizer: built from the config, and restored so that the config's own rates count."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from detectron2 import solver
from detectron2.config import CfgNode
from detectron2.solver import get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from torch import Tensor, nn

from campus_seg.errors import ConfigError

ANEW = "leave the key out, or begin anew from its weights with MODEL.WEIGHTS and another OUTPUT_DIR"


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Detectron2's SGD, or AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).

    AdamW takes BASE_LR, WEIGHT_DECAY and WEIGHT_DECAY_NORM from `cfg.SOLVER`.
    """
    if cfg.CAMPUS.OPTIMIZER == "SGD":
        return solver.build_optimizer(cfg, model)
    parameters = get_default_optimizer_params(model, weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM)
    adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
    return adamw(parameters, lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY)


def check_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], path: Path) -> None:
    """Makes sure that an optimizer can take up the state in a checkpoint, and changes nothing.

    Args:
        optimizer: as the config has it.
        state: what the one that was saved gave as its `state_dict`.
        path: of the checkpoint, for the message.

    Raises:
        ConfigError: it was another optimizer, or of other parameters.
    """
    saved, groups = state["param_groups"], optimizer.param_groups
    was, now = ("AdamW" if "betas" in each[0] else "SGD" for each in (saved, groups))
    if was != now:
        raise ConfigError(f"CAMPUS.OPTIMIZER {now}: {path} was trained with {was}, which a run keeps; {ANEW}")
    sizes, wanted = ([len(group["params"]) for group in each] for each in (saved, groups))
    if sum(sizes) != sum(wanted):
        raise ConfigError(
            f"{path}: {sum(sizes)} parameters were trained, and by these keys {sum(wanted)} would be; a run keeps what "
            f"is frozen by MODEL.BACKBONE.FREEZE_AT: {ANEW}"
        )
    parameters = dict(zip(_ids(saved), chain.from_iterable(group["params"] for group in groups), strict=True))
    tensors = [
        (value, parameters[number])
        for number, each in state["state"].items()
        for value in each.values()
        if isinstance(value, Tensor) and value.dim()  # a count of steps is a tensor, too
    ]
    if sizes != wanted or any(value.shape != parameter.shape for value, parameter in tensors):
        raise ConfigError(
            f"{path}: its parameters are in other groups, which SOLVER.BIAS_LR_FACTOR, SOLVER.WEIGHT_DECAY_BIAS and "
            f"SOLVER.WEIGHT_DECAY_NORM may make, and a run keeps them; {ANEW}"
        )


def _ids(saved: list[dict[str, Any]]) -> list[int]:
    return [number for group in saved for number in group["params"]]


def hyperparameters(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Everything about the groups of an optimizer but their parameters, such as "initial_lr" and "weight_decay"."""
    return [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]


def set_hyperparameters(optimizer: torch.optim.Optimizer, scheduler, groups: list[dict[str, Any]]) -> None:
    """Gives a restored optimizer the config's hyperparameters, and the rate that the config's curve has now.

    The state that was restored holds those of the run until then. Where nothing has changed, this changes no bit.

    Args:
        optimizer: restored.
        scheduler: of the config's curve, restored to the iteration that comes next.
        groups: from `hyperparameters`, before anything was restored.
    """
    for group, own in zip(optimizer.param_groups, groups, strict=True):
        group.update(own)
    scheduler.base_lrs = [own["initial_lr"] for own in groups]
    for group, rate in zip(optimizer.param_groups, scheduler.get_lr(), strict=True):
        group["lr"] = rate
