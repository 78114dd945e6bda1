"""What transfer buys: a mini network that knows other classes, against one from scratch, on the same few photos."""

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from detectron2.evaluation import inference_on_dataset
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage
from torch import nn
from tqdm import tqdm

from campus_seg.config import export_options, load_config
from campus_seg.data.datasets import dataset_name, fit_config, register_datasets, write_datasets
from campus_seg.engine.schedule import resolve_schedule
from campus_seg.engine.trainer import Trainer
from campus_seg.errors import ConfigError
from campus_seg.label_studio.export import read_export
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights import transfer

# A photo has objects of one of these alone, so that none of the others stands there unlabelled.
KNOWN, NEW = ("bench", "car", "dog"), ("fire extinguisher", "horse statue", "person")
KNOWN_SEED, NEW_SEED = 1, 2  # of the drawing: other places, too
MAKE_SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "make_sample.py"
ARMS = ("scratch", "transfer")


class Point(NamedTuple):
    """How good a model was on the test photos, and what that had taken."""

    iterations: int
    seconds: float
    ap: float


class Arm:
    """One model that learns, a stretch at a time, so that two of them can take turns.

    Args:
        cfg: as of a training; the photos are registered.
        checkpoint: to start from, None for scratch.

    Attributes:
        model: what has been learned.
        curve: a point at the start, where no class is known, and one after each stretch.
    """

    def __init__(self, cfg: CfgNode, checkpoint: dict[str, Any] | None = None):
        seed_all_rng(cfg.SEED)  # both arms start alike in what neither has learned
        self._cfg = cfg
        self.model = Trainer.build_model(cfg)
        if checkpoint:
            transfer(self.model, checkpoint, cfg.CAMPUS.CLASSES)
        optimizer = Trainer.build_optimizer(cfg, self.model)
        self._trainer = SimpleTrainer(self.model, Trainer.build_train_loader(cfg), optimizer)
        self._scheduler = Trainer.build_lr_scheduler(cfg, optimizer)
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
    args: argparse.Namespace, export: Path, folder: Path, iterations: int, photos: slice, test_photos: int, seed: int
) -> CfgNode:
    """Registers some photos of an export to train on, and its last ones to test on, and makes a config for them."""
    keys = {"CAMPUS.EXPORT": export, "OUTPUT_DIR": folder, "SOLVER.MAX_ITER": iterations, "SEED": seed}
    keys |= {"CAMPUS.INPUT_SIZE": 192, "DATALOADER.NUM_WORKERS": 0}  # small, so that minutes will do
    opts = [str(each) for pair in keys.items() for each in pair]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*opts, *args.opts])
    content = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    names = [photo.name for photo in content.photos]
    splits = {"train": names[photos], "val": [], "test": names[len(names) - test_photos :]}
    write_datasets(content, splits, folder)
    register_datasets(folder, content.classes)
    fit_config(cfg, content.classes, splits)
    resolve_schedule(cfg, len(splits["train"]), ["SOLVER.MAX_ITER", *args.opts[::2]])
    return cfg


def measure_transfer(args: argparse.Namespace) -> dict[str, Any]:
    """Trains the two arms in turn, each seed on photos and a draw of its own, all tested on the same photos.

    Args:
        args: of tools/benchmark.py: known_photos, known_iterations, photos, test_photos, iterations, checkpoints, seeds
            and opts.

    Returns:
        The curve of each arm and seed, and under "ratios" what `compare` makes of them.

    Raises:
        CampusError: keys that cannot be used, or no clone to draw with.
    """
    if args.checkpoints > args.iterations:
        raise ConfigError(f"--checkpoints {args.checkpoints} are more than --iterations {args.iterations}; give fewer")
    register_mini_backbone()
    steps = [args.iterations * i // args.checkpoints for i in range(args.checkpoints + 1)]
    curves = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        known = draw_export(folder, KNOWN, args.known_photos, KNOWN_SEED)
        new = draw_export(folder, NEW, args.seeds * args.photos + args.test_photos, NEW_SEED)
        cfg = prepare(args, known, folder / "known", args.known_iterations, slice(None), 0, seed=0)
        teacher = Arm(cfg)
        print(f"learning {', '.join(cfg.CAMPUS.CLASSES)} …", file=sys.stderr)
        seconds = teacher.train(args.known_iterations)
        checkpoint = {"model": teacher.model.state_dict(), "classes": list(cfg.CAMPUS.CLASSES)}
        with tqdm(total=args.seeds * args.checkpoints * len(ARMS), unit="stretch", mininterval=2) as progress:
            for seed in range(args.seeds):
                photos = slice(seed * args.photos, (seed + 1) * args.photos)
                cfg = prepare(args, new, folder / f"new{seed}", args.iterations, photos, args.test_photos, seed)
                arms = {"scratch": Arm(cfg), "transfer": Arm(cfg, checkpoint)}
                for i, (start, end) in enumerate(zip(steps, steps[1:], strict=False)):
                    for name in ARMS if i % 2 else ARMS[::-1]:  # the first of the two may find a busier machine
                        arms[name].stretch(end - start)
                        progress.update()
                for name, arm in arms.items():
                    curves[name].append(arm.curve)
    return {
        "known": {"photos": args.known_photos, "iterations": args.known_iterations, "seconds": seconds},
        "new": {"photos": args.photos, "test_photos": args.test_photos, "seeds": args.seeds},
        "curves": {name: [[point._asdict() for point in curve] for curve in each] for name, each in curves.items()},
        "table": table(curves),
        "ratios": compare(curves),
    }


def time_to(ap: float, curve: Sequence[Point]) -> float | None:
    """Seconds until a curve, straight between its points, is at `ap` for the first time; None where it never is."""
    if ap <= curve[0].ap:
        return curve[0].seconds
    for before, after in zip(curve, curve[1:], strict=False):
        if after.ap >= ap:
            return before.seconds + (after.seconds - before.seconds) * (ap - before.ap) / (after.ap - before.ap)
    return None


def ap_at(seconds: float, curve: Sequence[Point]) -> float:
    """The AP of a curve, straight between its points, at a time that it covers."""
    for before, after in zip(curve, curve[1:], strict=False):
        if seconds <= after.seconds:
            share = (seconds - before.seconds) / (after.seconds - before.seconds)
            return before.ap + share * (after.ap - before.ap)
    return curve[-1].ap


def compare(curves: Mapping[str, Sequence[Sequence[Point]]]) -> dict[str, float]:
    """What transfer buys, averaged over the seeds.

    Returns:
        "transfer_ap_gain": points of AP more after the same time, the shorter of the two arms'.
        "transfer_time_to_same_ap": the time that transfer needs for the AP at which scratch ends, as a share of the
        time in which scratch is first there. Left out where scratch learned nothing, or transfer never gets there.
    """
    gains, shares = [], []
    for scratch, transferred in zip(*(curves[arm] for arm in ARMS), strict=True):
        end = min(scratch[-1].seconds, transferred[-1].seconds)
        gains.append(ap_at(end, transferred) - ap_at(end, scratch))
        goal = scratch[-1].ap
        times = [time_to(goal, curve) for curve in (scratch, transferred)]
        if goal > 0 and None not in times:
            shares.append(times[1] / times[0])
    ratios = {"transfer_ap_gain": statistics.mean(gains)}
    if len(shares) == len(gains):
        ratios["transfer_time_to_same_ap"] = statistics.mean(shares)
    return ratios


def table(curves: Mapping[str, Sequence[Sequence[Point]]]) -> str:
    """The curves as Markdown: of the seeds the mean and, of AP, the lowest and the highest."""
    lines = ["| iterations | seconds | mask AP from scratch | mask AP with transfer |", "| --- | --- | --- | --- |"]
    for step in range(1, len(curves["scratch"][0])):
        points = {arm: [curve[step] for curve in curves[arm]] for arm in ARMS}
        seconds = " / ".join(f"{statistics.mean(point.seconds for point in points[arm]):.0f}" for arm in ARMS)
        cells = []
        for arm in ARMS:
            aps = [point.ap for point in points[arm]]
            cells.append(f"{statistics.mean(aps):.1f} ({min(aps):.1f} to {max(aps):.1f})")
        lines.append(f"| {points['scratch'][0].iterations} | {seconds} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)
