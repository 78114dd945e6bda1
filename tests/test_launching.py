"""What goes without other processes; those that are started are in processes/."""

import os
import pickle
import threading

import pytest
from torch.distributed import DistError

from campus_seg.errors import ConfigError, LostProcessError
from campus_seg.launching import _Command, _environment, _is_lost_connection, _leave, _raise_the_end, launch, orders
from campus_seg.machines import Machines


def test_a_single_process_is_this_one():
    called = []
    launch(lambda *args: called.append((args, orders())), ("a", 1))
    assert called == [(("a", 1), None)]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_command_does_not_wait_for_its_own_end(elsewhere, monkeypatch):
    """Its own process would take that of another number above it for the command's end, and end at once."""
    watching = []
    monkeypatch.setattr(_Command, "_outlive", lambda self: watching.append(self.number))
    before = set(threading.enumerate())
    command = _Command()
    if elsewhere:
        command.number = os.getppid()
    assert pickle.loads(pickle.dumps(command)).number == command.number
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert watching == ([command.number] if elsewhere else [])


@pytest.mark.parametrize(
    "error, lost",
    [
        (RuntimeError("[enforce fail at tcp/pair.cc] Connection closed by peer [127.0.0.1]:1234"), True),
        (DistError("NCCL communicator was aborted"), True),
        (BrokenPipeError("Broken pipe"), False),
        (FileNotFoundError("gloo/photo.jpg"), False),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
    ],
)
def test_what_tells_that_another_process_is_gone(error, lost):
    assert _is_lost_connection(error) is lost


def test_the_cause_goes_before_what_follows_from_it(tmp_path):
    _leave(tmp_path / "0", LostProcessError("another process of the run is gone"))
    _leave(tmp_path / "1", ConfigError("the cause"))
    _leave(tmp_path / "2", ConfigError("another"))
    with pytest.raises(ConfigError, match="the cause"):
        _raise_the_end(RuntimeError("of torch's"), tmp_path, "again")


def test_processes_of_one_machine_do_not_listen_to_others(monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    with _environment(2, Machines()):
        assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"
    assert "GLOO_SOCKET_IFNAME" not in os.environ
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    with _environment(2, Machines()):
        assert os.environ["GLOO_SOCKET_IFNAME"] == "eth0"
