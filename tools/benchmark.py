#!/usr/bin/env python3
"""Measures what this project claims; of times only the ratios carry over to another machine.

    python tools/benchmark.py mapper --export my_export.zip --json output/mapper.json
    python tools/benchmark.py import --photos 100000 --annotations 1000000 --json output/import.json
    python tools/benchmark.py transfer --json output/transfer.json
    python tools/benchmark.py inference --config-file output/campus/config.yaml --photos photos/ --json output/i.json

mapper: the training mapper with the default pipeline, against the same pipeline on the photo alone (the cost of
taking the objects along) and against Detectron2's own DatasetMapper with flip and resize. Without --export it draws
its own photos. All sides take turns on the same photos with the same draws, one thread each.

import: `label_studio.py check`, with an empty cache and again with what that left there, against pycocotools.COCO of
the same file and Pillow's reading of the photos' headers in as many threads as there are cores. Without --export it
draws one. Each side has a process of its own, and all files have been read once before. import_vs_pycocotools is
(check - headers) / coco, import_again_vs_pycocotools is check_again / coco.

transfer: the mini network that has learned three drawn classes, fine-tuned on a few photos of three others, against
training from scratch on the same photos, for the same iterations and in turn. Mask AP on test photos along the way.
transfer_ap_gain is what it has more after the same time, in points; transfer_time_to_same_ap the share of the time
that it takes to be as good as from scratch.

inference: photos masked from files to files (overlay and binary) on a CPU, by this project, by Detectron2's own loop
(DefaultPredictor, Visualizer, imwrite) and by torchvision's maskrcnn_resnet50_fpn. Each side has a process of its own
and they take turns on the same photos; start-up does not count.

train: training steps on a CPU, the mini network and R50-FPN at their configs' sizes, by this project and by
Detectron2's stock DefaultTrainer with its own mapper, and R50-FPN by torchvision's maskrcnn_resnet50_fpn in a loop like
that of its examples. Each side has a process of its own and they take turns. Ratios are photos a second, ours over the
other's. Without --export it draws its own photos.

scaling: the mini network trained in one process and in two of one thread each, with as many photos a process.
train_scaling_efficiency is photos a second in two, over twice those in one.

storage: the mini network trained on photos in a bucket (moto's S3 server on the loopback, on the same cores), against
the same photos on the disk; every photo is fetched anew each time.
storage_step_vs_disk is seconds a step from the bucket over those from the disk, storage_data_time_share what of a step
from the bucket is waiting for photos.

recipes: mask AP of the mini network, trained from scratch on drawn photos by this project and by Detectron2's stock
DefaultTrainer with its mapper and SGD, in turn. recipes_ap_gain is what ours has more after as many iterations,
recipes_ap_gain_same_time after the same time, in points, averaged over the seeds.

rank: how many photos have to be labelled if the model chooses which (`label_studio.py rank`), against a random order:
drawn photos are labelled a few at a time, and each model is fine-tuned anew. rank_photos_to_same_ap is the labelled
photos with which ranking reaches the mask AP of the random order in the end, over those that the random order needs;
rank_objects_to_same_ap the same of labelled objects.

evaluate: mask evaluations of drawn photos and detections, from the file of labels to the figures, by this project's
evaluator with each backend and by Detectron2's COCOEvaluator. Each side has a process of its own and they take turns.
evaluate_vs_pycocotools is the seconds with pycocotools over those with hotcoco; all figures of all sides are compared.

report: seconds and megabytes of a run's page, from what its evaluations left; without --config-file, of drawn photos
and detections, with a run before to be compared with.

overlay: overlays of a hundred objects from a model's output on, against Detectron2's Visualizer, one thread each.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from campus_seg.atomic_writes import check_output_file, write_json
from campus_seg.benchmarks.evaluating import EVALUATE_SIDES
from campus_seg.benchmarks.predicting import INFERENCE_SIDES
from campus_seg.benchmarks.training import TRAIN_SIDES
from campus_seg.environment import require_detectron2, take_large_pages
from campus_seg.errors import exits_on_bad_input

# Subcommand -> the module of campus_seg.benchmarks with its measure_<subcommand>.
MODULES = {
    "mapper": "mapper",
    "import": "importing",
    "transfer": "transfer",
    "inference": "predicting",
    "train": "training",
    "scaling": "scaling",
    "storage": "storing",
    "recipes": "recipes",
    "rank": "ranking",
    "evaluate": "evaluating",
    "report": "reporting",
    "overlay": "drawing",
}


def at_least_one(text: str) -> int:
    """A number of things, for argparse."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


def share(text: str) -> float:
    """A number of 0 … 1, for argparse."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return float(text)


def megapixels(text: str) -> float:
    """A size of photos, for argparse."""
    if not 0.01 <= float(text) <= 200:
        raise argparse.ArgumentTypeError(f"{text} is not within 0.01 and 200")
    return float(text)


def picture(text: str) -> Path:
    """The name of a picture's file, for argparse."""
    if Path(text).suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"{text} ends neither in .png nor in .svg")
    return Path(text)


def number(command: argparse.ArgumentParser, flag: str, default: int, meaning: str) -> None:
    """Adds an argument that is a number of things."""
    command.add_argument(flag, type=at_least_one, default=default, metavar="N", help=f"{meaning} ({default})")


def last(command: argparse.ArgumentParser, *, opts: bool = False) -> None:
    """Adds the arguments that end a subcommand's."""
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    if opts:
        command.add_argument(
            "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last"
        )


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; each thing that is measured is a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    mapper = commands.add_parser("mapper", help="the training mapper against the photo alone and Detectron2's own")
    mapper.add_argument("--export", default="", help="a Label Studio export with photos; drawn ones where not given")
    mapper.add_argument("--image-root", default="", metavar="DIR", help="where the export's photos lie, as it has none")
    number(mapper, "--photos", 40, "to draw without --export")
    number(mapper, "--rounds", 3, "epochs of other draws")
    number(mapper, "--repeats", 3, "the median counts")
    last(mapper, opts=True)
    importing = commands.add_parser("import", help="the check of a large export against pycocotools and Pillow")
    where = importing.add_mutually_exclusive_group()
    where.add_argument("--export", default="", help="'COCO with images', folder or .zip; a drawn one where not given")
    where.add_argument("--keep", default="", metavar="DIR", help="draw here, or use what was drawn here (temporary)")
    number(importing, "--photos", 100_000, "to draw")
    number(importing, "--annotations", 1_000_000, "to draw")
    number(importing, "--repeats", 3, "the median counts")
    last(importing)
    transfer = commands.add_parser("transfer", help="fine-tuning on few photos against training from scratch")
    number(transfer, "--known-photos", 200, "to learn first")
    number(transfer, "--known-iterations", 600, "in which")
    number(transfer, "--photos", 40, "of the new classes")
    number(transfer, "--test-photos", 60, "likewise")
    number(transfer, "--iterations", 300, "of each side")
    number(transfer, "--checkpoints", 6, "that are tested")
    number(transfer, "--seeds", 3, "each has its own photos")
    last(transfer, opts=True)
    inference = commands.add_parser("inference", help="masked photos against Detectron2's own loop and torchvision")
    inference.add_argument("--config-file", required=True, metavar="FILE", help="config.yaml of a finished run")
    inference.add_argument("--photos", required=True, metavar="DIR", help="folder of photos")
    number(inference, "--limit", 20, "photos at most")
    inference.add_argument(
        "--megapixels",
        type=megapixels,
        default=0.0,
        metavar="N",
        help="scale the photos to this size first (as they are)",
    )
    number(inference, "--repeats", 2, "the median counts")
    number(inference, "--threads", 2, "compute threads a side")
    inference.add_argument(
        "--confidence-threshold", type=share, default=0.05, metavar="0…1", help="least score of an object (0.05)"
    )
    inference.add_argument(
        "--sides",
        nargs="+",
        choices=INFERENCE_SIDES,
        default=INFERENCE_SIDES,
        metavar="SIDE",
        help="only some of these",
    )
    last(inference, opts=True)
    training = commands.add_parser("train", help="training steps against Detectron2's DefaultTrainer and torchvision")
    training.add_argument("--export", default="", help="a Label Studio export with photos; drawn ones where not given")
    number(training, "--photos", 60, "to draw without --export")
    number(training, "--turns", 5, "of each; the median counts")
    number(training, "--threads", 2, "compute threads a side")
    number(training, "--workers", 2, "of each loader")
    training.add_argument(
        "--sides", nargs="+", choices=TRAIN_SIDES, default=TRAIN_SIDES, metavar="SIDE", help="only some of these"
    )
    last(training, opts=True)
    storage = commands.add_parser("storage", help="training from a bucket against training from the disk")
    number(storage, "--photos", 200, "to draw")
    number(storage, "--turns", 5, "of each; the median counts")
    number(storage, "--steps", 20, "in a turn")
    number(storage, "--threads", 1, "compute threads")
    number(storage, "--workers", 1, "of the loader")
    last(storage, opts=True)
    scaling = commands.add_parser("scaling", help="training in two processes against one")
    number(scaling, "--photos", 60, "to draw")
    number(scaling, "--turns", 5, "of each; the median counts")
    number(scaling, "--steps", 10, "in a turn")
    last(scaling, opts=True)
    recipes = commands.add_parser("recipes", help="mask AP of the mini network against Detectron2's own training")
    number(recipes, "--photos", 240, "to draw and train on")
    number(recipes, "--test-photos", 80, "likewise")
    number(recipes, "--iterations", 840, "of each side")
    number(recipes, "--checkpoints", 4, "that are tested")
    number(recipes, "--seeds", 3, "of the first weights and the order of photos")
    recipes.add_argument(
        "--stock-rate", type=float, default=0.02, metavar="RATE", help="highest learning rate of stock's SGD (0.02)"
    )
    last(recipes, opts=True)
    ranking = commands.add_parser("rank", help="labelling what a model chooses against a random order")
    number(ranking, "--known-photos", 200, "to learn first, of three of the classes")
    number(ranking, "--known-iterations", 600, "in which")
    number(ranking, "--photos", 500, "to choose from")
    number(ranking, "--test-photos", 100, "likewise drawn")
    number(ranking, "--start", 30, "photos that are labelled at first")
    number(ranking, "--step", 20, "photos that are labelled then at a time")
    number(ranking, "--rounds", 6, "of that")
    number(ranking, "--iterations", 240, "of each training")
    number(ranking, "--seeds", 3, "each starts from other photos")
    ranking.add_argument("--picture", type=picture, metavar="FILE", help="draw the curves here (.png or .svg)")
    last(ranking, opts=True)
    evaluating = commands.add_parser("evaluate", help="mask evaluations by hotcoco, pycocotools and Detectron2")
    number(evaluating, "--photos", 5_000, "to draw")
    number(evaluating, "--detections", 100_000, "to draw")
    number(evaluating, "--repeats", 3, "the median counts")
    evaluating.add_argument(
        "--sides", nargs="+", choices=EVALUATE_SIDES, default=EVALUATE_SIDES, metavar="SIDE", help="only some of these"
    )
    last(evaluating)
    reporting = commands.add_parser("report", help="the page of a run: what it takes and how large it is")
    reporting.add_argument("--config-file", default="", metavar="FILE", help="a run's config.yaml; else one is drawn")
    number(reporting, "--photos", 5_300, "to draw without --config-file; some 95 % of them are evaluated")
    number(reporting, "--detections", 115_000, "likewise")
    last(reporting)
    drawing = commands.add_parser("overlay", help="overlays against Detectron2's Visualizer")
    number(drawing, "--objects", 100, "in each photo")
    number(drawing, "--repeats", 5, "the median counts")
    last(drawing)
    return parser


def measure(args: argparse.Namespace) -> dict:
    """Figures of a subcommand; imported late, so that --help is fast."""
    if args.command in ("recipes", "rank"):
        take_large_pages()  # all sides train in this process
    if args.command != "import":
        require_detectron2()
    module = importlib.import_module(f"campus_seg.benchmarks.{MODULES[args.command]}")
    return getattr(module, f"measure_{args.command}")(args)


@exits_on_bad_input
def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand, prints its figures and writes them as JSON where asked."""
    args = get_parser().parse_args(argv)
    if args.json:
        check_output_file(args.json)
    figures = measure(args)
    if "table" in figures:
        print(figures["table"])
    for section, values in figures.items():
        if isinstance(values, dict) and section not in ("curves", "sides"):
            print(section)
            for name, value in values.items():
                print(f"  {name:<36}{value:10.3f}")
    if args.json:
        write_json(args.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
