"""What transfer buys: a mini network that knows other classes, against one from scratch, on the same few photos."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    time_to,
)
from campus_seg.modeling.mini_backbone import register_mini_backbone

# A photo has objects of one of these alone, so that none of the others stands there unlabelled.
KNOWN, NEW = ("bench", "car", "dog"), ("fire extinguisher", "horse statue", "person")
KNOWN_SEED, NEW_SEED = 1, 2  # of the drawing: other places, too
SMALL = ["CAMPUS.INPUT_SIZE", "192", "DATALOADER.NUM_WORKERS", "0"]  # so that minutes will do


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
    check_checkpoints(args)
    register_mini_backbone()
    opts = [*SMALL, *args.opts]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        checkpoint, seconds = learn_known(opts, folder, args.known_photos, args.known_iterations)
        new = draw_export(folder, NEW, args.seeds * args.photos + args.test_photos, NEW_SEED)
        own = [slice(seed * args.photos, (seed + 1) * args.photos) for seed in range(args.seeds)]
        configs = (
            prepare(opts, new, folder / f"new{seed}", args.iterations, photos, args.test_photos, seed)
            for seed, photos in enumerate(own)
        )
        curves = learn_in_turn({"scratch": Arm, "transfer": lambda cfg: Arm(cfg, checkpoint)}, configs, args)
    return {
        "known": {"photos": args.known_photos, "iterations": args.known_iterations, "seconds": seconds},
        "new": {"photos": args.photos, "test_photos": args.test_photos, "seeds": args.seeds},
        "curves": as_json(curves),
        "table": table(curves, ("from scratch", "with transfer")),
        "ratios": compare(curves),
    }


def learn_known(opts: Sequence[str], folder: Path, photos: int, iterations: int) -> tuple[dict[str, Any], float]:
    """Teaches a mini network the known classes, to start others from.

    Args:
        opts: keys that win over the config.
        folder: to draw in.
        photos: to draw.
        iterations: to learn in.

    Returns:
        A checkpoint, and the seconds that the learning took.
    """
    known = draw_export(folder, KNOWN, photos, KNOWN_SEED)
    cfg = prepare(opts, known, folder / "known", iterations, slice(None), 0, seed=0)
    teacher = Arm(cfg)
    print(f"learning {', '.join(cfg.CAMPUS.CLASSES)} …", file=sys.stderr)
    seconds = teacher.train(iterations)
    return {"model": teacher.model.state_dict(), "classes": list(cfg.CAMPUS.CLASSES)}, seconds


def compare(curves: Mapping[str, Sequence[Sequence[Point]]]) -> dict[str, float]:
    """What transfer buys, averaged over the seeds.

    Returns:
        "transfer_ap_gain": points of AP more after the same time, the shorter of the two arms'.
        "transfer_time_to_same_ap": the time that transfer needs for the AP at which scratch ends, as a share of the
        time in which scratch is first there. Left out where scratch learned nothing, or transfer never gets there.
    """
    gains, shares = [], []
    for scratch, transferred in zip(curves["scratch"], curves["transfer"], strict=True):
        gains.append(gain_after_same_time(transferred, scratch))
        goal = scratch[-1].ap
        times = [time_to(goal, curve) for curve in (scratch, transferred)]
        if goal > 0 and None not in times:
            shares.append(times[1] / times[0])
    ratios = {"transfer_ap_gain": statistics.mean(gains)}
    if len(shares) == len(gains):
        ratios["transfer_time_to_same_ap"] = statistics.mean(shares)
    return ratios
