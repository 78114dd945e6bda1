"""Two machines: network namespaces with a cable between them (iproute2, root), and commands on one machine."""

import contextlib
import itertools
import os
import re
import shutil
import socket
import subprocess
import time

import pytest
from same_runs import assert_same_run, curve
from small_processes import ENVIRONMENT, FAULTY, ROOT, command

pytestmark = pytest.mark.processes

HOST = "10.77.77.1"
numbers = itertools.count()


@pytest.fixture
def cable():
    """The names of two network namespaces, between which there is a link."""
    if not (shutil.which("ip") and os.geteuid() == 0):
        pytest.skip("network namespaces want iproute2 and root")
    ends = [f"campus{os.getpid()}-{next(numbers)}" for _ in range(2)]
    with contextlib.ExitStack() as made:
        for end in ends:
            done = ip("netns", "add", end)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
            made.callback(ip, "netns", "delete", end)
        ip("-n", ends[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", ends[1])
        for number, end in enumerate(ends, start=1):
            assert not ip("-n", end, "address", "add", f"10.77.77.{number}/24", "dev", "cable").returncode
            for device in ("lo", "cable"):
                ip("-n", end, "link", "set", device, "up")
        yield ends


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def start(commands):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(each, env=ENVIRONMENT, cwd=ROOT, **pipes) for each in commands]


def ends_of(processes, seconds):
    """(exit status, standard error) of each."""
    end = time.monotonic() + seconds
    try:
        errors = [process.communicate(timeout=max(0.1, end - time.monotonic()))[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def wait_for_a_checkpoint(output, processes):
    """Ends the processes where there is none."""
    end = time.monotonic() + 120
    try:
        while not (output / "last_checkpoint").is_file():
            assert all(process.poll() is None for process in processes) and time.monotonic() < end
            time.sleep(0.05)
    except AssertionError:
        for process in processes:
            process.kill()
        raise


def on_both(url, export, outputs, *flags, tool=()):
    machines = ("--num-machines", 2, "--dist-url", url)
    more = {"tool": tool} if tool else {}
    return [
        command(export, output, *machines, "--machine-rank", rank, *flags, **more)
        for rank, output in enumerate(outputs)
    ]


def test_a_cut_link_ends_both_and_the_run_goes_on(cable, export, whole, tmp_path):
    """In the end all is, bit for bit, as in two processes of one machine that nothing happened to."""
    output = tmp_path / "output"

    def commands(port, *flags, tool=()):
        both = on_both(f"tcp://{HOST}:{port}", export, [output, output], *flags, tool=tool)
        return [["ip", "netns", "exec", end, *each] for end, each in zip(cable, both, strict=True)]

    processes = start(commands(29500, tool=(FAULTY, "slow", 0, 0)))
    wait_for_a_checkpoint(output, processes)
    ip("-n", cable[0], "link", "set", "cable", "down")
    for other, (status, errors) in zip((1, 0), ends_of(processes, seconds=60), strict=True):
        assert (status, errors.count("\n")) == (1, 1), errors
        assert re.match(rf"error: machine {other} is lost: nothing was heard of it for 30 seconds; .*--resume", errors)

    ip("-n", cable[0], "link", "set", "cable", "up")
    resumed = ends_of(start(commands(29501, "--resume")), seconds=120)
    assert resumed == [(0, ""), (0, "")]
    assert "Going on at iteration 6 of" in (output / "log.txt").read_text()
    assert_same_run(output, whole)
    assert curve(output) == curve(whole)
    assert len(list((output / "import").rglob("*.jpg"))) == 20


@pytest.fixture
def url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def test_bad_input_on_one_machine_ends_both(url, tmp_path):
    """Without an export neither gets as far as to start a process."""
    commands = on_both(url, tmp_path / "gone.zip", [tmp_path / "output"] * 2)
    (other,) = start(commands[1:])
    heard = other.stdout.readline()
    (first, said), (second, told) = ends_of([*start(commands[:1]), other], seconds=60)
    assert heard == f"waiting for machine 0, at {url}\n"
    assert (first, second) == (2, 2)
    assert said.count("\n") == told.count("\n") == 1
    assert said.startswith(f"error: {tmp_path / 'gone.zip'}")
    assert told == f"error: machine 0 ended: {said.removeprefix('error: ')}"
    assert not (tmp_path / "output").exists()


def test_arguments_that_one_machine_refuses_end_both(url, export, tmp_path):
    first, second = on_both(url, export, [tmp_path / "output"] * 2)
    second[2:2] = ["--num-gpus", "0"]
    (one, said), (other, told) = ends_of(start([first, second]), seconds=60)
    assert (one, other) == (2, 2)
    assert told.startswith("error: --num-gpus 0: ") and told.count("\n") == 1
    assert said == f"error: machine 1 ended: {told.removeprefix('error: ')}"


def test_a_machine_that_is_killed_ends_the_other(url, export, tmp_path):
    output = tmp_path / "output"
    processes = start(on_both(url, export, [output] * 2, tool=(FAULTY, "slow", 0, 0)))
    wait_for_a_checkpoint(output, processes)
    processes[0].kill()
    _, (status, errors) = ends_of(processes, seconds=60)
    assert (status, errors.count("\n")) == (1, 1), errors
    assert re.match(r"error: (machine 0 is lost|another process of the run is gone)", errors)
