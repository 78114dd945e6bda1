"""Figures as lines for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from detectron2.utils.logger import create_small_table

from campus_seg.evaluation.run_comparison import RunComparison


def figures_lines(analysis: Mapping[str, Any], split: str) -> Iterator[str]:
    """What predictions are worth, by task and class.

    Args:
        analysis: as of analysis.json.
        split: whose photos they are judged on.
    """
    for task, figures in analysis["figures"].items():
        known = {name: value for name, value in figures.items() if name.startswith("AP") and value is not None}
        yield f"{task}, {analysis['photos']} {split} photos, {analysis['objects']} objects:"
        yield create_small_table(known) if known else "no object to judge by"
    for entry in analysis["by_class"]:
        ap = entry["figures"]["segm"]["AP"]
        yield f"  {entry['name']}: {entry['reason'] if ap is None else f'mask AP {ap:.1f}'}"


def comparison_lines(compared: RunComparison) -> Iterator[str]:
    """How runs differ from the first."""
    yield f"Mask AP on the {compared.photos} {compared.split} photos that all runs were evaluated on"
    yield f"  {compared.overall[0].first:5.1f}  {compared.base.place}"
    for run, difference in zip(compared.others, compared.overall, strict=True):
        interval = f"95 % of draws {difference.low:+.1f} to {difference.high:+.1f}"
        yield f"  {difference.second:5.1f}  {run.place} ({difference.value:+.1f}, {interval}: {difference.verdict})"
    if compared.left_out:
        yield f"  Left out, since not all runs know them: {', '.join(compared.left_out)}"
