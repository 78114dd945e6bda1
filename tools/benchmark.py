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

recipes: mask AP of the mini network, trained from scratch on drawn photos by this project and by Detectron2's stock
DefaultTrainer with its mapper and SGD, in turn. recipes_ap_gain is what ours has more after as many iterations,
recipes_ap_gain_same_time after the same time, in points, averaged over the seeds.

evaluate: mask evaluations of drawn photos and detections, from the file of labels to the figures, by this project's
evaluator with each backend and by Detectron2's COCOEvaluator. Each side has a process of its own and they take turns.
evaluate_vs_pycocotools is the seconds with pycocotools over those with hotcoco; all figures of all sides are compared.

overlay: overlays of a hundred objects from a model's output on, against Detectron2's Visualizer, one thread each.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from campus_seg.benchmarks.evaluating import EVALUATE_SIDES
from campus_seg.benchmarks.predicting import INFERENCE_SIDES
from campus_seg.benchmarks.training import TRAIN_SIDES
from campus_seg.environment import require_detectron2, take_large_pages
from campus_seg.errors import exits_on_bad_input
from campus_seg.storage import check_output_folder, write_json


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


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; each thing that is measured is a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    mapper = commands.add_parser("mapper", help="the training mapper against the photo alone and Detectron2's own")
    mapper.set_defaults(measure=measure_mapper)
    mapper.add_argument("--export", default="", help="a Label Studio export with photos; drawn ones where not given")
    mapper.add_argument("--image-root", default="", metavar="DIR", help="where the export's photos lie, as it has none")
    mapper.add_argument("--photos", type=at_least_one, default=40, metavar="N", help="to draw without --export (40)")
    mapper.add_argument("--rounds", type=at_least_one, default=3, metavar="N", help="epochs of other draws (3)")
    mapper.add_argument("--repeats", type=at_least_one, default=3, metavar="N", help="the median counts (3)")
    mapper.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    mapper.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    importing = commands.add_parser("import", help="the check of a large export against pycocotools and Pillow")
    importing.set_defaults(measure=measure_import)
    where = importing.add_mutually_exclusive_group()
    where.add_argument("--export", default="", help="'COCO with images', folder or .zip; a drawn one where not given")
    where.add_argument("--keep", default="", metavar="DIR", help="draw here, or use what was drawn here (temporary)")
    importing.add_argument("--photos", type=at_least_one, default=100_000, metavar="N", help="to draw (100000)")
    importing.add_argument("--annotations", type=at_least_one, default=1_000_000, metavar="N", help="to draw (1000000)")
    importing.add_argument("--repeats", type=at_least_one, default=3, metavar="N", help="the median counts (3)")
    importing.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    transfer = commands.add_parser("transfer", help="fine-tuning on few photos against training from scratch")
    transfer.set_defaults(measure=measure_transfer)
    transfer.add_argument("--known-photos", type=at_least_one, default=200, metavar="N", help="to learn first (200)")
    transfer.add_argument("--known-iterations", type=at_least_one, default=600, metavar="N", help="in which (600)")
    transfer.add_argument("--photos", type=at_least_one, default=40, metavar="N", help="of the new classes (40)")
    transfer.add_argument("--test-photos", type=at_least_one, default=60, metavar="N", help="likewise (60)")
    transfer.add_argument("--iterations", type=at_least_one, default=300, metavar="N", help="of each side (300)")
    transfer.add_argument("--checkpoints", type=at_least_one, default=6, metavar="N", help="that are tested (6)")
    transfer.add_argument("--seeds", type=at_least_one, default=3, metavar="N", help="each has its own photos (3)")
    transfer.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    transfer.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    inference = commands.add_parser("inference", help="masked photos against Detectron2's own loop and torchvision")
    inference.set_defaults(measure=measure_inference)
    inference.add_argument("--config-file", required=True, metavar="FILE", help="config.yaml of a finished run")
    inference.add_argument("--photos", required=True, metavar="DIR", help="folder of photos")
    inference.add_argument("--limit", type=at_least_one, default=20, metavar="N", help="photos at most (20)")
    inference.add_argument(
        "--megapixels",
        type=megapixels,
        default=0.0,
        metavar="N",
        help="scale the photos to this size first (as they are)",
    )
    inference.add_argument("--repeats", type=at_least_one, default=2, metavar="N", help="the median counts (2)")
    inference.add_argument("--threads", type=at_least_one, default=2, metavar="N", help="compute threads a side (2)")
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
    inference.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    inference.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last"
    )
    training = commands.add_parser("train", help="training steps against Detectron2's DefaultTrainer and torchvision")
    training.set_defaults(measure=measure_train)
    training.add_argument("--export", default="", help="a Label Studio export with photos; drawn ones where not given")
    training.add_argument("--photos", type=at_least_one, default=60, metavar="N", help="to draw without --export (60)")
    training.add_argument("--turns", type=at_least_one, default=5, metavar="N", help="of each; the median counts (5)")
    training.add_argument("--threads", type=at_least_one, default=2, metavar="N", help="compute threads a side (2)")
    training.add_argument("--workers", type=at_least_one, default=2, metavar="N", help="of each loader (2)")
    training.add_argument(
        "--sides", nargs="+", choices=TRAIN_SIDES, default=TRAIN_SIDES, metavar="SIDE", help="only some of these"
    )
    training.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    training.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    scaling = commands.add_parser("scaling", help="training in two processes against one")
    scaling.set_defaults(measure=measure_scaling)
    scaling.add_argument("--photos", type=at_least_one, default=60, metavar="N", help="to draw (60)")
    scaling.add_argument("--turns", type=at_least_one, default=5, metavar="N", help="of each; the median counts (5)")
    scaling.add_argument("--steps", type=at_least_one, default=10, metavar="N", help="in a turn (10)")
    scaling.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    scaling.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    recipes = commands.add_parser("recipes", help="mask AP of the mini network against Detectron2's own training")
    recipes.set_defaults(measure=measure_recipes)
    recipes.add_argument("--photos", type=at_least_one, default=240, metavar="N", help="to draw and train on (240)")
    recipes.add_argument("--test-photos", type=at_least_one, default=80, metavar="N", help="likewise (80)")
    recipes.add_argument("--iterations", type=at_least_one, default=840, metavar="N", help="of each side (840)")
    recipes.add_argument("--checkpoints", type=at_least_one, default=4, metavar="N", help="that are tested (4)")
    recipes.add_argument(
        "--seeds", type=at_least_one, default=3, metavar="N", help="of the first weights and the order of photos (3)"
    )
    recipes.add_argument(
        "--stock-rate", type=float, default=0.02, metavar="RATE", help="highest learning rate of stock's SGD (0.02)"
    )
    recipes.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    recipes.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    evaluating = commands.add_parser("evaluate", help="mask evaluations by hotcoco, pycocotools and Detectron2")
    evaluating.set_defaults(measure=measure_evaluate)
    evaluating.add_argument("--photos", type=at_least_one, default=5_000, metavar="N", help="to draw (5000)")
    evaluating.add_argument("--detections", type=at_least_one, default=100_000, metavar="N", help="to draw (100000)")
    evaluating.add_argument("--repeats", type=at_least_one, default=3, metavar="N", help="the median counts (3)")
    evaluating.add_argument(
        "--sides", nargs="+", choices=EVALUATE_SIDES, default=EVALUATE_SIDES, metavar="SIDE", help="only some of these"
    )
    evaluating.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    drawing = commands.add_parser("overlay", help="overlays against Detectron2's Visualizer")
    drawing.set_defaults(measure=measure_overlay)
    drawing.add_argument("--objects", type=at_least_one, default=100, metavar="N", help="in each photo (100)")
    drawing.add_argument("--repeats", type=at_least_one, default=5, metavar="N", help="the median counts (5)")
    drawing.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    return parser


def measure_mapper(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `mapper`; imported late, so that --help is fast."""
    require_detectron2()
    from campus_seg.benchmarks import mapper

    return mapper.measure_mapper(args)


def measure_import(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `import`, which needs no Detectron2."""
    from campus_seg.benchmarks import importing

    return importing.measure_import(args)


def measure_transfer(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `transfer`, whose table it prints; imported late."""
    require_detectron2()
    from campus_seg.benchmarks import transfer

    figures = transfer.measure_transfer(args)
    print(figures["table"])
    return figures


def measure_inference(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `inference`, whose table it prints; imported late."""
    require_detectron2()
    from campus_seg.benchmarks import predicting

    figures = predicting.measure_inference(args)
    print(figures["table"])
    return figures


def measure_train(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `train`, whose table it prints; imported late."""
    require_detectron2()
    from campus_seg.benchmarks import training

    figures = training.measure_train(args)
    print(figures["table"])
    return figures


def measure_scaling(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `scaling`; imported late."""
    require_detectron2()
    from campus_seg.benchmarks import scaling

    return scaling.measure_scaling(args)


def measure_recipes(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `recipes`, whose table it prints; imported late."""
    take_large_pages()
    require_detectron2()
    from campus_seg.benchmarks import recipes

    figures = recipes.measure_recipes(args)
    print(figures["table"])
    return figures


def measure_evaluate(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `evaluate`; imported late."""
    require_detectron2()
    from campus_seg.benchmarks import evaluating

    return evaluating.measure_evaluate(args)


def measure_overlay(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `overlay`; imported late."""
    require_detectron2()
    from campus_seg.benchmarks import drawing

    return drawing.measure_overlay(args)


@exits_on_bad_input
def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand, prints its figures and writes them as JSON where asked."""
    args = get_parser().parse_args(argv)
    if args.json:
        check_output_folder(args.json.parent)
    figures = args.measure(args)
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
