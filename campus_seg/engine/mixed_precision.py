"""Mixed precision: where a training has it, and on a CPU, where Detectron2's own trainer for it wants a GPU."""

import logging
import time
from collections.abc import Collection

import torch
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, SimpleTrainer

from campus_seg.config import on_cpu
from campus_seg.engine.schedule import Remark
from campus_seg.errors import ConfigError
from campus_seg.processes import cpu_has_bf16


def resolve_precision(cfg: CfgNode, given: Collection[str]) -> list[Remark]:
    """Sets SOLVER.AMP.ENABLED, in place, by CAMPUS.PRECISION.

    Args:
        cfg: not frozen.
        given: the keys given with the command; if SOLVER.AMP.ENABLED is one of them, it stays.

    Returns:
        What to tell the user, a line each.

    Raises:
        ConfigError: CAMPUS.PRECISION is none of its values.
    """
    if cfg.CAMPUS.PRECISION not in ("auto", ""):
        raise ConfigError(
            f"CAMPUS.PRECISION {cfg.CAMPUS.PRECISION!r}: choose auto, or '' with SOLVER.AMP.ENABLED True or False"
        )
    if not cfg.CAMPUS.PRECISION or "SOLVER.AMP.ENABLED" in given or not on_cpu(cfg):
        return []
    cfg.SOLVER.AMP.ENABLED = cpu_has_bf16()
    if not cfg.SOLVER.AMP.ENABLED:
        return []
    return [(logging.INFO, "Mixed precision, since this processor has bfloat16; SOLVER.AMP.ENABLED False is without")]


def steps_of(cfg: CfgNode) -> type[SimpleTrainer]:
    """What does the steps of a training, by SOLVER.AMP.ENABLED and MODEL.DEVICE."""
    if not cfg.SOLVER.AMP.ENABLED:
        return SimpleTrainer
    return CpuAutocastTrainer if on_cpu(cfg) else AMPTrainer


class CpuAutocastTrainer(SimpleTrainer):
    """Detectron2's SimpleTrainer with the forward pass in bfloat16 where torch's autocast takes it for safe.

    bfloat16 has the range of float32, so gradients need no scaling, and there is nothing more for a checkpoint to hold.
    """

    def run_step(self) -> None:
        """One step, as of SimpleTrainer; backward is outside of autocast, which chose each operation's type already."""
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        with torch.autocast("cpu", torch.bfloat16):
            losses = self.model(data)
            total = sum(losses.values())
        self.optimizer.zero_grad()
        total.backward()
        self.after_backward()
        self._write_metrics(losses, data_time)
        self.optimizer.step()
