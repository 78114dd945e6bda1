#!/usr/bin/env python3
"""Shows a page to try a model: drop a photo, see what is found, take the masks along.

Example:
    tools/web_demo.py --config-file output/campus/config.yaml

Open the address that it prints, which only this computer can. Others can with --host 0.0.0.0, or with --share over a
server of gradio's; then set a password. With --share a program of gradio's is fetched and kept in its cache, and
.gradio/certificate.pem is written in the current folder.

Photos are kept in memory for half an hour at most, never on the disk.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from campus_seg.errors import ConfigError, exits_on_bad_input, stop_on_sigterm
from campus_seg.inference.model_arguments import add_config_argument, add_opts, at_least
from campus_seg.label_studio.account import add_server_arguments
from campus_seg.web.limits import CEILING, LEAST, MAX_MEGAPIXELS

PASSWORD_VARIABLE = "CAMPUS_WEB_PASSWORD"


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_config_argument(parser)
    add("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this computer alone)")
    add("--port", type=port, default=7860, metavar="N", help="(7860; 0 = any that is free)")
    add("--share", action="store_true", help="also under a public address, over a server of gradio's")
    add("--password-file", type=Path, metavar="FILE", help=f"what visitors have to know; or in {PASSWORD_VARIABLE}")
    add("--max-mb", type=megabytes, default=20.0, metavar="N", help="largest file of a photo, in megabytes (20)")
    add("--max-megapixels", type=megapixels, default=MAX_MEGAPIXELS, metavar="N", help="millions of its pixels (50)")
    add("--waiting", type=partial(at_least, 0, most=1000), default=20, metavar="N", help="photos that may wait (20)")
    add("--confidence-threshold", type=start, default=0.5, metavar="0.05…1", help="where the page begins (0.5)")
    add_server_arguments(parser, required=False)
    add_opts(parser)
    return parser


def within(least: float, most: float, text: str) -> float:
    """A number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not within {least:g} and {most:g}")
    return value


def port(text: str) -> int:
    """A port's number, for argparse."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return at_least(0, text, most=65535)


megabytes = partial(within, 0.1, 200)  # of uploads, 256 MB arrive at once, and each is copied once when it is whole
megapixels = partial(within, 0.1, CEILING)
start = partial(within, LEAST, 1)


@exits_on_bad_input
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = get_parser().parse_args(argv)
    if args.url and not args.project:
        raise ConfigError("--url: say with --project N into which project of Label Studio photos are to go")
    from campus_seg.environment import require_detectron2, share_cores
    from campus_seg.passwords import find_secret
    from campus_seg.web.server import listen, require_gradio

    stop_on_sigterm("stopped")
    wanted = args.password_file is not None or os.environ.get(PASSWORD_VARIABLE, "").strip()
    password = find_secret(args.password_file, PASSWORD_VARIABLE, "") if wanted else ""
    listening = listen(args.host, args.port)
    share_cores()
    require_gradio()
    require_detectron2()  # last, since gradio would have the warnings shown that it silences
    from campus_seg.web.demo import show

    show(args, listening, password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
