"""What a training run does beside its steps."""

import json
from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm

from campus_seg.storage import replacing


class LossPlot(HookBase):
    """Draws the losses in metrics.json as losses.png, every `period` iterations and at the end."""

    def __init__(self, output_dir: str, period: int):
        self.output_dir = Path(output_dir)
        self.period = period

    def after_step(self) -> None:
        """Draws where the period says so; Detectron2's hook interface."""
        if (self.trainer.iter + 1) % self.period == 0:
            self._draw()

    def after_train(self) -> None:
        """Draws once more when training ends; Detectron2's hook interface."""
        self._draw()

    def _draw(self) -> None:
        metrics = self.output_dir / "metrics.json"
        if comm.is_main_process() and metrics.is_file():
            plot_losses(metrics, self.output_dir / "losses.png")


def read_losses(metrics: Path) -> dict[str, list[tuple[int, float]]]:
    """Curves of a run's losses.

    Args:
        metrics: metrics.json, one JSON object a line as Detectron2's JSONWriter writes it.

    Returns:
        Name ("total_loss", "loss_cls" …) -> (iteration, loss) in the order of the iterations.
    """
    points: dict[str, dict[int, float]] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        for name, value in values.items():
            if name == "total_loss" or name.startswith("loss_"):
                points.setdefault(name, {})[values["iteration"]] = value
    return {name: sorted(curve.items()) for name, curve in points.items()}


def plot_losses(metrics: Path, picture: Path) -> None:
    """Draws the loss curves of a metrics.json, the total thick and its parts thin."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in sorted(read_losses(metrics).items()):
        iterations, losses = zip(*curve, strict=True)
        total = name == "total_loss"
        axes.plot(iterations, losses, label=f"train {name}", linewidth=2 if total else 0.8, alpha=1 if total else 0.7)
    axes.set(xlabel="iteration", ylabel="loss", title="Losses")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=120)
