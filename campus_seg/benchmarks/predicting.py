"""Masked photos from files to files: this project against Detectron2's own loop and torchvision's model.

Each side has a process of its own, so that its memory can be told, and they take turns on the same photos, so that a
machine whose speed drifts is fair to all. Every side reads a photo's file and writes its overlay (JPEG) and the union
of its masks (PNG).
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campus_seg.benchmarks.timing import in_turn
from campus_seg.benchmarks.worker import Worker
from campus_seg.environment import share_cores
from campus_seg.errors import ConfigError, OutputError

INFERENCE_SIDES = ("ours", "ours_fp32", "detectron2", "torchvision")  # what each is, sides.py says
SAVE = ("overlay", "binary")
CHUNK = 10  # photos before it is the next side's turn
WARM_UP = 2  # photos that do not count
SIDES_MODULE = "campus_seg.benchmarks.sides"


@dataclass(frozen=True)
class Work:
    """What every side's process is given.

    Attributes:
        config_file: of a finished run.
        opts: keys that win over it.
        threads: compute threads.
        threshold: least score of an object.
    """

    config_file: str
    opts: list[str]
    threads: int
    threshold: float


def measure_inference(args: argparse.Namespace) -> dict[str, Any]:
    """Times the sides, and takes their peak memory.

    Args:
        args: of tools/benchmark.py: photos, config_file, limit, megapixels, repeats, threads, threshold, sides, opts.

    Returns:
        A table as text; photos a second, seconds a photo and peak MB of each side; objects a photo; and under
        "ratios" what carries over to another machine.

    Raises:
        CampusError: photos or a config that cannot be used.
    """
    work = Work(args.config_file, args.opts, args.threads, args.confidence_threshold)
    with tempfile.TemporaryDirectory() as scratch:
        photos = chosen_photos(args.photos, args.limit, args.megapixels, Path(scratch))
        figures = _take_turns(work, photos, args.sides, args.repeats, Path(scratch))
    ratios = {}
    for name, ours, theirs in (
        ("inference_vs_detectron2", "ours", "detectron2"),
        ("inference_fp32_vs_detectron2", "ours_fp32", "detectron2"),
        ("inference_vs_torchvision", "ours", "torchvision"),
    ):
        if {ours, theirs} <= figures.keys():
            ratios[name] = figures[theirs]["seconds_a_photo"] / figures[ours]["seconds_a_photo"]
    for name, theirs in (("memory_vs_detectron2", "detectron2"), ("memory_vs_torchvision", "torchvision")):
        if {"ours", theirs} <= figures.keys():
            ratios[name] = figures["ours"]["peak_mb"] / figures[theirs]["peak_mb"]
    return {"photos": len(photos), "table": as_table(figures), "sides": figures, "ratios": ratios}


def chosen_photos(folder: str, limit: int, megapixels: float, scratch: Path) -> list[Path]:
    """Some photos of a folder, evenly picked; with `megapixels`, copies in `scratch` scaled to that size, as JPEGs.

    Raises:
        ConfigError: there are none, or one cannot be read.
    """
    import cv2

    from campus_seg.inference.inputs import find_photos
    from campus_seg.photos import PhotoError, read_photo

    found = [photo.path for photo in find_photos([folder], scratch / "none").photos if not photo.fault]
    if not found:
        raise ConfigError(f"{folder}: no photo here can be read; give another folder")
    step = max(1, len(found) / limit)
    found = [found[int(i * step)] for i in range(min(limit, len(found)))]
    if not megapixels:
        return found
    scaled = []
    for number, path in enumerate(found):
        try:
            photo = read_photo(path)
        except PhotoError as error:
            raise ConfigError(f"{path}: {error}; give a folder of sound photos") from None
        factor = (megapixels * 1e6 / (photo.shape[0] * photo.shape[1])) ** 0.5
        scaled.append(scratch / "photos" / f"{number:04d}.jpg")
        scaled[-1].parent.mkdir(exist_ok=True)
        size = [max(1, round(side * factor)) for side in photo.shape[1::-1]]
        if not cv2.imwrite(str(scaled[-1]), cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)):
            raise OutputError(f"{scaled[-1]}: cannot be written; make room in the temporary folder")
    return scaled


def _take_turns(
    work: Work, photos: Sequence[Path], sides: Sequence[str], repeats: int, scratch: Path
) -> dict[str, dict[str, Any]]:
    from tqdm import tqdm

    chunks = [photos[first : first + CHUNK] for first in range(0, len(photos), CHUNK)]
    seconds: dict[str, list[list[float]]] = {side: [[] for _ in chunks] for side in sides}
    workers: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack, tqdm(total=repeats * len(chunks) * len(sides), disable=None) as bar:
        for side in sides:
            workers[side] = stack.enter_context(
                Worker(SIDES_MODULE, side, work, share_cores if side.startswith("ours") else None)
            )
            workers[side].do(photos[:WARM_UP], scratch / side)
        counts = dict.fromkeys(sides, 0)
        for repeat in range(repeats):
            for number, chunk in enumerate(chunks):
                for side in in_turn(sides, repeat + number):
                    bar.set_description(side)
                    taken, objects = workers[side].do(chunk, scratch / side)
                    seconds[side][number].append(taken)
                    counts[side] += objects
                    bar.update()
        figures = {}
        for side in sides:
            whole = sum(statistics.median(taken) for taken in seconds[side])
            figures[side] = {
                "what": workers[side].what,
                "seconds_a_photo": whole / len(photos),
                "photos_a_second": len(photos) / whole,
                "objects_a_photo": counts[side] / len(photos) / repeats,
                "peak_mb": workers[side].peak_mb(),
            }
    return figures


def as_table(figures: dict[str, dict[str, Any]]) -> str:
    """The figures in Markdown, a line a side."""
    lines = [
        "| side | photos a second | seconds a photo | objects a photo | peak MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for figure in figures.values():
        lines.append(
            f"| {figure['what']} | {figure['photos_a_second']:.2f} | {figure['seconds_a_photo']:.3f} "
            f"| {figure['objects_a_photo']:.0f} | {figure['peak_mb']:.0f} |"
        )
    return "\n".join(lines)
