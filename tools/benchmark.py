#!/usr/bin/env python3
"""Measures what this project claims about speed; only the ratios carry over to another machine.

    python tools/benchmark.py mapper --export my_export.zip --json output/mapper.json

mapper: the training mapper with the default pipeline, against the same pipeline on the photo alone (the cost of
taking the objects along) and against Detectron2's own DatasetMapper with flip and resize. Without --export it draws
its own photos. All sides take turns on the same photos with the same draws, one thread each.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from campus_seg.environment import require_detectron2
from campus_seg.errors import exits_on_bad_input
from campus_seg.storage import check_output_folder, write_json


def at_least_one(text: str) -> int:
    """A number of things, for argparse."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


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
    return parser


def measure_mapper(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `mapper`; imported late, so that --help is fast."""
    from campus_seg.benchmarks import mapper

    return mapper.measure_mapper(args)


@exits_on_bad_input
def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand, prints its figures and writes them as JSON where asked."""
    args = get_parser().parse_args(argv)
    require_detectron2()
    if args.json:
        check_output_folder(args.json.parent)
    figures = args.measure(args)
    for name, value in {**figures.get("ms_per_photo", {}), **figures["ratios"]}.items():
        print(f"{name:<36}{value:8.3f}")
    if args.json:
        write_json(args.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
