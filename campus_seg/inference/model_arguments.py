"""The arguments that all commands have in common which ask a run's model; with the standard library alone."""

import argparse
from functools import partial

AUTO = "auto"  # each class by the threshold that did best on the run's validation photos


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """The run whose model is asked."""
    parser.add_argument(
        "--config-file", required=True, metavar="FILE", help="config.yaml of a finished run, or its URI"
    )


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Which of the objects that the model finds are wanted; see `Selection`."""
    add = parser.add_argument
    add(
        "--confidence-threshold",
        **{"type": threshold, "nargs": "+", "default": [], "metavar": "0…1"},
        help="least score of an object (0.5), and of some classes: 0.5 person=0.3 car=0.7; auto = what did best, class "
        "by class, on the run's validation photos",
    )
    add("--classes", nargs="+", default=[], metavar="NAME", help="only objects of these classes")
    add("--min-area", type=partial(at_least, 0), default=0, metavar="N", help="only objects of at least so many pixels")


def add_opts(parser: argparse.ArgumentParser) -> None:
    """Keys of the config, after all other arguments."""
    parser.add_argument(
        *("--opts",),
        **{"nargs": argparse.REMAINDER, "default": [], "metavar": "KEY VALUE"},
        help="keys that win over the config; give them last",
    )


def threshold(text: str) -> tuple[str, float | str]:
    """A number of 0 … 1, "auto", or CLASS=NUMBER, for argparse: ("" or the class, the number or "auto")."""
    if text == AUTO:
        return "", AUTO
    name, _, number = text.rpartition("=")
    value = float(number)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return name, value


def at_least(least: int, text: str, most: int | None = None) -> int:
    """A whole number, for argparse."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"{text} is less than {least}")
    if most is not None and value > most:
        raise argparse.ArgumentTypeError(f"{text} is more than {most}")
    return value
