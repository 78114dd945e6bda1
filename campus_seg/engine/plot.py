"""The losses of a run as a picture, while it trains."""

from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm

from campus_seg.engine.best import BestModel
from campus_seg.evaluation.loss_curves import plot_losses
from campus_seg.metrics_file import METRICS_FILE


class LossPlot(HookBase):
    """Draws the losses in metrics.json as losses.png, every `period` iterations and at the end."""

    def __init__(self, output_dir: str, period: int, best: BestModel | None = None):
        self.output_dir = Path(output_dir)
        self.period = period
        self.best = best

    def after_step(self) -> None:
        """Draws where the period says so; Detectron2's hook interface."""
        if (self.trainer.iter + 1) % self.period == 0:
            self._draw()

    def after_train(self) -> None:
        """Draws once more when training ends; Detectron2's hook interface."""
        self._draw()

    def _draw(self) -> None:
        metrics = self.output_dir / METRICS_FILE
        if comm.is_main_process() and metrics.is_file():
            plot_losses(metrics, self.output_dir / "losses.png", self.best.best.iteration if self.best else None)
