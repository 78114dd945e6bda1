"""One of several processes, or of several machines, that dies alone: the others end soon, and the command goes on."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from masked_folders import files
from PIL import Image
from small_models import write_run

pytestmark = pytest.mark.kills

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"
PHOTOS = 200  # some seconds for two processes
SOON = 60  # seconds


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    (folder / "photos").mkdir()
    for number in range(PHOTOS):
        noise = np.random.default_rng(number).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "photos" / f"{number:03d}.png")
    return folder


def start(run, output, *more):
    given = ["--config-file", run / "config.yaml", "--input", run / "photos", "--output", output, *more]
    given += ["--opts", "TEST.DETECTIONS_PER_IMAGE", 6]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", *map(str, [TOOL, *given])],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(run):
    """What one process that is not disturbed writes."""
    process = start(run, run / "whole")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return files(run / "whole")


def journals(output):
    """Photos in the journal of each process."""
    return [path.read_bytes().count(b"\n") - 1 for path in sorted((output / ".journal").glob("*.jsonl"))]


def wait_until_all_mask(output, commands):
    """Until two processes have masked some photos each."""
    while len(found := journals(output)) < 2 or min(found) < 3:
        assert [command.poll() for command in commands] == [None] * len(commands)
        time.sleep(0.005)
    assert sum(found) < PHOTOS


def workers(command):
    """The processes that a command has started to mask photos, in their order."""
    children = Path(f"/proc/{command.pid}/task").glob("*/children")
    found = sorted(int(child) for path in children for child in path.read_text().split())
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def assert_one_line(command, began):
    """It has ended soon, with a line for the user."""
    _, errors = command.communicate(timeout=SOON)
    assert time.monotonic() - began < SOON
    assert command.returncode in (1, 2), errors
    assert [line for line in errors.splitlines() if line.startswith("error: ")] == errors.splitlines()[-1:], errors
    assert "Traceback" not in errors


def assert_goes_on(run, output, whole):
    before = sum(journals(output))
    command = start(run, output)
    said, errors = command.communicate()
    assert command.returncode == 0, errors
    assert f"of an earlier command {before} photos\n" in said
    assert files(output) == whole


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_alone(run, whole, tmp_path, victim):
    command = start(run, tmp_path, "--num-gpus", 2)
    wait_until_all_mask(tmp_path, [command])
    began = time.monotonic()
    os.kill(workers(command)[victim], signal.SIGKILL)
    assert_one_line(command, began)
    assert_goes_on(run, tmp_path, whole)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_a_machine_whose_command_is_killed(run, whole, tmp_path, victim, kill):
    """The command alone, or with the processes that it has started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    more = ("--num-machines", 2, "--dist-url", url, "--machine-rank")
    machines = [start(run, tmp_path, *more, rank) for rank in (0, 1)]
    wait_until_all_mask(tmp_path, machines)
    began = time.monotonic()
    kill(machines[victim].pid, signal.SIGKILL)
    machines[victim].communicate(timeout=SOON)
    assert_one_line(machines[1 - victim], began)
    assert_goes_on(run, tmp_path, whole)
