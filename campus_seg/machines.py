"""The machines that work on one thing together, and how the commands that were typed there know of each other."""

import fcntl
import ipaddress
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from campus_seg.errors import CampusError, ConfigError, LostProcessError, Stopped, one_line

GOES_ON = "the same command goes on"
BEAT = 1.0  # seconds from one sign of life to the next
# Seconds without one after which a machine counts as lost, be it that one call of a library held Python's lock so long.
SILENCE = 30.0
ARRIVAL = 30 * 60.0  # seconds to wait for another machine's first sign of life
FAREWELL = 10 * 60.0  # seconds to wait for the others after a good end, to which all processes have come together
SIOCGIFADDR = 0x8915  # Linux, netdevice(7)


class Machines:
    """This machine among those of a run: a context that the command on each of them enters.

    Each tells the others every second that it is there, and at its end why it ended, on a board that the first machine
    holds: a TCPStore of torch's. That of processes which work together does not do, since a link that is cut closes no
    connection, and those who wait for each other's results, be it for long, would wait for ever.

    Attributes:
        count: of the machines.
        rank: this one's number; 0 is the first.
        advice: how to go on after a loss.
    """

    def __init__(self, count: int = 1, rank: int = 0, url: str = "auto", advice: str = GOES_ON):
        """Called with Detectron2's arguments of these names.

        Args:
            count: of the machines.
            rank: of this one.
            url: where all of them reach the first: tcp://HOST:PORT. One machine needs none.
            advice: how to go on after a loss, for messages.

        Raises:
            ConfigError: a number or an address that cannot be.
        """
        if count < 1 or not 0 <= rank < count:
            raise ConfigError(
                f"--num-machines {count}, --machine-rank {rank}: the machines' numbers are 0 to their number less one"
            )
        self.count, self.rank, self.advice, self._url = count, rank, advice, url
        self._address = _address(url, rank) if count > 1 else ("127.0.0.1", 0)
        self._mine: dict[str, Any] = {}  # replaced and never changed, since another thread reads it
        self._others: dict[int, dict[str, Any]] = {}  # what each said last
        self._heard: dict[int, float] = {}  # when that was
        self._fault: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)  # a cut link holds it up for ever

    def __enter__(self) -> Self:
        if self.count > 1:
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Tells the others how it ended here, and waits for them: Slurm ends all where one of them ends by a signal."""
        if not self._thread.is_alive():
            return
        end = _last_words(None if self._mine.get("agreed") else error)
        self.say(end=end)
        patience = SILENCE / 2 if end["status"] else FAREWELL
        others = [0] if self.rank else range(1, self.count)  # the first one's end is the last
        self._wait_until(lambda: all(map(self._is_over, others)), patience)
        self._over.set()
        self._thread.join(5 * BEAT)

    @property
    def host(self) -> str:
        """Where the first machine is reached."""
        return self._address[0]

    def say(self, **words: Any) -> None:
        """Tells the others something that JSON can hold, under a name.

        "agreed": the processes here have come to an end, whatever it is, together with those of the others.
        """
        self._mine = {**self._mine, **words}

    def hear(self, rank: int, name: str) -> Any:
        """What a machine, also this one, says under a name; waits for it.

        Raises:
            LostProcessError: a machine did not come, has failed or has fallen silent.
        """
        if rank == self.rank:
            return self._mine[name]

        def said() -> bool:
            self.check()
            return name in self._others.get(rank, {})

        def came() -> bool:
            return said() or rank in self._others

        self._wait_until(came, 3 * BEAT)
        if not came():
            print(f"waiting for machine {rank}, at {self._url}", flush=True)
            self._wait_until(came, ARRIVAL)
        if rank not in self._others:
            raise LostProcessError(
                f"machine {rank} did not come to {self._url} in {ARRIVAL / 60:g} minutes; start the same command "
                f"there, with --machine-rank {rank}"
            )
        self._wait_until(said)
        return self._others[rank][name]

    def check(self) -> None:
        """Looks after the other machines, often.

        Raises:
            LostProcessError: one has failed or has fallen silent.
            ConfigError: the address cannot be used.
        """
        if self._fault:
            raise ConfigError(f"--dist-url {self._url}: cannot be used on machine 0 ({one_line(str(self._fault))})")
        for other, words in sorted(self._others.items()):
            end = words.get("end")
            if end and end["status"]:
                raise LostProcessError(f"machine {other} ended: {end['message']}", end["status"])
            if not end and self._is_silent(other):
                raise LostProcessError(
                    f"machine {other} is lost: nothing was heard of it for {SILENCE:g} seconds; see to it and the "
                    f"network, then {self.advice}"
                )

    def _is_silent(self, other: int) -> bool:
        return time.monotonic() - self._heard[other] > SILENCE

    def _is_over(self, other: int) -> bool:
        return other in self._others and ("end" in self._others[other] or self._is_silent(other))

    @staticmethod
    def _wait_until(condition: Callable[[], bool], seconds: float = float("inf")) -> None:
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(BEAT / 10)

    def _talk(self) -> None:
        """What the thread does: opens the board, then reads and writes there until it is all over."""
        from torch.distributed import DistError, TCPStore  # loads torch

        wait = {"timeout": timedelta(seconds=ARRIVAL), "wait_for_workers": False}
        if self.rank and not self._is_opened():
            return
        try:
            board = TCPStore(*self._address, None, not self.rank, **wait)
        except (DistError, RuntimeError) as error:
            if not self.rank:
                self._fault = error  # elsewhere the first machine did not come, as `hear` says
            return
        beat = 0
        while True:
            over = self._over.is_set()
            beat += 1
            try:
                self._beat(board, beat)
            except (DistError, RuntimeError):  # the first machine's command is gone, and the board with it
                self._heard[0] = -float("inf")
                self._others = {0: {}, **self._others}
                return
            if over:
                return
            self._over.wait(BEAT)

    def _is_opened(self) -> bool:
        """Waits until the first machine listens, trying each second.

        torch itself would try ever more rarely, and sleep through the end of a machine that has failed at once.
        """
        until = time.monotonic() + ARRIVAL
        while not self._over.is_set() and time.monotonic() < until:
            try:
                socket.create_connection(self._address, timeout=3 * BEAT).close()
                return True
            except OSError:
                self._over.wait(BEAT)
        return False

    def _beat(self, board: Any, number: int) -> None:
        board.set(str(self.rank), json.dumps({**self._mine, "beat": number}))
        for other in set(range(self.count)) - {self.rank}:
            if not board.check([str(other)]):
                continue
            words = json.loads(board.get(str(other)))
            if words["beat"] != self._others.get(other, {}).get("beat"):
                self._heard[other] = time.monotonic()
                self._others = {**self._others, other: words}


def _address(url: str, rank: int) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            found = [str(each[4][0]) for each in socket.getaddrinfo(parts.hostname, parts.port)]
            if not rank and _is_own_name(parts.hostname, found):
                raise ConfigError(
                    f"--dist-url {url}: on machine 0 {parts.hostname} leads to that machine alone (see /etc/hosts); "
                    "give the address by which the others reach it"
                )
            return parts.hostname, parts.port
    except OSError as error:
        raise ConfigError(
            f"--dist-url {url}: the host is not known here ({error.strerror}); give its address"
        ) from None
    except ValueError:  # of a port that is no number
        pass
    raise ConfigError(f"--dist-url {url}: say with tcp://HOST:PORT where all machines reach machine 0")


def _is_own_name(host: str, addresses: list[str]) -> bool:
    """Whether a machine has a loopback address for its own name, as Debian's have; gloo would give it to the others."""
    if host == "localhost" or host in addresses:  # which says itself that all is on one machine
        return False
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def _last_words(error: BaseException | None) -> dict[str, Any]:
    """How a command ended, for those on other machines."""
    if error is None:
        return {"status": 0, "message": ""}
    status = error.status if isinstance(error, CampusError) else 1
    if isinstance(error, CampusError | Stopped):
        return {"status": status, "message": one_line(str(error))}
    return {"status": status, "message": [type(error).__name__, *str(error).strip().splitlines()][-1]}


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def interface_to(host: str) -> str:
    """The network interface of this machine by which it reaches a host, or is that host; "" where nobody can tell.

    gloo takes the address that the machine's own name leads to, and on many machines that is a loopback address.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # sends nothing
            own = probe.getsockname()[0]
            for _, name in socket.if_nameindex():
                try:
                    found = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()))
                except OSError:  # an interface without an address
                    continue
                if socket.inet_ntoa(found[20:24]) == own:
                    return name
    except OSError:
        pass
    return ""
