"""The charts of an evaluation: SVG, so that they are crisp at any size, each with a text that says what it shows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from campus_seg.evaluation.loss_curves import COLORS
from campus_seg.evaluation.pictures import Picture, draw_axes, short_name, svg_picture
from campus_seg.palette import hex_color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMED = 12  # lines in a legend
MOST_NUMBERED = 17  # rows of a confusion matrix whose cells have room for numbers
LINES = ("-", "--", "-.", ":")  # for those who cannot tell the colours


def precision_recall_chart(analysis: Mapping[str, Any], colors: Sequence[tuple[int, int, int]]) -> Picture:
    """Precision against recall at IoU 0.5, a line for each class."""
    classes = [
        (entry["name"], color, entry["precision_recall"]["0.50"], entry["figures"]["segm"]["AP50"])
        for entry, color in zip(analysis["by_class"], colors, strict=True)
        if entry["precision_recall"]
    ]
    with draw_axes() as (figure, axes):
        recalls = np.linspace(0, 1, 101)
        for place, (name, color, precision, _) in enumerate(_weakest_first(classes)):
            axes.plot(recalls, precision, **_line(place, name, color))
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
        _legend(figure, len(classes))
        said = ", ".join(f"{name} {ap:.0f}" for name, _, _, ap in classes)
        return svg_picture(figure, f"Precision against recall of masks at IoU 0.5, by class. AP50: {said}.")


def f1_chart(analysis: Mapping[str, Any], colors: Sequence[tuple[int, int, int]]) -> Picture:
    """F1 over the score threshold, a line for each class, with a dot at the threshold that counts."""
    chosen = analysis["thresholds"]["by_class"]
    classes = [
        (entry["name"], color, entry["curve"]["f1"], entry["best"]["f1"])
        for entry, color in zip(analysis["by_class"], colors, strict=True)
        if entry["best"]["f1"] is not None
    ]
    with draw_axes() as (figure, axes):
        grid = np.linspace(0, 1, 101)
        for place, (name, color, f1, _) in enumerate(_weakest_first(classes)):
            values = np.array(f1, float)
            axes.plot(grid, values, **_line(place, name, color))
            at = chosen[name]
            axes.plot(at, np.interp(at, grid, values), marker="o", markersize=5, color=_ink(color))
        axes.set(xlabel="score threshold (dot: the one in use)", ylabel="F1", xlim=(0, 1.01), ylim=(0, 1.02))
        _legend(figure, len(classes))
        said = ", ".join(f"{name} {f1:.2f} (in use: {chosen[name]:.2f})" for name, _, _, f1 in classes)
        return svg_picture(figure, f"F1 over the score threshold, by class. Best F1: {said}.")


def confusion_chart(analysis: Mapping[str, Any]) -> Picture:
    """The confusion matrix: a row for each class, coloured by the share of the row."""
    confusion = analysis["confusion"]
    matrix = np.array(confusion["matrix"])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 0.42 if len(matrix) <= MOST_NUMBERED else 0.24
    with draw_axes(2.0 + side * len(matrix) * 1.25, 1.3 + side * len(matrix)) as (figure, axes):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(
            range(len(matrix)), [short_name(name) for name in confusion["columns"]], rotation=40, ha="right"
        )
        axes.set_yticks(range(len(matrix)), [short_name(name) for name in confusion["rows"]])
        axes.set(xlabel="found as", ylabel="labelled")
        axes.grid(False)
        if len(matrix) <= MOST_NUMBERED:
            for row, column in np.argwhere(matrix):
                color = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color, fontsize=8.5)
        return svg_picture(figure, "Confusion matrix at IoU 0.5. " + _most_confused(confusion, matrix))


def _most_confused(confusion: Mapping[str, Any], matrix: np.ndarray) -> str:
    rows = confusion["rows"]
    columns = [f"found as {name}" for name in confusion["columns"][:-1]] + ["missed"]
    mixed = matrix.copy()
    np.fill_diagonal(mixed, 0)
    order = np.argsort(-mixed, axis=None)[:3]
    most = [
        (row, column) for row, column in zip(*np.unravel_index(order, mixed.shape), strict=True) if mixed[row, column]
    ]
    said = [f"{rows[row]} {mixed[row, column]} times {columns[column]}" for row, column in most]
    return f"Most often: {', '.join(said)}." if said else "Nothing is confused."


def size_chart(analysis: Mapping[str, Any]) -> Picture:
    """AP of masks and boxes by the size of the object."""
    sizes = {"small": "APs", "medium": "APm", "large": "APl"}
    counts = {size: analysis["sizes"][size]["objects"] for size in sizes}
    with draw_axes() as (figure, axes):
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
        return svg_picture(
            figure, f"AP by size of the object (small below 32 x 32 pixels, large from 96 x 96): {'; '.join(said)}."
        )


def _say(name: str, value: float | None) -> str:
    return f"{name}: no object" if value is None else f"{name} {value:.0f}"


def calibration_chart(analysis: Mapping[str, Any]) -> Picture:
    """Reliability: the share of detections that are right, by their score."""
    calibration = analysis["calibration"]
    bins = [entry for entry in calibration["bins"] if entry["detections"]]
    with draw_axes() as (figure, axes):
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
        return svg_picture(
            figure, f"Reliability. Of detections with a mean score of, so many are right: {said}.{error}"
        )


def error_chart(analysis: Mapping[str, Any]) -> Picture:
    """What each kind of error costs (TIDE)."""
    costs, counts = analysis["errors"]["costs"], analysis["errors"]["counts"]
    kinds = sorted(costs, key=costs.get)
    with draw_axes() as (figure, axes):
        axes.barh(kinds, [costs[kind] for kind in kinds], 0.7, color=COLORS["val"])
        top = max(costs.values(), default=0) or 1
        for place, kind in enumerate(kinds):
            axes.text(costs[kind] + top / 60, place, f"{costs[kind]:.1f}  ({counts[kind]})", va="center", fontsize=8.5)
        axes.set(xlabel="points of AP50 it costs (errors of this kind)", xlim=(0, 1.25 * top))
        axes.grid(axis="y", visible=False)
        said = ", ".join(f"{kind} {costs[kind]:.1f}" for kind in reversed(kinds))
        return svg_picture(figure, f"Points of AP50 that each kind of error costs: {said}.")


def _weakest_first(classes: Sequence[tuple]) -> list[tuple]:
    return sorted(classes, key=lambda each: each[3])


def _line(place: int, name: str, color: tuple[int, int, int]) -> dict[str, Any]:
    """How the line of a class is drawn; the legend names the weakest."""
    label = short_name(name) if place < MOST_NAMED else None
    return {"color": _ink(color), "linewidth": 1.7, "linestyle": LINES[place % len(LINES)], "label": label}


def _legend(figure: "Figure", lines: int) -> None:
    if lines:
        title = None if lines <= MOST_NAMED else f"the weakest of {lines}"
        figure.legend(loc="outside lower center", title=title, ncols=3)


def _ink(color: tuple[int, int, int]) -> str:
    """A class's colour, darker, so that also yellow is seen on white."""
    return hex_color(tuple(round(channel * 0.78) for channel in color))
