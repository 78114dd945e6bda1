"""Models that learn in turn, and how good each was on the test photos by then."""

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import inference_on_dataset
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage
from torch import nn
from tqdm import tqdm

from campus_seg.benchmarks.timing import in_turn
from campus_seg.config import export_options, load_config
from campus_seg.data.datasets import dataset_name, fit_config, register_datasets, write_datasets
from campus_seg.engine.mixed_precision import resolve_precision, steps_of
from campus_seg.engine.schedule import resolve_schedule
from campus_seg.engine.trainer import Trainer
from campus_seg.errors import ConfigError
from campus_seg.label_studio.export import read_export
from campus_seg.modeling.weights import transfer

MAKE_SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "make_sample.py"


class Point(NamedTuple):
    """How good a model was on the test photos, and what that had taken."""

    iterations: int
    seconds: float
    ap: float


class Arm:
    """One model that learns, a stretch at a time, so that several can take turns.

    Args:
        cfg: as of a training; the photos are registered.
        checkpoint: to start from, None for scratch.
        recipe: whose model, loader, optimizer and schedule it has.

    Attributes:
        model: what has been learned.
        curve: a point at the start, where no class is known, and one after each stretch.
    """

    def __init__(self, cfg: CfgNode, checkpoint: dict[str, Any] | None = None, recipe: type[DefaultTrainer] = Trainer):
        seed_all_rng(cfg.SEED)  # all arms start alike in what neither has learned
        self._cfg = cfg
        self.model = recipe.build_model(cfg)
        if checkpoint:
            transfer(self.model, checkpoint, cfg.CAMPUS.CLASSES)
        optimizer = recipe.build_optimizer(cfg, self.model)
        self._trainer = steps_of(cfg)(self.model, recipe.build_train_loader(cfg), optimizer)
        self._scheduler = recipe.build_lr_scheduler(cfg, optimizer)
        self.curve = [Point(0, 0.0, 0.0)]

    def train(self, iterations: int) -> float:
        """Trains on, and returns the seconds that took."""
        began = time.perf_counter()
        with EventStorage(self.curve[-1].iterations):
            for _ in range(iterations):
                self._trainer.run_step()
                self._scheduler.step()
        return time.perf_counter() - began

    def stretch(self, iterations: int) -> None:
        """Trains on and adds a point to the curve; the time of the evaluation does not count."""
        seconds = self.train(iterations)
        last = self.curve[-1]
        self.curve.append(Point(last.iterations + iterations, last.seconds + seconds, mask_ap(self.model, self._cfg)))


def check_checkpoints(args: argparse.Namespace) -> None:
    """Refuses more --checkpoints than --iterations.

    Raises:
        ConfigError: so it is.
    """
    if args.checkpoints > args.iterations:
        raise ConfigError(f"--checkpoints {args.checkpoints} are more than --iterations {args.iterations}; give fewer")


def learn_in_turn(
    build_arms: Mapping[str, Callable[[CfgNode], Arm]], configs: Iterable[CfgNode], args: argparse.Namespace
) -> dict[str, list[list[Point]]]:
    """Trains all arms, a stretch each in turn, so that a machine whose speed drifts is fair to all.

    Args:
        build_arms: name -> makes the arm by a config.
        configs: of each seed.
        args: of tools/benchmark.py: iterations, of each arm; checkpoints, its stretches, all of one length but for
            rounding; seeds, the number of configs.

    Returns:
        Name -> the arm's curve for each seed.
    """
    steps = [args.iterations * i // args.checkpoints for i in range(args.checkpoints + 1)]
    curves = {name: [] for name in build_arms}
    with tqdm(total=args.seeds * args.checkpoints * len(build_arms), unit="stretch", mininterval=2) as progress:
        for cfg in configs:
            arms = {name: build(cfg) for name, build in build_arms.items()}
            for turn, (start, end) in enumerate(zip(steps, steps[1:], strict=False)):
                for name in in_turn(list(arms), turn):
                    arms[name].stretch(end - start)
                    progress.update()
            for name, arm in arms.items():
                curves[name].append(arm.curve)
    return curves


def mask_ap(model: nn.Module, cfg: CfgNode) -> float:
    """COCO's mask AP on the test photos, 0 to 100."""
    name = dataset_name("test")
    evaluator = Trainer.build_evaluator(cfg, name, keep_files=False)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        results = inference_on_dataset(model, Trainer.build_test_loader(cfg, name), evaluator)
    return results["segm"]["AP"]


def draw_export(folder: Path, classes: Sequence[str], photos: int, seed: int) -> Path:
    """An export of drawn photos of some classes, as datasets/make_sample.py makes it."""
    if not MAKE_SAMPLE.is_file():
        raise ConfigError(f"{MAKE_SAMPLE}: is not there; this measure draws its photos with it and wants a clone")
    export = folder / f"{seed}.zip"
    command = [sys.executable, MAKE_SAMPLE, "--output", export, "--photos", photos, "--seed", seed]
    subprocess.run([*map(str, command), "--classes", *classes], check=True, stdout=subprocess.DEVNULL)
    return export


def prepare(
    opts: Sequence[str], export: Path, folder: Path, iterations: int, photos: slice, test_photos: int, seed: int
) -> CfgNode:
    """Registers some photos of an export to train on, and its last ones to test on, and makes a config for them."""
    keys = {"CAMPUS.EXPORT": export, "OUTPUT_DIR": folder, "SOLVER.MAX_ITER": iterations, "SEED": seed}
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*(str(each) for pair in keys.items() for each in pair), *opts])
    content = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    names = [photo.name for photo in content.photos]
    splits = {"train": names[photos], "val": [], "test": names[len(names) - test_photos :]}
    write_datasets(content, splits, folder)
    register_datasets(folder, content.classes)
    fit_config(cfg, content.classes, splits)
    resolve_schedule(cfg, len(splits["train"]), ["SOLVER.MAX_ITER", *opts[::2]])
    resolve_precision(cfg, opts[::2])
    return cfg


def time_to(ap: float, curve: Sequence[Point]) -> float | None:
    """Seconds until a curve, straight between its points, is at `ap` for the first time; None where it never is."""
    return first_reached(ap, [point.seconds for point in curve], [point.ap for point in curve])


def first_reached(goal: float, places: Sequence[float], values: Sequence[float]) -> float | None:
    """Where a line through (place, value) points is at `goal` for the first time; None where it never is."""
    if goal <= values[0]:
        return places[0]
    points = list(zip(places, values, strict=True))
    for (place, value), (next_place, next_value) in zip(points, points[1:], strict=False):
        if next_value >= goal:
            return place + (next_place - place) * (goal - value) / (next_value - value)
    return None


def ap_at(seconds: float, curve: Sequence[Point]) -> float:
    """The AP of a curve, straight between its points, at a time that it covers."""
    for before, after in zip(curve, curve[1:], strict=False):
        if seconds <= after.seconds:
            share = (seconds - before.seconds) / (after.seconds - before.seconds)
            return before.ap + share * (after.ap - before.ap)
    return curve[-1].ap


def gain_after_same_time(curve: Sequence[Point], other: Sequence[Point]) -> float:
    """Points of AP that a curve has more than another after the same time, that of the shorter one."""
    end = min(curve[-1].seconds, other[-1].seconds)
    return ap_at(end, curve) - ap_at(end, other)


def as_json(curves: Mapping[str, Sequence[Sequence[Point]]]) -> dict[str, list[list[dict[str, float]]]]:
    """The curves as JSON has them."""
    return {name: [[point._asdict() for point in curve] for curve in each] for name, each in curves.items()}


def table(curves: Mapping[str, Sequence[Sequence[Point]]], names: Sequence[str]) -> str:
    """The curves of two arms, called so, as Markdown: of the seeds the mean and, of AP, the lowest and the highest."""
    lines = [f"| iterations | seconds | mask AP {names[0]} | mask AP {names[1]} |", "| --- | --- | --- | --- |"]
    for step in range(1, len(next(iter(curves.values()))[0])):
        points = [[curve[step] for curve in arm] for arm in curves.values()]
        seconds = " / ".join(f"{statistics.mean(point.seconds for point in arm):.0f}" for arm in points)
        cells = []
        for arm in points:
            aps = [point.ap for point in arm]
            cells.append(f"{statistics.mean(aps):.1f} ({min(aps):.1f} to {max(aps):.1f})")
        lines.append(f"| {points[0][0].iterations} | {seconds} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)
