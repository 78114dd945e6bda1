"""The charts of a run's training and data, and of runs side by side; see `charts` for those of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from campus_seg.evaluation.loss_curves import COLORS, loss_figure
from campus_seg.evaluation.pictures import STYLE, Picture, draw_axes, short_name, svg_picture

if TYPE_CHECKING:
    from campus_seg.evaluation.run_comparison import RunComparison

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito's colours, for runs


def loss_chart(curves: dict[str, list[tuple[int, float]]], best: int | None) -> Picture:
    """The losses on train, val and test, with the best iteration marked."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        last = {name: curve[-1][1] for name, curve in curves.items() if name.endswith("total_loss")}
        said = ", ".join(
            f"{name.removesuffix('total_loss').strip('/') or 'train'} {value:.2f}" for name, value in last.items()
        )
        marked = "" if best is None else f" The best model is of iteration {best}."
        return svg_picture(
            loss_figure(curves, best, (5.8, 6.2)), f"Losses over iterations. At the end: {said}.{marked}"
        )


def schedule_chart(lines: Sequence[Mapping[str, Any]]) -> Picture:
    """The learning rate, and how long a step took.

    Args:
        lines: of metrics.json that have `lr`.
    """
    iterations = [line["iteration"] for line in lines]
    rates = [line["lr"] for line in lines]
    timed = [(line["iteration"], line["time"]) for line in lines if "time" in line]
    alt = f"Learning rate over iterations: at most {max(rates):.2g}, at the end {rates[-1]:.2g}."
    with draw_axes(5.8, 2.8) as (figure, rate):
        rate.plot(iterations, rates, color=COLORS["train"], linewidth=1.8)
        rate.set(xlabel="iteration", ylabel="learning rate", ylim=(0, None))
        rate.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=False)
        if timed:  # a run of a few steps has no time yet
            seconds = rate.twinx()
            seconds.plot(*zip(*timed, strict=True), color=COLORS["val"], linewidth=1, linestyle="--")
            seconds.set_ylabel("seconds a step (dashed)", color=COLORS["val"])
            seconds.set_ylim(bottom=0)
            seconds.grid(False)
            alt += f" Seconds a step, median {np.median([time for _, time in timed]):.2f}."
        return svg_picture(figure, alt)


def object_chart(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Picture:
    """How many objects each class has in each split.

    Args:
        counts: split -> class -> objects.
        classes: from the first to the last.
    """
    with draw_axes(5.8, 1.2 + 0.3 * len(classes)) as (figure, axes):
        left = np.zeros(len(classes))
        for split, color in COLORS.items():
            values = np.array([counts[split].get(name, 0) for name in classes])
            axes.barh(range(len(classes)), values, 0.72, left=left, color=color, label=split)
            left += values
        axes.set_yticks(range(len(classes)), [short_name(name) for name in classes])
        axes.invert_yaxis()
        axes.set_xlabel("objects")
        axes.grid(axis="y", visible=False)
        figure.legend(ncols=3, loc="outside upper right")
        said = "; ".join(
            f"{name} " + ", ".join(f"{counts[split].get(name, 0)} {split}" for split in COLORS) for name in classes
        )
        return svg_picture(figure, f"Objects by class and split: {said}.")


def object_size_chart(sides: Mapping[str, np.ndarray]) -> Picture:
    """How large objects are: the square root of their areas in pixels, by split."""
    everyone = np.concatenate(list(sides.values()))
    edges = np.geomspace(max(1.0, everyone.min(initial=1000)), max(2.0, everyone.max(initial=2)) * 1.001, 25)
    with draw_axes(5.8, 2.8) as (figure, axes):
        axes.hist(
            [sides[split] for split in COLORS], edges, stacked=True, color=list(COLORS.values()), label=list(COLORS)
        )
        for limit in (32, 96):
            axes.axvline(limit, color="black", linestyle=":", linewidth=1.2)
        axes.set_xscale("log")
        ticks = [tick for tick in (4, 8, 16, 32, 64, 96, 128, 256, 512, 1024, 2048) if edges[0] <= tick <= edges[-1]]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="side of a square as large, pixels (dotted: COCO's small and large)", ylabel="objects")
        figure.legend(ncols=3, loc="outside upper right")
        small, large = (everyone < 32).mean() if len(everyone) else 0, (everyone >= 96).mean() if len(everyone) else 0
        return svg_picture(figure, f"Sizes of {len(everyone)} objects: {small:.0%} small, {large:.0%} large.")


def difference_chart(compared: "RunComparison") -> Picture:
    """How far runs are from the first, over all classes and by class: a dot each, and the interval of the draws."""
    names = ["all", *compared.classes]
    with draw_axes(5.8, 1.5 + 0.34 * len(names)) as (figure, axes):
        axes.axvline(0, color="black", linewidth=1)
        runs = len(compared.others)
        for place, (run, overall, by_class) in enumerate(
            zip(compared.others, compared.overall, compared.by_class, strict=True)
        ):
            each = [overall, *(by_class[name] for name in compared.classes)]
            rows = np.arange(len(names)) + (place - (runs - 1) / 2) * 0.6 / runs
            color = SERIES[place % len(SERIES)]
            axes.hlines(rows, [it.low for it in each], [it.high for it in each], color=color, linewidth=2)
            axes.plot([it.value for it in each], rows, "o", color=color, markersize=5, label=short_name(run.name))
        axes.set_yticks(range(len(names)), [short_name(name) for name in names])
        axes.invert_yaxis()
        axes.set_xlabel(f"mask AP, against {short_name(compared.base.name)}")
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside upper right", ncols=3)
        said = ", ".join(
            f"{run.name} {it.value:+.1f} ({it.low:+.1f} to {it.high:+.1f})"
            for run, it in zip(compared.others, compared.overall, strict=True)
        )
        return svg_picture(figure, f"Differences of mask AP from {compared.base.name}, over all classes: {said}.")
