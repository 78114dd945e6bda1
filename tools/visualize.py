#!/usr/bin/env python3
"""Masks photos and videos with a trained model: overlays, masks, cut-outs and COCO predictions.

Example:
    tools/visualize.py --config-file output/campus/config.yaml --input photos/ --output masked/

Stopped at any moment, the same command goes on where it was. Exit status: 0; 3 where a file could not be read
(masked/failures.json says why); 2 for a bad command or a full disk.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campus_seg.environment import require_detectron2, share_cores
from campus_seg.errors import GOES_ON, exits_on_bad_input, stop_on_sigterm
from campus_seg.inference.arguments import check_together, get_parser, tiling_of
from campus_seg.inference.model_arguments import AUTO
from campus_seg.inference.outputs import OUTPUTS, VIDEOS

if TYPE_CHECKING:  # it needs Detectron2, whose absence `main` explains
    from campus_seg.inference.folder import Summary
    from campus_seg.inference.inputs import FoundPhotos


@exits_on_bad_input(advice=GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = get_parser(__doc__).parse_args(argv)
    share_cores()
    require_detectron2()
    from campus_seg.atomic_writes import check_output_folder
    from campus_seg.inference.inputs import find_photos
    from campus_seg.inference.journal import WITNESSES
    from campus_seg.inference.outputs import check_apart, is_kept, is_picture
    from campus_seg.inference.tiles import check_number_of_tiles
    from campus_seg.launching import launch
    from campus_seg.machines import Machines
    from campus_seg.processes import check_processes
    from campus_seg.storage import checked_uri, is_uri
    from campus_seg.storage_folder import mirrored
    from campus_seg.storage_objects import check_writable

    check_together(args)
    with Machines(args.num_machines, args.machine_rank, args.dist_url, GOES_ON) as machines:  # told of all that follows
        on = check_processes(args.num_gpus, args.num_machines)
        place = checked_uri(args.output) if is_uri(args.output) else Path(args.output)
        check_writable(place) if is_uri(args.output) else check_output_folder(place)
        found = find_photos(args.input, place)  # before any process is started
        check_apart((*found.photos, *found.videos), place)
        if tiling := tiling_of(args):
            check_number_of_tiles(found.photos, *tiling, found.videos)
        if on:
            print(on, flush=True)
        with mirrored(str(place), wanted=is_kept, hollow=is_picture, witnesses=WITNESSES) as mirror:
            args.output, args.shown_output = str(mirror.folder), mirror.shown
            with mirror.sending():
                launch(run, (args, found), processes=args.num_gpus, machines=machines)
            failures = json.loads((mirror.folder / "failures.json").read_bytes())
    return 3 if failures else 0


def run(args: argparse.Namespace, found: "FoundPhotos") -> None:
    """One process of the command, which masks its share of what was found."""
    require_detectron2()
    from detectron2.utils import comm

    from campus_seg.inference.folder import mask_photos
    from campus_seg.inference.run_model import THRESHOLD_KEY, load_run_model
    from campus_seg.inference.tiles import TiledPredictor

    stop_on_sigterm(f"stopped; {GOES_ON}")
    cfg, predictor, selection = load_run_model(args)
    output = Path(args.output)
    tiles = ""
    if tiling := tiling_of(args):
        predictor = TiledPredictor(predictor, *tiling)
        tiles = f", tiles of {tiling[0]} px, overlap {tiling[1]:g}"
    if comm.is_main_process():
        what = f"photos: {len(found.photos)}" + (f", videos: {len(found.videos)}" if found.videos else "")
        print(f"{cfg.MODEL.WEIGHTS} on {cfg.MODEL.DEVICE}, {predictor.engine}{tiles}, {what}")
        if ("", AUTO) in args.confidence_threshold and THRESHOLD_KEY not in args.opts[::2]:
            print(f"thresholds: {selection.told(predictor.class_names)}")
    options = {
        "videos": found.videos,
        "selection": selection,
        "made_with": predictor.made_with,
        "overwrite": args.overwrite,
    }
    summary = mask_photos(predictor, predictor.class_names, found.photos, output, args.save, **options)
    if comm.is_main_process():
        report(summary, found.skipped, output, args.save, args.shown_output)


def report(summary: "Summary", skipped: int, output: Path, save: Sequence[str], shown: str) -> None:
    """Says in a few lines what was done and where it lies; `shown` is what the output folder is called."""
    counts = summary.counts
    lines = counts.lines(summary.seconds, summary.earlier)
    if summary.earlier:
        lines.append(("of an earlier", f"command {summary.earlier} photos"))
    if summary.videos:
        lines.append(("videos masked", f"{len(summary.videos)} ({sum(summary.videos.values())} frames)"))
    if skipped:
        lines.append(("files skipped", f"{skipped} (neither photos nor videos by their names)"))
    for kind, failures in (("photos", counts.failures), ("videos", summary.failed_videos)):
        if failures:
            lines.append((f"{kind} failed", f"{failures} (see {shown}/failures.json)"))
    lines += [
        (name, f"{shown}/{name}") for name in (*OUTPUTS, VIDEOS) if name in (*save, VIDEOS) and (output / name).is_dir()
    ]
    lines += [(name, f"{shown}/{name}.json") for name in ("predictions", "legend")]
    lines += [("summary", f"{shown}/summary.csv"), ("gallery", f"{shown}/index.html (open it in a browser)")]
    for name, value in lines:
        print(f"{name:<14}{value}")


if __name__ == "__main__":
    sys.exit(main())
