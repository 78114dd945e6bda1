"""Several processes and machines that share one folder, and commands that are killed."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from masked_folders import files
from PIL import Image
from small_models import write_run

from campus_seg.videos import Frame, VideoWriter

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"
PHOTOS = 12
FRAMES = 6  # of a video
KILLS = 20


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, with a video and photos of which one cannot be read."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    (folder / "photos" / "walk").mkdir(parents=True)
    for number in range(PHOTOS):
        noise = np.random.default_rng(number).integers(0, 256, (90, 120 + number % 3, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "photos" / ("walk" if number % 2 else "") / f"{number:02d}.png")
    (folder / "photos" / "05.jpg").write_bytes(b"no photo")
    with VideoWriter(folder / "photos" / "walk" / "gate.mp4", Fraction(25), Fraction(1, 25)) as movie:
        for number in range(FRAMES):
            movie.add(Frame(number, Fraction(number, 25), np.full((90, 120, 3), 30 * number, np.uint8)))
    return folder


def command(run, output, *more):
    given = ["--config-file", run / "config.yaml", "--input", run / "photos", "--output", output, *more]
    return [sys.executable, "-W", "ignore", str(TOOL), *map(str, given)]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def whole(run):
    """What one process that is not disturbed writes."""
    done = subprocess.run(command(run, run / "whole"), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    written = files(run / "whole")
    assert len(json.loads(written["predictions.json"])["images"]) == PHOTOS
    return written


def test_two_processes_write_what_one_does(run, whole, tmp_path):
    more = ("--num-gpus", 2)
    done = subprocess.run(
        command(run, tmp_path / "two", *more), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.count(f"photos masked {PHOTOS}") == 1
    assert files(tmp_path / "two") == whole
    lines = [path.read_text().count('"stamp"') for path in sorted((tmp_path / "two/.journal").glob("*.jsonl"))]
    assert sum(lines) == PHOTOS + 1 + FRAMES + 1 and min(lines) >= 6


def test_two_machines_write_what_one_does(run, whole, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    machines = []
    for rank in (0, 1):
        more = ("--num-machines", 2, "--machine-rank", rank, "--dist-url", url)
        machines.append(subprocess.Popen(command(run, tmp_path / "two", *more), env=environment()))
    assert [machine.wait(timeout=120) for machine in machines] == [3, 3]
    assert files(tmp_path / "two") == whole


def test_an_error_in_a_process_is_one_line(run, tmp_path):
    subprocess.run(command(run, tmp_path, "--save", "binary"), env=environment(), capture_output=True, check=False)
    more = ("--num-gpus", 2, "--save", "rgb")
    done = subprocess.run(command(run, tmp_path, *more), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another --save" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def journal_lines(output):
    return sum(path.read_bytes().count(b"\n") for path in (output / ".journal").glob("*.jsonl"))


@pytest.mark.kills
@pytest.mark.parametrize("processes", [1, 2])
def test_a_command_killed_at_any_moment_goes_on(run, whole, tmp_path, processes):
    """Twenty kills at moments that differ: all is in the end as if there had been none, and no photo was done twice."""
    draw = random.Random(processes)
    output = tmp_path / "out"
    kills = 0
    while True:
        before = journal_lines(output)
        process = subprocess.Popen(
            command(run, output, "--num-gpus", processes),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Somewhere between the start and a few photos later; at the last, never.
        wanted = before + draw.choice([0, 1, 1, 2])
        if kills < KILLS // 2:
            while process.poll() is None and journal_lines(output) < max(wanted, 1):
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.03))
            kills += 1
            if process.poll() is None:
                os.killpg(process.pid, draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            process.communicate()
            if process.returncode == 3:  # it had ended: the same once more, from the start
                assert files(output) == whole
                subprocess.run(["rm", "-r", str(output)], check=True)
            continue
        said = process.communicate()[0].decode()
        assert process.returncode == 3, said
        break
    assert files(output) == whole
    names = [
        json.loads(line)["file_name"]
        for path in (output / ".journal").glob("*.jsonl")
        for line in path.read_text().splitlines()
        if '"image"' in line
    ]
    assert sorted(names) == sorted(set(names)) and len(names) == PHOTOS + FRAMES
