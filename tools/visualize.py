#!/usr/bin/env python3
"""Masks photos with a trained model: overlays, masks, cut-outs and COCO predictions.

Example:
    tools/visualize.py --config-file output/campus/config.yaml --input photos/ --output masked/

Stopped at any moment, the same command goes on where it was. Exit status: 0; 3 where a photo could not be read
(masked/failures.json says why); 2 for a bad command or a full disk.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from campus_seg.environment import require_detectron2, share_cores
from campus_seg.errors import ConfigError, exits_on_bad_input, stop_on_sigterm
from campus_seg.inference.outputs import OUTPUTS

if TYPE_CHECKING:  # it needs Detectron2, whose absence `main` explains
    from campus_seg.inference.folder import Summary
    from campus_seg.inference.selection import Selection

THRESHOLD_KEY = "MODEL.ROI_HEADS.SCORE_THRESH_TEST"
GOES_ON = "the same command goes on where it was"


def threshold(text: str) -> tuple[str, float]:
    """A number of 0 … 1, or CLASS=NUMBER, for argparse: ("" or the class, the number)."""
    name, _, number = text.rpartition("=")
    value = float(number)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return name, value


def at_least(least: int, text: str) -> int:
    """A whole number, for argparse."""
    if int(text) < least:
        raise argparse.ArgumentTypeError(f"{text} is less than {least}")
    return int(text)


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; those of Detectron2's demo keep their names and meaning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config-file", required=True, metavar="FILE", help="config.yaml of a finished run")
    add(
        *("--input", "--inputs"),
        **{"required": True, "nargs": "+", "metavar": "PATH"},
        help="folders, photos, patterns, .txt lists of these, or COCO .json files of photos",
    )
    add("--output", required=True, metavar="DIR", help="folder to write to")
    add(
        "--save",
        **{"nargs": "+", "choices": OUTPUTS, "default": OUTPUTS, "metavar": "NAME"},
        help=f"only some of: {', '.join(OUTPUTS)} (the .json lists are always written)",
    )
    add(
        "--confidence-threshold",
        **{"type": threshold, "nargs": "+", "default": [], "metavar": "0…1"},
        help="least score of an object (0.5), and of some classes: 0.5 person=0.3 car=0.7",
    )
    add("--classes", nargs="+", default=[], metavar="NAME", help="only objects of these classes")
    add("--min-area", type=partial(at_least, 0), default=0, metavar="N", help="only objects of at least so many pixels")
    add("--overwrite", action="store_true", help="begin anew, over the results of other options")
    # Detectron2's own, see its `launch`
    add(
        "--num-gpus",
        type=partial(at_least, 1),
        default=1,
        metavar="N",
        help="processes on this machine, each with a GPU or on CPUs",
    )
    add("--num-machines", type=partial(at_least, 1), default=1, metavar="N", help="machines that share the photos")
    add("--machine-rank", type=int, default=0, metavar="N", help="this one's number, from 0")
    add("--dist-url", default="auto", metavar="URL", help="where the first one can be reached: tcp://HOST:PORT")
    add(
        *("--opts",),
        **{"nargs": argparse.REMAINDER, "default": [], "metavar": "KEY VALUE"},
        help="keys that win over the config; give them last",
    )
    return parser


@exits_on_bad_input(advice=GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = get_parser().parse_args(argv)
    share_cores()
    require_detectron2()
    from detectron2.engine import launch

    from campus_seg.inference.inputs import find_photos
    from campus_seg.storage import check_output_folder

    output = Path(args.output)
    check_output_folder(output)
    check_machines(args)
    find_photos(args.input, output)  # before any process is started
    where = {"machine_rank": args.machine_rank, "dist_url": args.dist_url}
    launch(run, args.num_gpus, num_machines=args.num_machines, **where, args=(args,))
    return 3 if json.loads((output / "failures.json").read_bytes()) else 0


def check_machines(args: argparse.Namespace) -> None:
    """Refuses machines that cannot find one another.

    Raises:
        ConfigError: names the argument.
    """
    if not 0 <= args.machine_rank < args.num_machines:
        raise ConfigError(f"--machine-rank {args.machine_rank}: the machines' numbers are 0 to {args.num_machines - 1}")
    if args.num_machines > 1 and args.dist_url == "auto":
        raise ConfigError("--num-machines: say with --dist-url tcp://HOST:PORT where machine 0 can be reached")


def run(args: argparse.Namespace) -> None:
    """One process of the command."""
    require_detectron2()
    from detectron2.utils import comm

    from campus_seg.config import load_config, use_run_weights
    from campus_seg.inference.folder import mask_photos
    from campus_seg.inference.inputs import find_photos
    from campus_seg.inference.predictor import Predictor

    stop_on_sigterm(f"stopped; {GOES_ON}")
    cfg = load_config(args.config_file, args.opts)
    use_run_weights(cfg, args.config_file, args.opts)
    selection = chosen(args)
    if THRESHOLD_KEY not in args.opts[::2]:
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = selection.least
    cfg.freeze()
    output = Path(args.output)
    found = find_photos(args.input, output)
    predictor = Predictor(cfg)
    if comm.is_main_process():
        print(f"{cfg.MODEL.WEIGHTS} on {cfg.MODEL.DEVICE}, {predictor.engine}, photos: {len(found.photos)}")
    options = {"selection": selection, "made_with": predictor.made_with, "overwrite": args.overwrite}
    began = time.perf_counter()
    summary = mask_photos(predictor, predictor.class_names, found.photos, output, args.save, **options)
    if comm.is_main_process():
        report(summary, time.perf_counter() - began, found.skipped, output, args.save)


def chosen(args: argparse.Namespace) -> "Selection":
    """Which objects count; where the config's own key is given, that is the threshold."""
    from campus_seg.inference.selection import Selection

    thresholds = {"": 0.5, **dict(args.confidence_threshold)}
    least = thresholds.pop("")
    if THRESHOLD_KEY in args.opts[::2]:
        least = 0.0
    return Selection(least, thresholds, tuple(args.classes), args.min_area)


def report(summary: "Summary", seconds: float, skipped: int, output: Path, save: Sequence[str]) -> None:
    """Says in a few lines what was done and where it lies."""
    counts = summary.counts
    lines = counts.lines(seconds if not summary.earlier else None)  # of a part only, the speed would mislead
    if summary.earlier:
        lines.append(("of an earlier", f"command {summary.earlier} photos"))
    if skipped:
        lines.append(("files skipped", f"{skipped} (no photos by their names)"))
    if counts.failures:
        lines.append(("photos failed", f"{counts.failures} (see {output / 'failures.json'})"))
    lines += [(name, output / name) for name in OUTPUTS if name in save and (output / name).is_dir()]
    lines += [(name, output / f"{name}.json") for name in ("predictions", "legend")]
    lines += [("summary", output / "summary.csv"), ("gallery", f"{output / 'index.html'} (open it in a browser)")]
    for name, value in lines:
        print(f"{name:<14}{value}")


if __name__ == "__main__":
    sys.exit(main())
