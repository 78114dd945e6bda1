#!/usr/bin/env python3
"""Masks photos with a trained model: overlays, masks, cut-outs and COCO predictions.

Example:
    tools/visualize.py --config-file output/campus/config.yaml --input photos/ --output masked/

Exit status: 0; 3 where a photo could not be read (masked/failures.json says why); 2 for a bad command.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campus_seg.environment import require_detectron2, share_cores
from campus_seg.errors import ConfigError, exits_on_bad_input
from campus_seg.inference.outputs import OUTPUTS

if TYPE_CHECKING:  # it needs Detectron2, whose absence `main` explains
    from campus_seg.inference.folder import Summary

THRESHOLD_KEY = "MODEL.ROI_HEADS.SCORE_THRESH_TEST"


def threshold(text: str) -> float:
    """A number of 0 … 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return value


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; those of Detectron2's demo keep their names and meaning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="config.yaml of a finished run")
    parser.add_argument(
        "--input", required=True, nargs="+", metavar="PATH", help="folders, photos or COCO .json files of photos"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--save",
        nargs="+",
        choices=OUTPUTS,
        default=OUTPUTS,
        metavar="NAME",
        help=f"only some of: {', '.join(OUTPUTS)} (the .json lists are always written)",
    )
    parser.add_argument(
        "--confidence-threshold", type=threshold, default=0.5, metavar="0…1", help="least score of an object (0.5)"
    )
    parser.add_argument("--tile", type=int, metavar="PIXELS", help="look at tiles of large photos, too: their side")
    parser.add_argument(
        "--overlap", type=float, metavar="SHARE", help="of a tile that its neighbour shows, too, below 1 (0.2)"
    )
    parser.add_argument(
        "--opts",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="KEY VALUE",
        help="keys that win over the config; give them last",
    )
    return parser


@exits_on_bad_input
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = get_parser().parse_args(argv)
    share_cores()
    require_detectron2()
    from campus_seg.config import load_config, use_run_weights
    from campus_seg.inference.folder import mask_photos
    from campus_seg.inference.inputs import find_photos
    from campus_seg.inference.predictor import Predictor
    from campus_seg.inference.tiles import OVERLAP, TiledPredictor, check_tiling
    from campus_seg.storage import check_output_folder

    overlap = OVERLAP if args.overlap is None else args.overlap
    if args.tile is not None:
        check_tiling(args.tile, overlap)
    elif args.overlap is not None:
        raise ConfigError(f"--overlap {args.overlap:g} is for tiles: give --tile PIXELS, too, for example 1024")
    output = Path(args.output)
    check_output_folder(output)
    cfg = load_config(args.config_file, args.opts)
    use_run_weights(cfg, args.config_file, args.opts)
    if THRESHOLD_KEY not in args.opts[::2]:
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = args.confidence_threshold
    cfg.freeze()

    found = find_photos(args.input, output)
    predictor = Predictor(cfg)
    tiles = ""
    if args.tile is not None:
        predictor = TiledPredictor(predictor, args.tile, overlap)
        tiles = f", tiles of {args.tile} px, overlap {overlap:g}"
    print(f"{cfg.MODEL.WEIGHTS} on {cfg.MODEL.DEVICE}, {predictor.engine}{tiles}, photos: {len(found.photos)}")
    summary = mask_photos(predictor, predictor.class_names, found.photos, output, args.save)
    report(summary, found.skipped, output, args.save)
    return 3 if summary.failures else 0


def report(summary: "Summary", skipped: int, output: Path, save: Sequence[str]) -> None:
    """Says in a few lines what was done and where it lies."""
    lines = [("photos masked", summary.photos), ("objects found", summary.objects)]
    if skipped:
        lines.append(("files skipped", f"{skipped} (no photos by their names)"))
    if summary.failures:
        lines.append(("photos failed", f"{summary.failures} (see {output / 'failures.json'})"))
    lines += [(name, output / name) for name in OUTPUTS if name in save and (output / name).is_dir()]
    lines += [(name, output / f"{name}.json") for name in ("predictions", "legend")]
    for name, value in lines:
        print(f"{name:<14}{value}")


if __name__ == "__main__":
    sys.exit(main())
