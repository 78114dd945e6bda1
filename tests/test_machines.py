"""Machines that talk, as several contexts in one process."""

import contextlib
import socket
import threading
import time

import pytest

from campus_seg import machines
from campus_seg.errors import ConfigError, LostProcessError, Stopped
from campus_seg.machines import Machines, free_port, interface_to


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(machines, "BEAT", 0.02)
    monkeypatch.setattr(machines, "SILENCE", 10.0)
    monkeypatch.setattr(machines, "ARRIVAL", 60.0)


@pytest.fixture
def two():
    url = f"tcp://127.0.0.1:{free_port()}"
    return Machines(2, 0, url, "again"), Machines(2, 1, url, "again")


@contextlib.contextmanager
def entered(*two):
    """Both, which in the end both have ended well; one that waits for the other would wait for ever here."""
    with contextlib.ExitStack() as stack:
        for each in two:
            stack.enter_context(each)
        try:
            yield two
        finally:
            for each in two:
                each.say(end={"status": 0, "message": ""})


def wait_for_the_end(machine, meanwhile=lambda: None):
    """What `check` raises in the end."""
    with pytest.raises((LostProcessError, ConfigError)) as ended:
        for _ in range(3000):
            meanwhile()
            machine.check()
            time.sleep(0.01)
    return ended.value


def wait_for_the_word(machine, other, word):
    machine._wait_until(lambda: word in machine._others[other], 30)


def test_the_first_machine_is_found_soon_after_it_comes(two, monkeypatch):
    """By looking for it at one pace: torch, which would look ever more rarely, is not asked before it is there."""
    asked = threading.Event()

    def refuse(*address, **wait):
        asked.set()
        raise RuntimeError("not today")

    monkeypatch.setattr("torch.distributed.TCPStore", refuse)
    with two[1] as second:
        assert not asked.wait(1)
        with socket.create_server(second._address):
            assert asked.wait(10)
        second.say(end={"status": 0, "message": ""})


def test_what_one_says_the_other_hears(two):
    with entered(*two) as (first, second):
        first.say(photos=12, names=["a", "b"])
        assert second.hear(0, "photos") == 12 and second.hear(0, "names") == ["a", "b"]
        second.say(processes=2)
        assert first.hear(1, "processes") == 2 and second.hear(1, "processes") == 2
        second.say(end={"status": 0, "message": ""})
        wait_for_the_word(first, 1, "end")
        second._over.set()
        second._thread.join()
        first._heard[1] = -float("inf")
        first.check()  # it has ended well


def test_the_reason_of_an_end_is_heard_with_its_status(two):
    with entered(*two) as (first, second):
        first.say(here=1)
        second.hear(0, "here")
        end = threading.Thread(target=first.__exit__, args=(ConfigError, ConfigError("a.yaml: no\nsuch key"), None))
        end.start()
        ended = wait_for_the_end(second)
        assert (str(ended), ended.status) == ("machine 0 ended: a.yaml: no such key", 2)
    end.join()


def test_an_end_that_all_agreed_on_ends_no_other(two):
    with entered(*two) as (first, second):
        second.say(here=1)
        first.hear(1, "here")
        second.say(agreed=True)
        end = threading.Thread(target=second.__exit__, args=(Stopped, Stopped("stopped and saved", 15), None))
        end.start()
        wait_for_the_word(first, 1, "end")
        first.check()
        assert end.is_alive()  # waits for the first
        first.say(end={"status": 0, "message": ""})
        end.join(30)
        assert not end.is_alive()


def test_a_silent_machine_is_lost(two):
    first, second = two
    with first:
        second.__enter__()
        second.say(here=1)
        first.hear(1, "here")
        first.check()
        second._over.set()  # says nothing more
        second._thread.join()
        ended = wait_for_the_end(first, lambda: first._heard.update({1: time.monotonic() - 10.1}))
        assert str(ended).startswith("machine 1 is lost: nothing was heard of it for 10 seconds")
        assert "again" in str(ended) and ended.status == 1


def test_a_good_end_does_not_wait_for_ever(two, monkeypatch):
    monkeypatch.setattr(machines, "FAREWELL", 0.1)
    with entered(*two) as (first, second):
        first.say(here=1)
        second.hear(0, "here")
        first.__exit__(None, None, None)
        first._thread.join(30)
        assert not first._thread.is_alive() and not second._over.is_set()


def test_a_machine_that_does_not_come(monkeypatch, capsys):
    monkeypatch.setattr(machines, "ARRIVAL", 0.3)
    monkeypatch.setattr(machines, "SILENCE", 0.1)
    url = f"tcp://127.0.0.1:{free_port()}"
    says = f"machine 1 did not come to {url} .* --machine-rank 1"
    with pytest.raises(LostProcessError, match=says), Machines(2, 0, url) as first:
        first.hear(1, "processes")
    assert capsys.readouterr().out == f"waiting for machine 1, at {url}\n"


def test_a_machine_that_is_there_and_at_work_is_not_waited_for_aloud(two, monkeypatch, capsys):
    with entered(*two) as (first, second):
        first.say(here=1)
        second.hear(0, "here")
        later = threading.Timer(10 * machines.BEAT, first.say, kwargs={"config": "a"})
        later.start()
        assert second.hear(0, "config") == "a"
    assert capsys.readouterr().out == ""


def test_a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        url = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        says = f"--dist-url {url}: cannot be used on machine 0"
        with pytest.raises(ConfigError, match=says), Machines(2, 0, url) as first:
            first.hear(1, "processes")


@pytest.mark.parametrize(
    "count, rank, url, says",
    [
        (2, 2, "tcp://localhost:29500", "--machine-rank 2"),
        (0, 0, "auto", "--num-machines 0"),
        (2, 0, "auto", "tcp://HOST:PORT"),
        (2, 0, "tcp://localhost", "tcp://HOST:PORT"),
        (2, 0, "tcp://localhost:port", "tcp://HOST:PORT"),
        (2, 0, "file:///tmp/a", "tcp://HOST:PORT"),
        (2, 1, "tcp://no.such.host.invalid:29500", "the host is not known here"),
    ],
)
def test_arguments_that_cannot_be(count, rank, url, says):
    with pytest.raises(ConfigError, match=says):
        Machines(count, rank, url)


@pytest.mark.parametrize(
    "rank, host, addresses, refused",
    [
        (0, "first", ["127.0.1.1"], True),
        (0, "first", ["::1", "127.0.1.1"], True),
        (0, "first", ["127.0.1.1", "10.0.0.5"], False),
        (0, "first", ["fe80::1%eth0"], False),
        (1, "first", ["127.0.1.1"], False),  # a tunnel's end
        (0, "127.0.1.1", ["127.0.1.1"], False),
        (0, "localhost", ["::1", "127.0.0.1"], False),
    ],
)
def test_the_first_machine_needs_a_name_that_leads_there(rank, host, addresses, refused, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 29500)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where: found)
    says = "--dist-url tcp://first:29500: on machine 0 first leads to that machine alone .see /etc/hosts.; give the"
    with pytest.raises(ConfigError, match=says) if refused else contextlib.nullcontext():
        Machines(2, rank, f"tcp://{host}:29500")


def test_one_machine_needs_nobody():
    with Machines() as alone:
        alone.say(config="a")
        assert alone.hear(0, "config") == "a"
        alone.check()


def test_the_interface_to_a_host():
    assert interface_to("127.0.0.1") == "lo"
    assert interface_to("no.such.host.invalid") == ""
