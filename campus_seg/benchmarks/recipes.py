"""What the speed of training costs in mask AP: the mini network by this project's recipe and by stock Detectron2's."""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer

from campus_seg.benchmarks.curves import (
    Arm,
    Point,
    as_json,
    check_checkpoints,
    draw_export,
    gain_after_same_time,
    learn_in_turn,
    prepare,
    table,
)
from campus_seg.benchmarks.training import CLASSES
from campus_seg.benchmarks.training_sides import resize_as_fit
from campus_seg.modeling.mini_backbone import register_mini_backbone


def measure_recipes(args: argparse.Namespace) -> dict[str, Any]:
    """Trains the two in turn, each seed with a draw of its own, on the same photos and for as many iterations.

    Args:
        args: of tools/benchmark.py: photos, test_photos, iterations, checkpoints, seeds, stock_rate and opts.

    Returns:
        The curve of each recipe and seed, and under "ratios" what `compare` makes of them.

    Raises:
        CampusError: keys that cannot be used, or no clone to draw with.
    """
    check_checkpoints(args)
    register_mini_backbone()

    def stock(cfg: CfgNode) -> Arm:
        return Arm(stock_config(cfg, args.stock_rate), recipe=DefaultTrainer)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        export = draw_export(folder, CLASSES, args.photos + args.test_photos, seed=0)
        photos = slice(args.photos)
        configs = (
            prepare(args.opts, export, folder / str(seed), args.iterations, photos, args.test_photos, seed)
            for seed in range(args.seeds)
        )
        curves = learn_in_turn({"ours": Arm, "stock": stock}, configs, args)
    return {
        "photos": args.photos,
        "test_photos": args.test_photos,
        "curves": as_json(curves),
        "table": table(curves, ("of this project", "of stock Detectron2")),
        "ratios": compare(curves),
    }


def stock_config(cfg: CfgNode, rate: float) -> CfgNode:
    """A config for stock Detectron2: SGD with its own weight decay, at a rate that suits this batch."""
    stock = cfg.clone()
    stock.defrost()
    resize_as_fit(stock)
    stock.SOLVER.AMP.ENABLED = False
    stock.SOLVER.BASE_LR = rate
    stock.SOLVER.WEIGHT_DECAY = 0.0001
    return stock


def compare(curves: Mapping[str, Sequence[Sequence[Point]]]) -> dict[str, float]:
    """Points of mask AP that this project has more than stock, averaged over the seeds.

    Returns:
        "recipes_ap_gain": after as many iterations.
        "recipes_ap_gain_same_time": after the same time, the shorter of the two.
    """
    pairs = list(zip(curves["ours"], curves["stock"], strict=True))
    return {
        "recipes_ap_gain": statistics.mean(ours[-1].ap - stock[-1].ap for ours, stock in pairs),
        "recipes_ap_gain_same_time": statistics.mean(gain_after_same_time(ours, stock) for ours, stock in pairs),
    }
