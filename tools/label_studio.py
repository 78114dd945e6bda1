#!/usr/bin/env python3
"""Checks and cleans Label Studio exports, pulls them from a server, brings a model's predictions there, and says what
is best labelled next.

Exit status: 0 done, and of check and clean: no defect; 1 usable, with defects that are named; 2 unusable, or a bad
command; 3 some photos could not be had.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from campus_seg.errors import GOES_ON, ConfigError, exits_on_bad_input, stop_on_sigterm
from campus_seg.inference.model_arguments import add_config_argument, add_opts, add_selection_arguments, at_least
from campus_seg.label_studio.account import PASSWORD_VARIABLE, add_server_arguments

SHOWN = 3  # failures


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; the policies are those of `cfg.CAMPUS`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|clean|pull|push|rank|serve")
    check = commands.add_parser("check", help="say what is in an export and what is wrong with it; write nothing")
    clean = commands.add_parser("clean", help="write DIR/annotations.json (plain COCO) and DIR/images/")
    clean.add_argument("--output", required=True, type=Path, metavar="DIR", help="a folder that is new or empty")
    for command in (check, clean):
        command.set_defaults(run=run_on_export)
        command.add_argument("export", help="a .zip, a folder or a .json")
        command.add_argument("--json", type=Path, metavar="FILE", help="write the report for programs here")
        command.add_argument("--image-root", default="", metavar="DIR", help="where photos lie, too: a folder or a URI")
        command.add_argument("--classes", nargs="+", default=[], metavar="NAME", help="the frozen classes, in order")
        command.add_argument("--rectangles", choices=["mask", "drop", "error"], default="mask")
        command.add_argument("--annotators", choices=["newest", "oldest", "error"], default="newest")
        command.add_argument("--background", choices=["keep", "drop"], default="keep")
    pull = commands.add_parser("pull", help="bring a project's labels and photos to DIR, which is an export")
    pull.set_defaults(run=run_pull)
    add_server_arguments(pull)
    pull.add_argument("--output", required=True, type=Path, metavar="DIR", help="new, or an earlier command's")
    push = commands.add_parser("push", help="give a project's unlabelled photos a run's predictions")
    push.set_defaults(run=run_push)
    push.add_argument("--replace", action="store_true", help="remove this model's predictions first")
    rank = commands.add_parser(
        "rank", help="order the unlabelled tasks by how much their labels would teach a run's model"
    )
    rank.set_defaults(run=run_rank)
    rank.add_argument("export", help="a pulled project, or other JSON of Label Studio's own with its photos")
    rank.add_argument("--output", required=True, type=Path, metavar="FILE", help="the table to write, a .csv")
    rank.add_argument("--image-root", default="", metavar="DIR", help="where photos lie, too: a folder or a URI")
    rank.add_argument(
        "--limit",
        type=partial(at_least, 0),
        default=1000,
        metavar="N",
        help="places that are chosen one by one, for variety; the others follow by uncertainty (1000)",
    )
    rank.add_argument("--push", action="store_true", help="write the order into the project, as prediction scores")
    add_config_argument(rank)
    add_server_arguments(rank, required=False)
    add_opts(rank)
    serve = commands.add_parser("serve", help="be a project's ML backend: a photo that is opened shows a prediction")
    serve.set_defaults(run=run_serve)
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine alone)")
    serve.add_argument("--port", type=partial(at_least, 0, most=65535), default=9090, metavar="N")
    serve.add_argument(
        "--password-file", type=Path, metavar="FILE", help=f"what Label Studio has to bring; or in {PASSWORD_VARIABLE}"
    )
    for command in (push, serve):
        add_config_argument(command)
        add_server_arguments(command)
        add_selection_arguments(command)
        add_opts(command)
    return parser


def run_on_export(args: argparse.Namespace) -> int:
    """Checks or cleans an export."""
    from campus_seg.label_studio.checking import run

    return run(args)


def run_pull(args: argparse.Namespace) -> int:
    """Brings a project here."""
    from campus_seg.label_studio.client import connect
    from campus_seg.label_studio.pull import LABELS, pull_project

    pulled = pull_project(connect(args), args.output)
    print(f"{args.output / LABELS}: {pulled.tasks} tasks, {pulled.labelled} of them labelled")
    print(f"photos: {pulled.fetched} fetched, {pulled.kept} there already, {len(pulled.failures)} not to be had")
    show_first(pulled.failures)
    return 3 if pulled.failures else 0


def annotator(args: argparse.Namespace):
    """The project, and the run's model for it."""
    from campus_seg.label_studio.client import connect

    client = connect(args)
    from campus_seg.environment import require_detectron2, share_cores

    share_cores()
    require_detectron2()
    from campus_seg.config import run_name
    from campus_seg.inference.preannotation import Preannotator
    from campus_seg.inference.run_model import load_run_model

    cfg, predictor, selection = load_run_model(args)
    made = Preannotator(client, predictor, selection, run_name(args.config_file))
    print(f"{cfg.MODEL.WEIGHTS} on {cfg.MODEL.DEVICE}, {predictor.engine}; {client.name}", flush=True)
    return client, made


def run_push(args: argparse.Namespace) -> int:
    """Gives unlabelled photos predictions."""
    client, made = annotator(args)
    from campus_seg.inference.preannotation import push_predictions

    pushed = push_predictions(client, made, replace=args.replace)
    print(f"{pushed.created} predictions sent ({pushed.objects} objects), {pushed.there} there already")
    if pushed.created and not pushed.objects:
        print("the model finds nothing in them: train it longer, or give a lower --confidence-threshold")
    print(f"model version: {made.model_version}")
    show_first({f"task {task}": reason for task, reason in pushed.failures.items()})
    return 3 if pushed.failures else 0


def run_rank(args: argparse.Namespace) -> int:
    """Says what is best labelled next."""
    if args.push and not args.project:
        raise ConfigError("--push: say with --project N into which project")
    stop_on_sigterm("stopped; run the command again")
    from campus_seg.label_studio.client import connect

    client = connect(args) if args.push else None
    from campus_seg.environment import require_detectron2, share_cores

    share_cores()
    require_detectron2()
    from campus_seg.active_learning.command import rank_export

    return rank_export(args, client)


def run_serve(args: argparse.Namespace) -> int:
    """Answers Label Studio until it is stopped."""
    from campus_seg.label_studio.account import find_password

    password = find_password(args.password_file)
    _, made = annotator(args)
    from campus_seg.inference.ml_backend import serve

    serve(made, password, args.host, args.port)
    return 0


def show_first(failures: dict[str, str]) -> None:
    """Says why some photos could not be had."""
    from campus_seg.label_studio.checking import printable

    for name, reason in list(failures.items())[:SHOWN]:
        print(printable(f"  {name}: {reason}"))


@exits_on_bad_input(advice="run the same command again")
def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    args = get_parser().parse_args(argv)
    if args.command in ("pull", "push", "serve"):
        stop_on_sigterm(f"stopped; {GOES_ON}")
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
