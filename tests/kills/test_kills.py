"""Runs that are killed, stopped or cut off from the disk, as processes, and what became of them.

`make kills` runs these, some minutes of them; each process takes seconds to import torch and Detectron2.
"""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from drawn import SMALL_MODEL, draw_export
from same_runs import assert_same_run, curve, lines, same

pytestmark = pytest.mark.kills

TOOL = Path(__file__).resolve().parents[2] / "tools" / "train_net.py"
VICTIM = Path(__file__).with_name("victim.py")
ITERATIONS = 56
# Two threads, which do not burn a core while they wait: many times faster where others work on the same cores.
THREADS = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}

# Where each kill comes, in this order in one chain: (what is hit, which time in that process, seconds from there at
# most). The seconds are drawn; a step takes some hundredths, an evaluation some tenths.
KILLS = [
    *(("start", 1, 6.0), ("set up", 1, 0.2), ("step", 2, 0.1)),  # before the first checkpoint
    *(("checkpoint", 1, 0), ("tag", 1, 0), ("step", 3, 0.2), ("evaluation", 1, 0.3), ("restore", 1, 0.1)),
    *(("saving", 4, 0.01), ("best", 1, 0), ("metrics", 1, 0.01), ("checkpoint", 2, 0), ("step", 4, 0.2)),
    *(("start", 1, 8.0), ("evaluation", 1, 0.3), ("saving", 7, 0.02), ("step", 6, 0.1)),
    *(("final checkpoint", 1, 0), ("final evaluation", 1, 0.2), ("final evaluation", 1, 0.5)),
]


def command(tool, export, output, *opts, flags=()):
    """A training of a few thousand parameters."""
    keys = [*SMALL_MODEL, "SOLVER.MAX_ITER", ITERATIONS, "SOLVER.CHECKPOINT_PERIOD", 3, "TEST.EVAL_PERIOD", 7]
    keys += ["SOLVER.WARMUP_ITERS", 10, "DATALOADER.NUM_WORKERS", 0, "CAMPUS.EXPORT", export, "OUTPUT_DIR", output]
    keys += ["CAMPUS.BEST_METRIC", "val/total_loss"]  # which gets better nearly every time
    config = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags]
    return [str(part) for part in [sys.executable, *tool, *config, *keys, *opts]]


def run(command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=THREADS, **kwargs)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=20).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


@pytest.fixture(scope="module")
def whole(export, tmp_path_factory):
    """The run that was never interrupted."""
    output = tmp_path_factory.mktemp("whole") / "output"
    done = run(command([TOOL], export, output))
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def begun(export, tmp_path_factory):
    """A run killed after iteration 10, with checkpoints of 2, 5 and 8; not to be changed."""
    output = tmp_path_factory.mktemp("begun") / "output"
    assert run(command([VICTIM, "step", 12, 0], export, output)).returncode == -signal.SIGKILL
    there = {path.name for path in output.glob("*.pth")}
    assert {"model_0000005.pth", "model_0000008.pth"} <= there and "model_0000011.pth" not in there
    return output


@pytest.fixture
def copy(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "output")


def test_killed_twenty_times(export, whole, tmp_path):
    output = tmp_path / "output"
    rng = random.Random(4)
    seen = []  # (where, iteration gone on from), for the message
    for i, (where, number, most) in enumerate(KILLS):
        begun = (output / "last_checkpoint").is_file()
        log = (output / "log.txt").stat().st_size if begun else 0
        opts = ["DATALOADER.NUM_WORKERS", (0, 1, 3)[i % 3]]
        killed = run(command([VICTIM, where, number, rng.uniform(0, most)], export, output, *opts, flags=["--resume"]))
        assert killed.returncode == -signal.SIGKILL, (i, where, killed.stdout[-3000:], killed.stderr)
        seen.append((where, gone_on(output, log)))
    print(seen)
    log = (output / "log.txt").stat().st_size
    done = run(command([TOOL], export, output, flags=["--resume"]))
    assert done.returncode == 0, done.stderr
    assert gone_on(output, log) == ITERATIONS
    from_there = [iteration for _, iteration in seen if iteration is not None]
    assert from_there == sorted(from_there) and len({*from_there}) >= 8, seen
    # Once there was a checkpoint, everything that got so far as to say so has gone on.
    assert all(iteration for where, iteration in seen[5:] if where not in ("start", "restore")), seen
    assert (output / "log.txt").read_text().count("Starting from scratch") <= 4, seen
    assert len(seen) == 20
    assert_same_run(output, whole)
    assert curve(output) == curve(whole)


def gone_on(output, start):
    """The iteration that log.txt says a run went on at, in what follows `start`; None where it says nothing."""
    log = output / "log.txt"
    found = re.findall(r"Going on at iteration (\d+)", log.read_text()[start:] if log.is_file() else "")
    return int(found[-1]) if found else None


@pytest.mark.parametrize(
    "number, workers, send",
    [(signal.SIGTERM, 0, os.kill), (signal.SIGTERM, 2, os.killpg), (signal.SIGINT, 2, os.killpg)],
)
def test_a_signal_saves_and_stops(number, workers, send, export, whole, tmp_path):
    """Sent to the process alone, or to all of its group as from a terminal or by `timeout`."""
    output = tmp_path / "output"
    opts = ["DATALOADER.NUM_WORKERS", workers]
    process = subprocess.Popen(
        command([TOOL], export, output, *opts),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=THREADS,
    )
    try:
        wait_for(output / "last_checkpoint", process)
        time.sleep(random.Random(int(number)).uniform(0, 0.3))
        send(process.pid, number)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    stopped = re.search(r"stopped and saved after iteration (\d+); the same command with --resume goes on", errors)
    assert (output / "last_checkpoint").read_text() == f"model_{int(stopped[1]):07d}.pth"
    done = run(command([TOOL], export, output, *opts, flags=["--resume"]))
    assert done.returncode == 0, done.stderr
    assert f"Going on at iteration {int(stopped[1]) + 1} " in (output / "log.txt").read_text()
    assert lines(output) == lines(whole)
    assert curve(output) == curve(whole)
    first, second = (torch.load(folder / "model_final.pth")["model"] for folder in (output, whole))
    assert same(first, second)


def wait_for(path, process):
    end = time.monotonic() + 120
    while not path.is_file():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("damage", ["cut", "a byte changed"])
def test_a_damaged_last_checkpoint(damage, export, whole, copy):
    path = copy / "model_0000008.pth"
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half] ^= 0x10
    path.write_bytes(content[:half] if damage == "cut" else content)
    done = run(command([TOOL], export, copy, flags=["--resume"]))
    assert done.returncode == 0, done.stderr
    log = (copy / "log.txt").read_text()
    assert re.search(r"WARNING: .*model_0000008\.pth: is .*; falling back to model_0000005\.pth", log)
    assert "Going on at iteration 6 of" in log
    assert_same_run(copy, whole)


def test_no_checkpoint_is_whole(export, copy):
    for path in copy.glob("model_0*.pth"):
        path.write_bytes(path.read_bytes()[:1000])
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = run(command([TOOL], export, copy, flags=["--resume"]))
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*model_0000008\.pth: is cut or damaged; .*another OUTPUT_DIR\n", done.stderr)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_full_disk(export, whole, copy):
    """A limit on the size of files, which needs no rights; the kernel refuses a write in the same way."""
    size = (copy / "model_0000008.pth").stat().st_size
    limit = (size // 2, size // 2)
    done = run(
        command([TOOL], export, copy, flags=["--resume"]),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: .*model_0000011\.pth: cannot be written \(File too large\); .*\n", done.stderr)
    assert not [path.name for path in copy.iterdir() if ".part" in path.name]
    assert not (copy / "model_0000011.pth").exists()
    done = run(command([TOOL], export, copy, flags=["--resume"]))
    assert done.returncode == 0, done.stderr
    assert "Going on at iteration 9 of" in (copy / "log.txt").read_text()
    assert_same_run(copy, whole)
