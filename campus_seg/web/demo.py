"""The page to try a run's model, put together as a command's arguments say."""

import argparse
import sys

from campus_seg.palette import class_colors
from campus_seg.web.examples import find_examples
from campus_seg.web.guard import Guard
from campus_seg.web.limits import KEEP
from campus_seg.web.model import load_demo_model
from campus_seg.web.page import build_page, launch_arguments
from campus_seg.web.received import receive
from campus_seg.web.routes import MEGABYTE, Parts
from campus_seg.web.sending import connected_sender
from campus_seg.web.server import OPEN_TO_ALL, Listening, application, events_of, serve
from campus_seg.web.turns import Turns

PREDICTORS = 1  # one model, for one thread at a time
DRAWERS, DRAWINGS_WAITING = 2, 40
SENDERS, SENDINGS_WAITING = 2, 20


def show(args: argparse.Namespace, listening: Listening, password: str) -> None:
    """Shows the page until it is stopped.

    Args:
        args: of tools/web_demo.py.
        listening: where.
        password: that visitors have to bring; "" = none.

    Raises:
        CampusError: the run, its model or the Label Studio project cannot be used.
        KeyboardInterrupt: it was stopped.
    """
    print(f"{args.config_file}: loading its model …", flush=True)
    model = load_demo_model(args)
    sender = connected_sender(args, model.predictor)

    def check(name: str, content: bytes) -> None:
        receive(name, content, args.max_megapixels)

    examples, skipped = find_examples(args.config_file, check, args.max_mb * MEGABYTE)
    turns = [
        Turns(PREDICTORS, args.waiting),
        Turns(DRAWERS, DRAWINGS_WAITING),
        Turns(SENDERS, SENDINGS_WAITING),
    ]
    parts = Parts(model, model.results.get, *turns, examples=examples, sender=sender, max_mb=args.max_mb)
    page = build_page(
        title="Try the model",
        class_names=model.class_names,
        colors=class_colors(len(model.class_names)),
        threshold=args.confidence_threshold,
        max_mb=args.max_mb,
        max_megapixels=args.max_megapixels,
        examples=len(examples),
        label_studio=sender.name if sender else None,
        kept_minutes=round(KEEP / 60),
        shown=model.results.get,
    )
    app = application(parts, page, launch_arguments(), model.results.sweep)
    guard = Guard(app, events_of(page), password=password, local=listening.local and not args.share)

    def begun() -> None:
        left_out = f", {skipped} photo{'s' * (skipped > 1)} of the run cannot be shown" if skipped else ""
        print(f"examples: {len(examples)}{left_out}")
        if sender:
            print(f"photos can be sent to {sender.name}")
        print(f"photos are kept in memory for {KEEP / 60:.0f} minutes at most; Ctrl-C stops the page")
        if not password and (args.share or not listening.local):
            print(f"{listening.address}: {OPEN_TO_ALL}", file=sys.stderr)
        print(f"{listening.address}: the page", flush=True)

    def end() -> bool:
        for turn in turns:
            turn.close()
        return any(turn.taken for turn in turns)

    serve(guard, listening, begun=begun, end=end, share=args.share)
