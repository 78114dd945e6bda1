"""Trainings in several processes, as commands, on small drawn exports."""

import os
import subprocess
import sys
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
