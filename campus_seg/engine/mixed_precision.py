"""Mixed precision on a CPU, where Detectron2's own trainer for it wants a GPU."""

import time

import torch
from detectron2.engine import SimpleTrainer


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
