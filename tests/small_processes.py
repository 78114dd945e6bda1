"""Trainings in several processes, as commands, on small drawn exports."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from small_runs import TINY

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "train_net.py"
FAULTY = ROOT / "tests" / "processes" / "faulty.py"
ITERATIONS = 42
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(export, output, *flags, tool=(TOOL,), opts=()):
    """A training of a few thousand parameters, in one process where the flags do not say otherwise."""
    keys = [*TINY, "SOLVER.MAX_ITER", ITERATIONS, "SOLVER.CHECKPOINT_PERIOD", 6, "TEST.EVAL_PERIOD", 14]
    keys += ["SOLVER.WARMUP_ITERS", 5, "SOLVER.BASE_LR", 0.006]
    keys += ["CAMPUS.EXPORT", export, "OUTPUT_DIR", output, "CAMPUS.BEST_METRIC", "val/total_loss", *opts]
    given = [sys.executable, *tool, "--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *keys]
    return [str(part) for part in given]


def run(command, **kwargs):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=180, env=ENVIRONMENT, check=False, cwd=ROOT, **kwargs
    )


def session(number):
    """The processes of a session."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # of one that has just ended
            stats[int(path.parent.name)] = path.read_text().rpartition(") ")[2].split()
    return [process for process, stat in stats.items() if int(stat[3]) == number]


def is_alive(number):
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] != "Z"  # which waits for its parent to notice


def are_gone(processes, seconds=20):
    end = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < end:
        time.sleep(0.1)
    return not any(map(is_alive, processes))
