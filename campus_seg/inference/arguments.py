"""The arguments of tools/visualize.py; without torch, so that --help is fast."""

import argparse
from functools import partial

from campus_seg.errors import ConfigError
from campus_seg.inference.model_arguments import add_config_argument, add_opts, add_selection_arguments, at_least
from campus_seg.inference.outputs import OUTPUTS
from campus_seg.storage import is_uri, shown

LEAST_TILE = 32  # pixels
OVERLAP = 0.2  # of tiles; SAHI's default too


def get_parser(description: str) -> argparse.ArgumentParser:
    """The command's arguments; those of Detectron2's demo keep their names and meaning."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_config_argument(parser)
    add(
        *("--input", "--inputs"),
        **{"required": True, "nargs": "+", "metavar": "PATH"},
        help="folders, photos, videos, patterns, .txt lists of these, or COCO .json files of photos; or their URIs",
    )
    add("--output", required=True, metavar="DIR", help="folder to write to, or its URI")
    add(
        "--save",
        **{"nargs": "+", "choices": OUTPUTS, "default": OUTPUTS, "metavar": "NAME"},
        help=f"only some of: {', '.join(OUTPUTS)} (the .json lists are always written)",
    )
    add_selection_arguments(parser)
    add(
        "--tile",
        type=int,
        metavar="N",
        help="look at tiles of large photos too, N pixels wide",
    )
    add("--overlap", type=float, metavar="SHARE", help=f"of a tile that its neighbour shows too, below 1 ({OVERLAP})")
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
    add_opts(parser)
    return parser


def check_together(args: argparse.Namespace) -> None:
    """Refuses arguments that do not go together.

    Raises:
        ConfigError: names the argument.
    """
    if args.overlap is not None and args.tile is None:
        raise ConfigError(f"--overlap {args.overlap:g} is for tiles: give --tile PIXELS too, for example 1024")
    if tiling := tiling_of(args):
        check_tiling(*tiling)
    given = [f"{value}" for name, value in args.confidence_threshold if not name]
    if len(given) > 1:
        raise ConfigError(
            f"--confidence-threshold {' '.join(given)}: give one for all classes, and CLASS=NUMBER for some"
        )
    if not 0 <= args.machine_rank < args.num_machines:
        raise ConfigError(f"--machine-rank {args.machine_rank}: the machines' numbers are 0 to {args.num_machines - 1}")
    if args.num_machines > 1 and is_uri(args.output):
        raise ConfigError(f"--output {shown(args.output)}: several machines want a folder on a disk that all share")
    if args.num_machines > 1 and args.dist_url == "auto":
        raise ConfigError("--num-machines: say with --dist-url tcp://HOST:PORT where machine 0 can be reached")


def tiling_of(args: argparse.Namespace) -> tuple[int, float] | None:
    """The side and the overlap of tiles, or None where no tiles are wanted."""
    return None if args.tile is None else (args.tile, OVERLAP if args.overlap is None else args.overlap)


def check_tiling(tile: int, overlap: float) -> None:
    """Refuses a tile below `LEAST_TILE` pixels and an overlap that is no share below 1.

    Raises:
        ConfigError: one of them cannot be.
    """
    if tile < LEAST_TILE:
        raise ConfigError(f"--tile {tile}: a tile has at least {LEAST_TILE} pixels a side, for example 1024")
    if not 0 <= overlap < 1:
        raise ConfigError(f"--overlap {overlap:g}: a share from 0 to below 1 is wanted, for example 0.2")
