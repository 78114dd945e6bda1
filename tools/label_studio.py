#!/usr/bin/env python3
"""Checks a Label Studio export, makes it clean COCO for any other tool, or says what is best labelled next.

Exit status: 0 clean; 1 usable, with defects that are named; 2 unusable.
"""

import argparse
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from campus_seg.environment import require_detectron2, share_cores
from campus_seg.errors import CampusError, ConfigError, ExportError, exits_on_bad_input
from campus_seg.storage import check_output_folder, write_json

KEY = re.compile(r"CAMPUS\.([A-Z_]+)")
WIDEST = 60  # letters of a column in the table of defects


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; the policies are those of `cfg.CAMPUS`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|clean|rank")
    check = commands.add_parser("check", help="say what is in an export and what is wrong with it; write nothing")
    clean = commands.add_parser("clean", help="write DIR/annotations.json (plain COCO) and DIR/images/")
    check.set_defaults(run=run_check)
    clean.set_defaults(run=run_clean)
    clean.add_argument("--output", required=True, type=Path, metavar="DIR", help="a folder that is new or empty")
    for command in (check, clean):
        command.add_argument("export", help="a .zip, a folder or a .json")
        command.add_argument("--json", type=Path, metavar="FILE", help="write the report for programs here")
        command.add_argument("--image-root", default="", metavar="DIR", help="where to look for photos as well")
        command.add_argument("--classes", nargs="+", default=[], metavar="NAME", help="the frozen classes, in order")
        command.add_argument("--rectangles", choices=["mask", "drop", "error"], default="mask")
        command.add_argument("--annotators", choices=["newest", "oldest", "error"], default="newest")
        command.add_argument("--background", choices=["keep", "drop"], default="keep")
    rank = commands.add_parser("rank", help="order the unlabelled tasks by how much their labels would teach a model")
    rank.set_defaults(run=run_rank, json=None)
    rank.add_argument("export", help="a folder or a .json of Label Studio's own JSON, with unlabelled tasks")
    rank.add_argument("--config-file", required=True, metavar="FILE", help="config.yaml of a finished run")
    rank.add_argument("--output", required=True, type=Path, metavar="FILE", help="the table to write, a .csv")
    rank.add_argument("--image-root", default="", metavar="DIR", help="where to look for photos as well")
    rank.add_argument(
        "--limit", type=int, default=1000, metavar="N", help="places that are chosen one by one, for variety (1000)"
    )
    rank.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    return parser


def run_rank(args: argparse.Namespace) -> int:
    """Ranks the unlabelled tasks; needs Detectron2, which no other subcommand does."""
    share_cores()
    require_detectron2()
    from campus_seg.active_learning.command import run_rank

    return run_rank(args)


def run_check(args: argparse.Namespace):
    """Reads the export and writes nothing; imported late, so that --help is fast."""
    from campus_seg.label_studio.export import read_export
    from campus_seg.label_studio.options import ExportOptions

    options = ExportOptions(args.image_root, args.classes, args.rectangles, args.annotators, args.background)
    return read_export(args.export, options)


def run_clean(args: argparse.Namespace):
    """Reads the export and writes it as plain COCO; annotations.json comes last, when all photos are there."""
    if args.output.is_dir() and any(args.output.iterdir()):
        raise ExportError(f"{args.output}: is not empty; give a new folder with --output")
    check_output_folder(args.output)
    export = run_check(args)
    try:
        names = export.place_photos(args.output / "images", copy=True)
        write_json(args.output / "annotations.json", export.to_coco(export.photos, names), indent=None)
    except BaseException:
        shutil.rmtree(args.output / "images", ignore_errors=True)  # half of it would pass for all
        raise
    print(f"{args.output / 'annotations.json'} and {args.output / 'images'} written")
    return export


def check_report_file(args: argparse.Namespace) -> None:
    """Makes sure, before any work, that the report can be written and overwrites nothing that it should not.

    Raises:
        ConfigError: it cannot, or would.
    """
    path = args.json.resolve()
    if path.is_dir():
        raise ConfigError(f"{args.json}: is a folder; give a file with --json")
    if path == Path(args.export).resolve():
        raise ConfigError(f"{args.json}: is the export itself; give another file with --json")
    if args.command == "clean" and path.is_relative_to(args.output.resolve()):
        raise ConfigError(f"{args.json}: lies in {args.output}, which is for the cleaned export; give another file")
    check_output_folder(path.parent)


def as_argument(key: re.Match) -> str:
    """A key of the config, as messages name it, as this tool's argument."""
    return "EXPORT" if key[1] == "EXPORT" else "--" + key[1].lower().replace("_", "-")


def printable(text: str) -> str:
    """Text without what would move the terminal's cursor, and as much of it as the terminal can show."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def show(export) -> None:
    """Prints what was read and a table of the defects, the worst first."""
    counts = export.report.counts
    print(
        f"{counts['photos']} of {counts['photos_in_export']} photos ({counts['photos_without_objects']} without "
        f"objects), {counts['objects']} of {counts['annotations_in_export']} annotations"
    )
    objects = Counter(annotation.label for photo in export.photos for annotation in photo.annotations)
    print(printable("classes: " + ", ".join(f"{name} ({objects[name]})" for name in export.classes)))
    if export.report.unused_labels:
        print(printable("labels without objects: " + ", ".join(export.report.unused_labels)))
    for note in export.report.notes:
        print(note)
    rows = [("how often", "defect", "what was done", "the first")]
    rows += [(str(number), code, action, example) for code, number, action, example in export.report.table()]
    if len(rows) > 1:
        widths = [min(WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
        for row in rows:
            columns = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            print(printable("  ".join(columns)).rstrip())


@exits_on_bad_input
def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    args = get_parser().parse_args(argv)
    if args.json:
        check_report_file(args)
    try:
        try:
            export = args.run(args)
            if args.command == "rank":
                return export
        except CampusError as error:
            error.args = (KEY.sub(as_argument, str(error)),)
            raise
    except BaseException as error:
        if args.json:
            reason = str(error) or ("stopped" if isinstance(error, KeyboardInterrupt) else type(error).__name__)
            found = getattr(error, "report", None)
            empty = {"counts": {}, "unused_labels": [], "notes": [], "defects": []}
            write_json(args.json, {"error": reason, **(found.as_dict() if found else empty)})
        raise
    if args.json:
        write_json(args.json, {"error": None, **export.report.as_dict()})
    show(export)
    return 1 if export.report.defects else 0


if __name__ == "__main__":
    sys.exit(main())
