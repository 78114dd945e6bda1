"""What `check` and `clean` of tools/label_studio.py do and say."""

import argparse
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campus_seg.atomic_writes import check_output_file, check_output_folder, write_json
from campus_seg.errors import CampusError, ConfigError, ExportError
from campus_seg.label_studio.export import Export, read_export
from campus_seg.label_studio.options import ExportOptions

KEY = re.compile(r"CAMPUS\.([A-Z_]+)")
WIDEST = 60  # letters of a column in the table of defects


def run(args: argparse.Namespace) -> int:
    """Runs the command `check` or `clean`, and writes the report for programs however that ends.

    Returns:
        The exit status: 0 clean, 1 usable with defects.

    Raises:
        CampusError: the export cannot be used, or an argument.
    """
    if args.json:
        check_report_file(args)
    try:
        with naming_arguments():
            export = clean(args) if args.command == "clean" else check(args)
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


def check(args: argparse.Namespace) -> Export:
    """Reads the export and writes nothing."""
    options = ExportOptions(args.image_root, args.classes, args.rectangles, args.annotators, args.background)
    return read_export(args.export, options)


def clean(args: argparse.Namespace) -> Export:
    """Reads the export and writes it as plain COCO; annotations.json comes last, when all photos are there."""
    if args.output.is_dir() and any(args.output.iterdir()):
        raise ExportError(f"{args.output}: is not empty; give a new folder with --output")
    check_output_folder(args.output)
    export = check(args)
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
    check_output_file(args.json)
    path = args.json.resolve()
    if path == Path(args.export).resolve():
        raise ConfigError(f"{args.json}: is the export itself; give another file with --json")
    if args.command == "clean" and path.is_relative_to(args.output.resolve()):
        raise ConfigError(f"{args.json}: lies in {args.output}, which is for the cleaned export; give another file")


@contextmanager
def naming_arguments() -> Iterator[None]:
    """Has errors of the import, which name keys of the config, name this tool's arguments."""
    try:
        yield
    except CampusError as error:
        error.args = (KEY.sub(as_argument, str(error)),)
        raise


def as_argument(key: re.Match) -> str:
    """A key of the config, as messages name it, as this tool's argument."""
    return "EXPORT" if key[1] == "EXPORT" else "--" + key[1].lower().replace("_", "-")


def printable(text: str) -> str:
    """Text without what would move the terminal's cursor, and as much of it as the terminal can show."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def show(export: Export) -> None:
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
