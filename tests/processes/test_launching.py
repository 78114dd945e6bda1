"""Processes that know nothing of stops, and the command that started them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_processes import ENVIRONMENT, are_gone, is_alive, session

pytestmark = pytest.mark.processes

MEMBERS = [sys.executable, str(Path(__file__).with_name("members.py"))]


def start(what):
    """The command, and the numbers of the processes it started, once both are at work."""
    command = subprocess.Popen(
        [*MEMBERS, what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    return command, [int(command.stdout.readline()) for _ in range(2)]


def test_a_signal_ends_all_at_once():
    command, processes = start("wait")
    for number in processes:  # one that goes to all, as from Slurm
        os.kill(number, signal.SIGTERM)
    time.sleep(0.5)
    assert all(map(is_alive, processes))
    command.terminate()
    _, errors = command.communicate(timeout=20)
    assert (command.returncode, errors) == (143, "stopped; the same command goes on\n")
    assert are_gone(processes)


def test_a_command_that_is_killed_leaves_no_process():
    command, processes = start("wait")
    command.kill()
    command.communicate(timeout=20)
    assert are_gone(processes)


@pytest.mark.parametrize("alone", [False, True])
def test_a_command_that_is_killed_as_they_start_leaves_no_process(alone):
    """Also where the first waits for a second that never comes to be."""
    command = subprocess.Popen([*MEMBERS, "wait"], stdout=subprocess.DEVNULL, start_new_session=True, env=ENVIRONMENT)
    end = time.monotonic() + 60
    while len(session(command.pid)) < 4:  # and the process that looks after shared memory
        assert command.poll() is None and time.monotonic() < end
        time.sleep(0.001)
    before = session(command.pid)
    command.kill()
    if alone:
        os.kill(max(session(command.pid)), signal.SIGKILL)
    command.wait()
    processes = {*before, *session(command.pid)}
    try:
        assert are_gone(processes, seconds=60)
    finally:
        for number in filter(is_alive, processes):
            os.kill(number, signal.SIGKILL)


def test_a_bug_keeps_its_traceback_and_ends_all():
    command, processes = start("bug")
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 1
    assert errors.count("ValueError: a bug") == 1 and "members.py" in errors
    assert are_gone(processes)


def test_a_process_that_cannot_be_started_ends_the_one_before_it():
    command = subprocess.Popen([*MEMBERS, "alone"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 1 and "BlockingIOError: no second process" in errors
        assert are_gone(session(command.pid))
    finally:
        for number in filter(is_alive, session(command.pid)):
            os.kill(number, signal.SIGKILL)


@pytest.mark.parametrize("what, end", [("busy", (0, "")), ("busy and wrong", (2, "error: this is wrong\n"))])
def test_threads_of_libraries_do_not_disturb_the_end(what, end):
    command, processes = start(what)
    _, errors = command.communicate(timeout=60)
    assert (command.returncode, errors) == end
    assert are_gone(processes)


def test_processes_that_never_begin_end_in_one_line():
    done = subprocess.run([*MEMBERS, "late"], capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"error: the processes have not found each other in 0.05 minutes; .* goes on\n", done.stderr)
