#!/usr/bin/env python3
r"""Brings photos into a bucket, to be labelled and learned from there.

Exit status: 0 done; 2 bad input, or a place that cannot be used; 3 some photos were not sent, and are named.

Example:
    tools/photos.py upload photos/ s3://my-bucket/walk-1 --strip-gps --tasks tasks.json
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from campus_seg.errors import GOES_ON, ConfigError, exits_on_bad_input, stop_on_sigterm
from campus_seg.inference.model_arguments import at_least

SHOWN = 10  # failures
NOT_SHOWN = (".heic", ".heif", ".tif", ".tiff")  # by most browsers, in which people label


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="upload")
    upload = commands.add_parser("upload", help="send photos to a bucket; again: only what is not there yet")
    add = upload.add_argument
    add("photos", nargs="+", metavar="PHOTOS", help="folders, photos, patterns, and .txt lists of these")
    add("uri", metavar="URI", help="where to: s3://BUCKET/FOLDER, gs://…, az://…, sftp://HOST/FOLDER")
    add("--strip-gps", action="store_true", help="take location, names and serial numbers out; keep the orientation")
    add("--max-size", type=partial(at_least, 1), metavar="N", help="scale down to N pixels of the longer side")
    add("--tasks", metavar="FILE", help="write what Label Studio imports to label them in the bucket, a .json")
    add("--overwrite", action="store_true", help="replace other photos of the same names there")
    return parser


def run_upload(args: argparse.Namespace) -> int:
    """Sends photos, and says what became of them."""
    from campus_seg.atomic_writes import enough_room
    from campus_seg.inference.inputs import find_photos
    from campus_seg.storage import checked_uri, is_uri
    from campus_seg.upload.preparing import Changes
    from campus_seg.upload.sending import upload_photos
    from campus_seg.upload.tasks_file import check_tasks, write_tasks

    if not is_uri(args.uri):
        raise ConfigError(f"{args.uri}: no place in a bucket; give one such as s3://my-bucket/walk-1")
    check_local(args.photos)
    uri = checked_uri(args.uri)
    if args.tasks:
        check_tasks(args.tasks, uri)
    found = find_photos(args.photos, Path(os.devnull))  # nothing is written on this machine
    check_local([photo.path for photo in found.photos])
    if not found.photos:
        raise ConfigError(f"{', '.join(args.photos)}: no photos here, but {len(found.videos)} videos, which stay")
    uploaded = upload_photos(found.photos, uri, Changes(args.strip_gps, args.max_size or 0), overwrite=args.overwrite)
    places = list(uploaded.places.values())
    print(f"{uri}: {uploaded.sent} photos sent ({uploaded.bytes / 1e6:.1f} MB), {len(set(places))} are there")
    report(len(places) - len(set(places)), "the same as others, by their bytes: each is there once")
    report(found.skipped, "other files left out")
    report(len(found.videos), "videos left out")
    report(
        sum(place.lower().endswith(NOT_SHOWN) for place in set(places)),
        "HEIC or TIFF, which most browsers do not show: save these as JPEG to label them",
    )
    if args.tasks and places:
        with enough_room(args.tasks, GOES_ON):
            print(f"{args.tasks}: {write_tasks(args.tasks, places)} tasks")
    elif args.tasks:
        print(f"{args.tasks}: not written, since none of these photos is there")
    report(len(uploaded.failures), "not sent:")
    show_first(uploaded.failures)
    return 3 if uploaded.failures else 0


def check_local(paths: Sequence[Path | str]) -> None:
    """Refuses photos that lie behind URIs.

    Raises:
        ConfigError: there are some.
    """
    from campus_seg.storage import is_uri

    if remote := next((path for path in paths if is_uri(path)), None):
        raise ConfigError(f"{remote}: photos are sent from this machine; give a folder of it")


def report(count: int, what: str) -> None:
    """A line for what there is any of."""
    if count:
        print(f"  {count} {what}")


def show_first(failures: dict[str, str]) -> None:
    """Says why some photos were not sent."""
    from campus_seg.label_studio.checking import printable

    for name, reason in list(failures.items())[:SHOWN]:
        print(printable(f"    {name}: {reason}"))
    if len(failures) > SHOWN:
        print(f"    … and {len(failures) - SHOWN} more")


@exits_on_bad_input(advice=GOES_ON)
def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    args = get_parser().parse_args(argv)
    stop_on_sigterm(f"stopped; {GOES_ON}")
    return run_upload(args)


if __name__ == "__main__":
    sys.exit(main())
