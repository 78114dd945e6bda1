"""The charts of a report: SVG, so that they are crisp at any size, each with a text that says what it shows.

They stand in the page as pictures of their own, since what is in a picture can neither run nor clash with the page.
"""

import base64
import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from campus_seg.evaluation.loss_curves import COLORS, loss_figure
from campus_seg.palette import hex_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from campus_seg.evaluation.run_comparison import RunComparison

DOTS = 96  # CSS pixels an inch
MOST_NAMED = 12  # lines in a legend
MOST_NUMBERED = 16  # classes of a confusion matrix whose cells have room for numbers
LONGEST = 24  # letters of a name
LINES = ("-", "--", "-.", ":")  # for those who cannot tell the colours
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito's colours, for runs
STYLE = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "campus_seg",  # the same chart is the same file
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Picture:
    """A picture that stands in the page itself.

    Attributes:
        uri: a data URI.
        alt: what it shows, for those who do not see it.
        width: in CSS pixels, where there is room.
        height: likewise.
    """

    uri: str
    alt: str
    width: int
    height: int


@contextlib.contextmanager
def _axes(width: float = 5.4, height: float = 4.0) -> Iterator[tuple["Figure", "Axes"]]:
    import matplotlib as mpl  # slow to import, and only needed here
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def _picture(figure: "Figure", alt: str) -> Picture:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    content = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = (round(DOTS * inches) for inches in figure.get_size_inches())
    return Picture(f"data:image/svg+xml;base64,{content}", alt, width, height)


def loss_chart(curves: dict[str, list[tuple[int, float]]], best: int | None) -> Picture:
    """The losses on train, val and test, with the best iteration marked."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        last = {name: curve[-1][1] for name, curve in curves.items() if name.endswith("total_loss")}
        said = ", ".join(
            f"{name.removesuffix('total_loss').strip('/') or 'train'} {value:.2f}" for name, value in last.items()
        )
        marked = "" if best is None else f" The best model is of iteration {best}."
        return _picture(loss_figure(curves, best, (7.4, 6.4)), f"Losses over iterations. At the end: {said}.{marked}")


def schedule_chart(lines: Sequence[Mapping[str, Any]]) -> Picture:
    """The learning rate, and how long a step took.

    Args:
        lines: of metrics.json that have `lr`.
    """
    iterations = [line["iteration"] for line in lines]
    rates, times = [line["lr"] for line in lines], [line.get("time", np.nan) for line in lines]
    with _axes(7.4, 2.8) as (figure, rate):
        rate.plot(iterations, rates, color=COLORS["train"], linewidth=1.8)
        rate.set(xlabel="iteration", ylabel="learning rate", ylim=(0, None))
        rate.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=False)
        seconds = rate.twinx()
        seconds.plot(iterations, times, color=COLORS["val"], linewidth=1, linestyle="--")
        seconds.set_ylabel("seconds a step (dashed)", color=COLORS["val"])
        seconds.set_ylim(bottom=0)
        seconds.grid(False)
        alt = (
            f"Learning rate over iterations: at most {max(rates):.2g}, at the end {rates[-1]:.2g}. Seconds a step, "
            f"median {np.nanmedian(times):.2f}."
        )
        return _picture(figure, alt)


def precision_recall_chart(analysis: Mapping[str, Any], colors: Sequence[tuple[int, int, int]]) -> Picture:
    """Precision against recall at IoU 0.5, a line for each class."""
    classes = [
        (entry["name"], color, entry["precision_recall"]["0.50"], entry["figures"]["segm"]["AP50"])
        for entry, color in zip(analysis["by_class"], colors, strict=True)
        if entry["precision_recall"]
    ]
    with _axes() as (figure, axes):
        recalls = np.linspace(0, 1, 101)
        for place, (name, color, precision, _) in enumerate(_weakest_first(classes)):
            axes.plot(recalls, precision, **_line(place, name, color))
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
        _legend(figure, len(classes))
        said = ", ".join(f"{name} {ap:.0f}" for name, _, _, ap in classes)
        return _picture(figure, f"Precision against recall of masks at IoU 0.5, by class. AP50: {said}.")


def f1_chart(analysis: Mapping[str, Any], colors: Sequence[tuple[int, int, int]]) -> Picture:
    """F1 over the score threshold, a line for each class, with a dot at the threshold that counts."""
    chosen = analysis["thresholds"]["by_class"]
    classes = [
        (entry["name"], color, entry["curve"]["f1"], entry["best"]["f1"])
        for entry, color in zip(analysis["by_class"], colors, strict=True)
        if entry["best"]["f1"] is not None
    ]
    with _axes() as (figure, axes):
        grid = np.linspace(0, 1, 101)
        for place, (name, color, f1, _) in enumerate(_weakest_first(classes)):
            values = np.array(f1, float)
            axes.plot(grid, values, **_line(place, name, color))
            at = chosen[name]
            axes.plot(at, np.interp(at, grid, values), marker="o", markersize=5, color=_ink(color))
        axes.set(xlabel="score threshold (dot: the one in use)", ylabel="F1", xlim=(0, 1.01), ylim=(0, 1.02))
        _legend(figure, len(classes))
        said = ", ".join(f"{name} {f1:.2f} (in use: {chosen[name]:.2f})" for name, _, _, f1 in classes)
        return _picture(figure, f"F1 over the score threshold, by class. Best F1: {said}.")


def confusion_chart(analysis: Mapping[str, Any]) -> Picture:
    """The confusion matrix: a row for each class, coloured by the share of the row."""
    confusion = analysis["confusion"]
    matrix = np.array(confusion["matrix"])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 0.42 if len(matrix) <= MOST_NUMBERED else 0.24
    with _axes(2.0 + side * len(matrix) * 1.25, 1.3 + side * len(matrix)) as (figure, axes):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(matrix)), [_short(name) for name in confusion["columns"]], rotation=40, ha="right")
        axes.set_yticks(range(len(matrix)), [_short(name) for name in confusion["rows"]])
        axes.set(xlabel="found as", ylabel="labelled")
        axes.grid(False)
        if len(matrix) <= MOST_NUMBERED + 1:
            for row, column in np.argwhere(matrix):
                color = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color, fontsize=8.5)
        return _picture(figure, "Confusion matrix at IoU 0.5. " + _most_confused(confusion, matrix))


def _most_confused(confusion: Mapping[str, Any], matrix: np.ndarray) -> str:
    rows, columns = confusion["rows"], confusion["columns"]
    mixed = matrix.copy()
    np.fill_diagonal(mixed, 0)
    order = np.argsort(-mixed, axis=None)[:3]
    most = [
        (row, column) for row, column in zip(*np.unravel_index(order, mixed.shape), strict=True) if mixed[row, column]
    ]
    said = [f"{rows[row]} {mixed[row, column]} times {_found_as(columns[column])}" for row, column in most]
    return f"Most often: {', '.join(said)}." if said else "Nothing is confused."


def _found_as(column: str) -> str:
    return column if column == "missed" else f"found as {column}"


def size_chart(analysis: Mapping[str, Any]) -> Picture:
    """AP of masks and boxes by the size of the object."""
    sizes = {"small": "APs", "medium": "APm", "large": "APl"}
    counts = {size: analysis["sizes"][size]["objects"] for size in sizes}
    with _axes() as (figure, axes):
        said = []
        for place, (task, color, name) in enumerate(
            (("segm", COLORS["train"], "masks"), ("bbox", COLORS["val"], "boxes"))
        ):
            values = [analysis["figures"][task][figure_name] for figure_name in sizes.values()]
            where = np.arange(3) + (place - 0.5) * 0.38
            axes.bar(where, [value or 0 for value in values], 0.36, color=color, label=name)
            for x, value in zip(where, values, strict=True):
                axes.text(x, (value or 0) + 1, "none" if value is None else f"{value:.0f}", ha="center", fontsize=8.5)
            said.append(f"{name} " + ", ".join(_say(size, value) for size, value in zip(sizes, values, strict=True)))
        names = [f"{size}\n{counts[size]} objects" for size in sizes]
        axes.set_xticks(range(3), names)
        axes.set(ylabel="AP", ylim=(0, 100))
        axes.grid(axis="x", visible=False)
        figure.legend(ncols=2, loc="outside upper right")
        return _picture(
            figure, f"AP by size of the object (small below 32 x 32 pixels, large from 96 x 96): {'; '.join(said)}."
        )


def _say(name: str, value: float | None) -> str:
    return f"{name}: no object" if value is None else f"{name} {value:.0f}"


def calibration_chart(analysis: Mapping[str, Any]) -> Picture:
    """Reliability: the share of detections that are right, by their score."""
    calibration = analysis["calibration"]
    bins = [entry for entry in calibration["bins"] if entry["detections"]]
    with _axes() as (figure, axes):
        axes.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1.2, label="as sure as right")
        for entry in bins:
            axes.bar((entry["low"] + entry["high"]) / 2, entry["right"], 0.09, color=COLORS["train"], alpha=0.75)
            axes.text(
                (entry["low"] + entry["high"]) / 2,
                entry["right"] + 0.015,
                str(entry["detections"]),
                ha="center",
                fontsize=8,
            )
        axes.set(xlabel="score (numbers: detections)", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.08))
        axes.legend(loc="upper left")
        said = ", ".join(f"{entry['score']:.2f}: {entry['right']:.0%}" for entry in bins)
        error = "" if calibration["ece"] is None else f" Expected calibration error {calibration['ece']:.2f}."
        return _picture(figure, f"Reliability. Of detections with a mean score of, so many are right: {said}.{error}")


def error_chart(analysis: Mapping[str, Any]) -> Picture:
    """What each kind of error costs (TIDE)."""
    costs, counts = analysis["errors"]["costs"], analysis["errors"]["counts"]
    kinds = sorted(costs, key=costs.get)
    with _axes() as (figure, axes):
        axes.barh(kinds, [costs[kind] for kind in kinds], 0.7, color=COLORS["val"])
        top = max(costs.values(), default=0) or 1
        for place, kind in enumerate(kinds):
            axes.text(costs[kind] + top / 60, place, f"{costs[kind]:.1f}  ({counts[kind]})", va="center", fontsize=8.5)
        axes.set(xlabel="points of AP50 it costs (errors of this kind)", xlim=(0, 1.25 * top))
        axes.grid(axis="y", visible=False)
        said = ", ".join(f"{kind} {costs[kind]:.1f}" for kind in reversed(kinds))
        return _picture(figure, f"Points of AP50 that each kind of error costs: {said}.")


def object_chart(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Picture:
    """How many objects each class has in each split.

    Args:
        counts: split -> class -> objects.
        classes: from the first to the last.
    """
    with _axes(7.4, 1.2 + 0.3 * len(classes)) as (figure, axes):
        left = np.zeros(len(classes))
        for split, color in COLORS.items():
            values = np.array([counts[split].get(name, 0) for name in classes])
            axes.barh(range(len(classes)), values, 0.72, left=left, color=color, label=split)
            left += values
        axes.set_yticks(range(len(classes)), [_short(name) for name in classes])
        axes.invert_yaxis()
        axes.set_xlabel("objects")
        axes.grid(axis="y", visible=False)
        figure.legend(ncols=3, loc="outside upper right")
        said = "; ".join(
            f"{name} " + ", ".join(f"{counts[split].get(name, 0)} {split}" for split in COLORS) for name in classes
        )
        return _picture(figure, f"Objects by class and split: {said}.")


def object_size_chart(sides: Mapping[str, np.ndarray]) -> Picture:
    """How large objects are: the square root of their areas in pixels, by split."""
    everyone = np.concatenate(list(sides.values()))
    edges = np.geomspace(max(1.0, everyone.min(initial=1000)), max(2.0, everyone.max(initial=2)) * 1.001, 25)
    with _axes(7.4, 2.8) as (figure, axes):
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
        return _picture(figure, f"Sizes of {len(everyone)} objects: {small:.0%} small, {large:.0%} large.")


def difference_chart(compared: "RunComparison") -> Picture:
    """How far runs are from the first, over all classes and by class: a dot each, and the interval of the draws."""
    names = ["all", *compared.classes]
    with _axes(7.4, 1.5 + 0.34 * len(names)) as (figure, axes):
        axes.axvline(0, color="black", linewidth=1)
        runs = len(compared.others)
        for place, (run, overall, by_class) in enumerate(
            zip(compared.others, compared.overall, compared.by_class, strict=True)
        ):
            each = [overall, *(by_class[name] for name in compared.classes)]
            rows = np.arange(len(names)) + (place - (runs - 1) / 2) * 0.6 / runs
            color = SERIES[place % len(SERIES)]
            axes.hlines(rows, [it.low for it in each], [it.high for it in each], color=color, linewidth=2)
            axes.plot([it.value for it in each], rows, "o", color=color, markersize=5, label=_short(run.name))
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.invert_yaxis()
        axes.set_xlabel(f"mask AP, against {_short(compared.base.name)}")
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside upper right", ncols=3)
        said = ", ".join(
            f"{run.name} {it.value:+.1f} ({it.low:+.1f} to {it.high:+.1f})"
            for run, it in zip(compared.others, compared.overall, strict=True)
        )
        return _picture(figure, f"Differences of mask AP from {compared.base.name}, over all classes: {said}.")


def _weakest_first(classes: Sequence[tuple]) -> list[tuple]:
    return sorted(classes, key=lambda each: each[3])


def _line(place: int, name: str, color: tuple[int, int, int]) -> dict[str, Any]:
    """How the line of a class is drawn; the legend names the weakest."""
    label = _short(name) if place < MOST_NAMED else None
    return {"color": _ink(color), "linewidth": 1.7, "linestyle": LINES[place % len(LINES)], "label": label}


def _legend(figure: "Figure", lines: int) -> None:
    if lines:
        title = None if lines <= MOST_NAMED else f"the weakest of {lines}"
        figure.legend(loc="outside lower center", title=title, ncols=3)


def _ink(color: tuple[int, int, int]) -> str:
    """A class's colour, darker, so that also yellow is seen on white."""
    return hex_color(tuple(round(channel * 0.78) for channel in color))


def _short(name: str) -> str:
    """A name as a chart can show it: not too long, nothing that XML forbids, no "_" first, which legends leave out."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    name = f" {name}" if name.startswith("_") else name
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
