"""How much faster two processes train than one, each with one thread."""

import argparse
import contextlib
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from campus_seg.benchmarks.curves import draw_export
from campus_seg.benchmarks.timing import do_in_turn
from campus_seg.benchmarks.training import CLASSES, MODELS, WARM_UP, Work, import_once
from campus_seg.benchmarks.worker import Worker
from campus_seg.environment import take_large_pages

SIDES_MODULE = "campus_seg.benchmarks.scaling_sides"
PROCESSES = (1, 2)


@dataclass(frozen=True)
class Share:
    """What one process of a side is given.

    Attributes:
        work: of all sides; its batch is that of one process.
        meeting: file in which the processes of a side find each other.
        rank: of this process.
        processes: of its side.
    """

    work: Work
    meeting: str
    rank: int
    processes: int


class Together:
    """Processes that train one model, told what to do at once.

    Args:
        work: of all sides.
        folder: for the file in which they find each other.
        processes: how many.
    """

    def __init__(self, work: Work, folder: str, processes: int):
        shares = [Share(work, f"{folder}/meeting{processes}", rank, processes) for rank in range(processes)]
        with contextlib.ExitStack() as exits:
            self._threads = exits.enter_context(ThreadPoolExecutor(processes))  # each waits for one process

            def start(share: Share) -> Worker:
                return exits.enter_context(Worker(SIDES_MODULE, "rank", share, take_large_pages))

            self._workers = list(self._threads.map(start, shares))
            self._exits = exits.pop_all()

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def do(self, steps: int) -> float:
        """Trains; returns the seconds of the slowest."""
        return max(self._threads.map(lambda worker: worker.do(steps)[0], self._workers))


def measure_scaling(args: argparse.Namespace) -> dict[str, Any]:
    """Times both, in turn, with the mini network and as many photos a process.

    The photos are loaded by the processes themselves: loader workers would take a core of the two, from one side alone.

    Args:
        args: of tools/benchmark.py: photos, turns, steps and opts.

    Returns:
        Photos a second of each side; and under "ratios" "train_scaling_efficiency", those of two processes over twice
        those of one.

    Raises:
        CampusError: keys that cannot be used.
    """
    config, batch, _ = MODELS["mini"]
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch, "import")
        classes = import_once(str(draw_export(Path(scratch), CLASSES, args.photos, seed=0)), folder, args.opts)
        work = Work(config, str(folder), classes, batch, threads=1, workers=0, opts=args.opts)
        sides = {count: stack.enter_context(Together(work, scratch, count)) for count in PROCESSES}
        for side in sides.values():
            side.do(WARM_UP)
        taken = do_in_turn({count: partial(side.do, args.steps) for count, side in sides.items()}, args.turns)
    photos = {count: count * batch * args.steps / statistics.median(taken[count]) for count in PROCESSES}
    return {
        "photos_a_second": {f"{count} processes": photos[count] for count in PROCESSES},
        "ratios": {"train_scaling_efficiency": photos[2] / (2 * photos[1])},
    }
