"""What `label_studio.py check` costs on a large export, against reading the same files with pycocotools and Pillow.

Every side runs in a process of its own, which is this module run as a program; so it imports little itself, and what
a side needs is imported by that side, before its clock starts.
"""

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from campus_seg.benchmarks.memory import peak_mb
from campus_seg.errors import ExportError

LABELS, IMAGES = "result.json", "images"  # of "COCO with images"
PIECE = 1 << 20  # bytes
ORIENTATION = 0x0112  # https://exiv2.org/tags.html
# Sides that stay together run in this order: the second `check` finds the cache that the first one left.
TURNS = (("coco",), ("headers",), ("check", "check_again"))


def measure_import(args: argparse.Namespace) -> dict[str, Any]:
    """Times the sides in turn, in an order that changes from repeat to repeat; of all repeats the median counts.

    All files are read once before, so that every side finds them in the system's page cache. For the first `check`
    the cache of the project is empty, in a temporary XDG_CACHE_HOME; the second one has what the first wrote.

    Args:
        args: of tools/benchmark.py: export, keep, photos, annotations and repeats.

    Returns:
        Of each side, under "seconds" those of the work itself, what it built being freed again; under
        "process_seconds" those of the whole process with its start and imports; under "peak_mb" its largest resident
        memory. "ratios" has the figures that carry over to another machine.

    Raises:
        CampusError: an export that cannot be used, or a folder that holds something else than the drawn export.
    """
    with tempfile.TemporaryDirectory() as scratch:
        export = Path(args.export or args.keep or Path(scratch, "export"))
        if not args.export:
            from campus_seg.benchmarks.drawn_export import draw_export

            draw_export(export, args.photos, args.annotations)
        labels = _label_file(export, Path(scratch))
        _read_once(export)
        runs = _take_turns(export, labels, args.repeats, Path(scratch))
    sides = [side for turn in TURNS for side in turn]
    figures = {
        what: {side: statistics.median(run[what] for run in runs[side]) for side in sides}
        for what in ("seconds", "process_seconds", "peak_mb")
    }
    seconds = figures["seconds"]
    return {
        **runs["coco"][0]["counts"],
        "repeats": args.repeats,
        **figures,
        "ratios": {
            # pycocotools never looks at a photo, so the other side's time for that is taken off.
            "import_vs_pycocotools": (seconds["check"] - seconds["headers"]) / seconds["coco"],
            "import_again_vs_pycocotools": seconds["check_again"] / seconds["coco"],
        },
    }


def _label_file(export: Path, scratch: Path) -> Path:
    """The file of labels for pycocotools, which cannot read in a zip: that of a zip is unpacked to `scratch`."""
    form = f"give an export 'COCO with images', a folder or .zip with {LABELS} and {IMAGES}/"
    try:
        if not _photo_openers(export):
            raise ExportError(f"{export}: no photos in {IMAGES}/; {form}")
        if export.is_dir():
            with (export / LABELS).open("rb"):
                return export / LABELS
        with zipfile.ZipFile(export) as archive:
            return Path(archive.extract(LABELS, scratch))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ExportError(f"{export}: cannot be measured ({error}); {form}") from None


def _read_once(export: Path) -> None:
    """Brings all files into the page cache."""
    for path in export.rglob("*") if export.is_dir() else [export]:
        if path.is_file():
            with path.open("rb") as file:
                while file.read(PIECE):
                    pass


def _take_turns(export: Path, labels: Path, repeats: int, scratch: Path) -> dict[str, list[dict[str, Any]]]:
    """What each run of each side said."""
    from tqdm import tqdm

    runs = {side: [] for turn in TURNS for side in turn}
    with tqdm(total=repeats * len(runs), desc="measuring", unit="run", disable=None) as bar:
        for repeat in range(repeats):
            first = repeat % len(TURNS)
            with tempfile.TemporaryDirectory(dir=scratch) as cache:
                for side in (side for turn in TURNS[first:] + TURNS[:first] for side in turn):
                    bar.set_postfix_str(side)
                    runs[side].append(_run_side(side, export, labels, cache))
                    bar.update()
    return runs


def _run_side(side: str, export: Path, labels: Path, cache: str) -> dict[str, Any]:
    """Runs one side in a process of its own; what that said, and the seconds of the whole process."""
    command = [sys.executable, "-m", __name__, side, str(export), str(labels)]
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "XDG_CACHE_HOME": cache}
    )
    taken = time.perf_counter() - began
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1].removeprefix("error: ")
        raise ExportError(f"{export}: {side} ended with status {done.returncode}: {said}")
    return {"process_seconds": taken, **json.loads(done.stdout.splitlines()[-1])}


def _coco_side(export: Path, labels: Path) -> Callable[[], dict[str, int]]:
    """The labels read by pycocotools."""
    from pycocotools.coco import COCO

    def work() -> dict[str, int]:
        coco = COCO(str(labels))
        return {"photos": len(coco.imgs), "annotations": len(coco.anns)}

    return work


def _headers_side(export: Path, labels: Path) -> Callable[[], dict[str, int]]:
    """Size and orientation of every photo read by Pillow, in as many threads as there are cores."""
    from PIL import Image

    def read(openers: list[Callable]) -> int:
        turned = 0
        for opener in openers:
            # A photo that is none costs its time, too.
            with contextlib.suppress(OSError), opener() as stream, Image.open(stream) as image:
                turned += image.getexif().get(ORIENTATION, 1) > 1 and min(image.size) > 0
        return turned

    openers, threads = _photo_openers(export), os.cpu_count() or 1

    def work() -> dict[str, int]:
        with ThreadPoolExecutor(threads) as pool:
            return {"turned": sum(pool.map(read, [openers[first::threads] for first in range(threads)]))}

    return work


def _check_side(export: Path, labels: Path) -> Callable[[], dict[str, int]]:
    """The export checked by this project."""
    import campus_seg.label_studio.export  # noqa: F401 - which `check` imports late
    from campus_seg.tools.label_studio import main

    return lambda: {"status": main(["check", str(export)])}


def _photo_openers(export: Path) -> list[Callable[[], BinaryIO]]:
    """For each photo of an export what opens it; listed without this project's reader."""
    if export.is_dir():
        return [functools.partial(path.open, "rb") for path in (export / IMAGES).rglob("*") if path.is_file()]
    archive = zipfile.ZipFile(export)
    names = (info.filename for info in archive.infolist() if not info.is_dir())
    return [functools.partial(archive.open, name) for name in names if name.startswith(f"{IMAGES}/")]


SIDES = {"coco": _coco_side, "headers": _headers_side, "check": _check_side, "check_again": _check_side}


def main(argv: Sequence[str]) -> None:
    """Runs one side (its name, the export, its file of labels); what it took is the last line on standard output."""
    side, export, labels = argv
    work = SIDES[side](Path(export), Path(labels))
    began = time.perf_counter()
    counts = work()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(children=True), "counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1:])
