"""The losses of a run, out of its metrics.json, as curves."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campus_seg.atomic_writes import replacing
from campus_seg.metrics_file import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOTAL = "total_loss"
# Okabe and Ito's colours, which differ for the colour-blind, too; those of the parts are none of the totals'.
COLORS = {"train": "#0072B2", "val": "#D55E00", "test": "#009E73"}
PART_COLORS = ("#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#000000")
SMOOTHING = 0.1  # of the line, as a share of all its points


def losses_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Curves of a run's losses.

    Args:
        lines: those of metrics.json, as Detectron2's JSONWriter writes it.

    Returns:
        Name ("total_loss", "loss_cls" …, "val/total_loss" …, "test/…") -> (iteration, loss) in the order of the
        iterations.
    """
    points: dict[str, dict[int, float]] = {}
    for values in lines:
        for name, value in values.items():
            kind = name.rpartition("/")[2]
            if kind == TOTAL or kind.startswith("loss_"):
                points.setdefault(name, {})[values["iteration"]] = value
    return {name: sorted(curve.items()) for name, curve in points.items()}


def plot_losses(metrics: Path, picture: Path, best: int | None = None) -> None:
    """Draws the loss curves of a metrics.json as a picture: above the totals, below their parts."""
    figure = loss_figure(losses_of(read_metrics(metrics)), best)
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=120)


def loss_figure(
    curves: dict[str, list[tuple[int, float]]], best: int | None = None, size: tuple[float, float] = (9, 8)
) -> "Figure":
    """Loss curves: above the totals, below their parts, and the `best` iteration.

    Args:
        curves: as `losses_of` gives them.
        best: the iteration of the best model, None where there is none.
        size: width and height in inches.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=size, layout="constrained")
    totals, parts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_totals(totals, curves)
    _draw_parts(parts, curves)
    for axes in (totals, parts):
        if best is not None:
            label = f"best model, iteration {best}" if axes is totals else None
            axes.axvline(best, color="black", linestyle=":", linewidth=1.2, label=label)
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("loss")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(ncols=2, fontsize="small", loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")
    totals.set_title("Losses")
    parts.set_xlabel("iteration")
    return figure


def _draw_totals(axes, curves: dict[str, list[tuple[int, float]]]) -> None:
    if TOTAL in curves:
        iterations, losses = zip(*curves[TOTAL], strict=True)
        axes.plot(iterations, losses, color=COLORS["train"], linewidth=0.8, alpha=0.5, label="train")
        axes.plot(iterations, smoothed(losses), color=COLORS["train"], linewidth=2, label="train, smoothed")
    for split in ("val", "test"):
        if f"{split}/{TOTAL}" in curves:
            iterations, losses = zip(*curves[f"{split}/{TOTAL}"], strict=True)
            axes.plot(iterations, losses, color=COLORS[split], linewidth=2, marker="o", markersize=3, label=split)
    if TOTAL in curves:
        # The first steps from scratch can lie so high that all that follows is one flat line.
        later = sorted(loss for name, curve in curves.items() if name.endswith(TOTAL) for _, loss in curve)
        axes.set_ylim(top=1.2 * later[math.ceil(0.98 * len(later)) - 1])


def _draw_parts(axes, curves: dict[str, list[tuple[int, float]]]) -> None:
    names = sorted(name for name in curves if name.startswith("loss_"))
    for i, name in enumerate(names):
        color = PART_COLORS[i % len(PART_COLORS)]
        iterations, losses = zip(*curves[name], strict=True)
        axes.plot(iterations, smoothed(losses), color=color, linewidth=1.2, label=name)
        if f"val/{name}" in curves:
            axes.plot(*zip(*curves[f"val/{name}"], strict=True), color=color, linewidth=1.2, linestyle="--")
    axes.set_title("Their parts: train, smoothed (solid) and val (dashed)", fontsize="medium")


def smoothed(values: Sequence[float]) -> list[float]:
    """Means over a window around each value, a tenth of all values wide, and narrower towards both ends."""
    reach = round(SMOOTHING * len(values) / 2)
    result = []
    for i in range(len(values)):
        near = min(reach, i, len(values) - 1 - i)  # symmetric, or the line would lag behind at the ends
        window = values[i - near : i + near + 1]
        result.append(sum(window) / len(window))
    return result
