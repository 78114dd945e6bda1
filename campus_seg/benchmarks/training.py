"""Training steps on a CPU: this project against Detectron2's stock DefaultTrainer and a loop with torchvision's model.

All sides of a comparison train the same design on the same photos with the same batch, start-up not counted. Each has
a process of its own with its own loader, and they take turns, so that a machine whose speed drifts is fair to all.
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from campus_seg.benchmarks.timing import do_in_turn
from campus_seg.benchmarks.worker import Worker
from campus_seg.environment import take_large_pages

SIDES_MODULE = "campus_seg.benchmarks.training_sides"
CLASSES = ("bench", "car", "dog", "fire extinguisher", "horse statue", "person")
WARM_UP = 2  # steps that do not count
# What is compared: config, photos a batch, and steps in a turn, about as many seconds for all.
MODELS = {"mini": ("mask_rcnn_mini_FPN.yaml", 4, 20), "r50": ("mask_rcnn_R_50_FPN.yaml", 2, 1)}
TRAIN_SIDES = ("ours_mini", "stock_mini", "ours_r50", "stock_r50", "torchvision_r50")


@dataclass(frozen=True)
class Work:
    """What every side's process is given.

    Attributes:
        config: name of a config.
        folder: with the imported photos.
        classes: of these.
        batch: photos a step.
        threads: compute threads.
        workers: of the loader.
        opts: keys that win over the config.
    """

    config: str
    folder: str
    classes: list[str]
    batch: int
    threads: int
    workers: int
    opts: list[str]


def measure_train(args: argparse.Namespace) -> dict[str, Any]:
    """Times the sides.

    Args:
        args: of tools/benchmark.py: export, photos, turns, threads, workers, sides and opts.

    Returns:
        A table as text; seconds a step, photos a second, the share of the time that a step waits for its photos, and
        peak MB of each side; and under "ratios" photos a second, ours over the other's.

    Raises:
        CampusError: an export or keys that cannot be used.
    """
    from campus_seg.benchmarks.curves import draw_export

    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        export = args.export or str(draw_export(Path(scratch), CLASSES, args.photos, seed=0))
        folder = Path(scratch, "import")
        classes = import_once(export, folder, args.opts)
        for model, (config, batch, steps) in MODELS.items():
            sides = [side for side in args.sides if side.endswith(f"_{model}")]
            work = Work(config, str(folder), classes, batch, args.threads, args.workers, args.opts)
            figures |= take_turns(dict.fromkeys(sides, work), args.turns, steps)
    ratios = {}
    for name, other in (("mini_vs_stock", "stock"), ("r50_vs_stock", "stock"), ("r50_vs_torchvision", "torchvision")):
        ours, theirs = (f"{side}_{name.partition('_')[0]}" for side in ("ours", other))
        if {ours, theirs} <= figures.keys():
            ratios[f"train_{name}"] = figures[ours]["photos_a_second"] / figures[theirs]["photos_a_second"]
    return {"table": as_table(figures), "sides": figures, "ratios": ratios}


def import_once(export: str, folder: Path, opts: list[str]) -> list[str]:
    """Imports an export, all of it to train on; returns its classes."""
    from campus_seg.config import export_options, load_config
    from campus_seg.data.datasets import choose_splits, write_datasets
    from campus_seg.label_studio.export import read_export

    cfg = load_config(MODELS["mini"][0], ["CAMPUS.EXPORT", export, *opts])
    content = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    splits = choose_splits(content, [1.0, 0.0, 0.0], 0, {}, "")
    write_datasets(content, splits, folder, cfg.CAMPUS.EXPORT)
    return content.classes


def take_turns(works: Mapping[str, Work], turns: int, steps: int) -> dict[str, dict[str, Any]]:
    """Trains the sides in turn, each on its own work; of a side's turns the median counts."""
    figures = {}
    with contextlib.ExitStack() as stack:
        prepare = {side: take_large_pages if side.startswith("ours") else None for side in works}
        workers = {
            side: stack.enter_context(Worker(SIDES_MODULE, side, work, prepare[side])) for side, work in works.items()
        }
        for worker in workers.values():
            worker.do(WARM_UP)
        taken = do_in_turn({side: partial(worker.do, steps) for side, worker in workers.items()}, turns)
        for side, work in works.items():
            seconds, waiting = zip(*taken[side], strict=True)
            step = statistics.median(seconds) / steps
            figures[side] = {
                "what": workers[side].what,
                "seconds_a_step": step,
                "photos_a_second": work.batch / step,
                "data_time_share": sum(waiting) / sum(seconds),
                "peak_mb": workers[side].peak_mb(),
            }
    return figures


def as_table(figures: dict[str, dict[str, Any]]) -> str:
    """The figures in Markdown, a line a side."""
    lines = [
        "| side | photos a second | seconds a step | waiting for photos | peak MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for figure in figures.values():
        lines.append(
            f"| {figure['what']} | {figure['photos_a_second']:.2f} | {figure['seconds_a_step']:.3f} "
            f"| {figure['data_time_share']:.1%} | {figure['peak_mb']:.0f} |"
        )
    return "\n".join(lines)
