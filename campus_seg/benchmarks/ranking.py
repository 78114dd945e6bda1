"""What the order in which photos are labelled saves: the most instructive first, against a random order, simulated.

The labels of drawn photos are known and are uncovered some at a time. Every model is trained anew from one checkpoint
of other photos, for as many iterations, so that what it is worth depends on the uncovered labels alone.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.config import CfgNode
from torch import nn
from tqdm import tqdm

from campus_seg.active_learning.observer import Observer
from campus_seg.active_learning.order import order_photos
from campus_seg.active_learning.uncertainty import Look
from campus_seg.atomic_writes import check_output_file, replacing, write_json
from campus_seg.benchmarks.curves import Arm, as_json, draw_export, first_reached, prepare
from campus_seg.benchmarks.training import CLASSES
from campus_seg.benchmarks.transfer import SMALL, learn_known
from campus_seg.data.datasets import coco_file, image_folder
from campus_seg.errors import ConfigError
from campus_seg.evaluation.loss_curves import COLORS
from campus_seg.evaluation.pictures import draw_axes
from campus_seg.inference.predictor import Predictor
from campus_seg.modeling.mini_backbone import register_mini_backbone

SAMPLE_SEED = 0  # of the drawing: that of `make demo`
ENGINE = ["CAMPUS.INFERENCE.ENGINE", "eager"]  # a model looks at the photos once, which is no time to convert it
ORDERS = ("random", "ranked")


class Stage(NamedTuple):
    """How much was labelled, and how good a model was on the test photos that learned from it."""

    photos: int
    objects: int
    ap: float


class Pool:
    """Drawn photos whose labels can be uncovered.

    Args:
        cfg: from `prepare`, with all of the photos to train on.
        checkpoint: what every model starts from.

    Attributes:
        photos: the numbers of all.
    """

    def __init__(self, cfg: CfgNode, checkpoint: dict[str, Any]):
        self._cfg, self._checkpoint = cfg, checkpoint
        self._folder = Path(cfg.OUTPUT_DIR)
        self._coco = json.loads(coco_file(self._folder, "train").read_bytes())
        self.photos = [image["id"] for image in self._coco["images"]]

    def learn(self, labelled: Sequence[int], seed: int) -> tuple[nn.Module, Stage]:
        """A model that has learned from some photos, and how good it is."""
        chosen = set(labelled)
        images = [image for image in self._coco["images"] if image["id"] in chosen]
        annotations = self._annotations(chosen)
        some = {**self._coco, "images": images, "annotations": annotations}
        write_json(coco_file(self._folder, "train"), some, indent=None)
        cfg = self._cfg.clone()
        cfg.SEED = seed
        arm = Arm(cfg, self._checkpoint)
        arm.stretch(cfg.SOLVER.MAX_ITER)
        return arm.model, Stage(len(images), len(annotations), arm.curve[-1].ap)

    def ranked(self, model: nn.Module, labelled: Sequence[int], count: int) -> list[int]:
        """The photos that are best labelled next, as `label_studio.py rank` chooses them."""
        looks = self._looks(model)
        left = [photo for photo in self.photos if photo not in set(labelled)]
        classes = Counter(annotation["category_id"] for annotation in self._annotations(set(labelled)))
        objects = np.array([classes[category["id"]] for category in self._coco["categories"]])
        known = [looks[photo].feature for photo in labelled]
        places = order_photos([looks[photo] for photo in left], known, objects, count)
        return [left[place.index] for place in places[:count]]

    def _annotations(self, photos: set[int]) -> list[dict[str, Any]]:
        return [annotation for annotation in self._coco["annotations"] if annotation["image_id"] in photos]

    def _looks(self, model: nn.Module) -> dict[int, Look]:
        """What a model makes of every photo."""
        cfg = self._cfg.clone()
        cfg.MODEL.WEIGHTS = str(self._folder / "model_final.pth")
        torch.save({"model": model.state_dict()}, cfg.MODEL.WEIGHTS)
        folder = image_folder(self._folder)
        paths = [folder / image["file_name"] for image in self._coco["images"]]
        looks = Observer(Predictor(cfg)).look_at(paths)
        return {photo: look for photo, (_, look) in zip(self.photos, looks, strict=True)}


def measure_rank(args: argparse.Namespace) -> dict[str, Any]:
    """Uncovers the labels in both orders, each seed from photos of its own.

    Args:
        args: of tools/benchmark.py: known_photos, known_iterations, photos, test_photos, start, step, rounds,
            iterations, seeds, picture and opts.

    Returns:
        The curve of each order and seed, and under "ratios" what `compare` makes of them.

    Raises:
        CampusError: keys that cannot be used, or no clone to draw with.
    """
    most = args.start + args.rounds * args.step
    if most > args.photos:
        raise ConfigError(f"--photos {args.photos}: {most} are to be labelled in the end; give more, or fewer --rounds")
    if args.picture:
        check_output_file(args.picture)
    register_mini_backbone()
    opts = [*SMALL, *ENGINE, *args.opts]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        checkpoint, _ = learn_known(opts, folder, args.known_photos, args.known_iterations)
        sample = draw_export(folder, CLASSES, args.photos + args.test_photos, SAMPLE_SEED)
        photos = slice(args.photos)
        cfg = prepare(opts, sample, folder / "sample", args.iterations, photos, args.test_photos, seed=0)
        pool = Pool(cfg, checkpoint)
        curves: dict[str, list[list[Stage]]] = {name: [] for name in ORDERS}
        with tqdm(total=args.seeds * (1 + 2 * args.rounds), unit="model", mininterval=2) as progress:
            for seed in range(args.seeds):
                for name, curve in uncover(pool, seed, args, progress.update).items():
                    curves[name].append(curve)
                    told = ", ".join(f"{stage.photos} {stage.ap:.1f}" for stage in curve)
                    tqdm.write(f"seed {seed}, {name}: {told}", file=sys.stderr)
    if args.picture:
        draw_curves(curves, args.picture)
    return {
        "photos": args.photos,
        "test_photos": args.test_photos,
        "iterations": args.iterations,
        "curves": as_json(curves),
        "table": table(curves),
        "ratios": compare(curves),
    }


def uncover(pool: Pool, seed: int, args: argparse.Namespace, learned: Callable[[], Any]) -> dict[str, list[Stage]]:
    """One curve for each order; both begin with the same photos, and so with the same model.

    Args:
        pool: of all photos.
        seed: of the photos at the start, the random order and the trainings.
        args: start, step and rounds.
        learned: is called after each training.
    """
    shuffled = np.random.default_rng(seed).permutation(pool.photos).tolist()
    first, stage = pool.learn(shuffled[: args.start], seed)
    learned()
    curves = {name: [stage] for name in ORDERS}
    for name, curve in curves.items():
        model, labelled = first, shuffled[: args.start]
        for _ in range(args.rounds):
            if name == "ranked":
                labelled = labelled + pool.ranked(model, labelled, args.step)
            else:
                labelled = shuffled[: len(labelled) + args.step]
            model, stage = pool.learn(labelled, seed)
            learned()
            curve.append(stage)
    return curves


def mean_curve(curves: Sequence[Sequence[Stage]]) -> list[Stage]:
    """The mean of the seeds' curves, stage by stage."""
    return [Stage(*map(statistics.mean, zip(*stages, strict=True))) for stages in zip(*curves, strict=True)]


def needed(ap: float, curve: Sequence[Stage], kind: str) -> float | None:
    """How many "photos" or "objects" are labelled where a curve is at `ap` for the first time; None where never."""
    return first_reached(ap, [getattr(stage, kind) for stage in curve], [stage.ap for stage in curve])


def compare(curves: Mapping[str, Sequence[Sequence[Stage]]]) -> dict[str, float]:
    """What ranking saves, by the seeds' mean curves.

    Returns:
        As tools/README.md has them; what ranking never reaches is left out.
    """
    random, ranked = (mean_curve(curves[name]) for name in ORDERS)
    ratios = {}
    for kind in ("photos", "objects"):
        numbers = [needed(random[-1].ap, curve, kind) for curve in (random, ranked)]
        if numbers[1] is not None:
            ratios[f"rank_{kind}_to_same_ap"] = numbers[1] / numbers[0]
    pairs = list(zip(random, ranked, strict=True))[1:]
    return {**ratios, "rank_ap_gain": statistics.mean(ours.ap - other.ap for other, ours in pairs)}


def table(curves: Mapping[str, Sequence[Sequence[Stage]]]) -> str:
    """The curves as Markdown: of the seeds the mean and, of AP, the lowest and the highest."""
    lines = [
        "| labelled photos | objects, random / ranked | mask AP, random | mask AP, ranked "
        "| ranked photos for the random order's AP |",
        "| --- | --- | --- | --- | --- |",
    ]
    random, ranked = (mean_curve(curves[name]) for name in ORDERS)
    for step, (other, ours) in enumerate(zip(random, ranked, strict=True)):
        cells = []
        for name in ORDERS:
            aps = [curve[step].ap for curve in curves[name]]
            cells.append(f"{statistics.mean(aps):.1f} ({min(aps):.1f} to {max(aps):.1f})")
        photos = needed(other.ap, ranked, "photos")
        enough = "more" if photos is None else f"{photos:.0f}"
        objects = f"{other.objects:.0f} / {ours.objects:.0f}"
        lines.append(f"| {other.photos} | {objects} | {' | '.join(cells)} | {enough} |")
    return "\n".join(lines)


def draw_curves(curves: Mapping[str, Sequence[Sequence[Stage]]], picture: Path) -> None:
    """Draws mask AP over labelled photos: of the seeds the mean, and from the lowest to the highest."""
    with draw_axes() as (figure, axes):
        for name, color in zip(ORDERS, (COLORS["val"], COLORS["train"]), strict=True):
            mean = mean_curve(curves[name])
            photos = [stage.photos for stage in mean]
            aps = [[stage.ap for stage in stages] for stages in zip(*curves[name], strict=True)]
            axes.plot(photos, [stage.ap for stage in mean], color=color, marker="o", markersize=4, label=name)
            axes.fill_between(photos, [*map(min, aps)], [*map(max, aps)], color=color, alpha=0.15, linewidth=0)
        random, ranked = (mean_curve(curves[name]) for name in ORDERS)
        enough = needed(random[-1].ap, ranked, "photos")
        if enough is not None:
            axes.plot([enough, random[-1].photos], [random[-1].ap] * 2, color="black", linestyle=":", linewidth=1.2)
        axes.set(xlabel="labelled photos", ylabel="mask AP on the test photos")
        axes.legend(loc="lower right")
        with replacing(picture) as temporary:
            figure.savefig(temporary, dpi=120)
