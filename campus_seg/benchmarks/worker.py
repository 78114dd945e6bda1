"""One side of a comparison in a process of its own, which waits while the others have their turn."""

import importlib
import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from campus_seg.benchmarks.memory import peak_mb
from campus_seg.environment import require_detectron2, share_cores, take_large_pages
from campus_seg.errors import CampusError, ConfigError

Side = Callable[..., Any]  # does some of the work; what it returns is sent back


class Worker:
    """A side's process.

    Args:
        module: has `SIDES`: name -> a function of `work` that sets the side up and returns (what it is, a `Side`).
        side: a name in it.
        work: what every side is given.

    Attributes:
        what: the side is, in words.

    Raises:
        CampusError: the side cannot be set up.
    """

    def __init__(self, module: str, side: str, work: Any):
        self._side = side
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # No daemon, which could not start loader workers; it ends when nobody listens.
        self._process = context.Process(target=serve, args=(theirs, module, side, work))
        self._process.start()
        theirs.close()
        self.what: str = self._receive()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()

    def do(self, *arguments: Any) -> Any:
        """Has the side do some of its work; returns what it returns."""
        return self._ask(arguments)

    def peak_mb(self) -> float:
        """The most memory that the process has had."""
        return self._ask(None)

    def _ask(self, what: tuple[Any, ...] | None) -> Any:
        try:
            self._connection.send(what)
        except OSError:
            raise self._gone() from None
        return self._receive()

    def _receive(self) -> Any:
        try:
            said = self._connection.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(said, CampusError):
            raise said
        return said

    def _gone(self) -> ConfigError:
        self._process.join(10)
        return ConfigError(
            f"{self._side} ended with status {self._process.exitcode}; its reason is above, if it had one"
        )


def serve(connection: Connection, module: str, side: str, work: Any) -> None:
    """What a side's process does: set up, say what it is, and do what it is told to, until nobody listens."""
    if side.startswith(("ours", "rank")):
        share_cores()  # as the tools do
        take_large_pages()
    require_detectron2()  # which also silences it
    sides = importlib.import_module(module).SIDES
    sys.stdout = sys.stderr  # a side's chatter does not belong on the table's standard output
    try:
        what, do = sides[side](work)
        connection.send(what)
        while True:
            try:
                arguments = connection.recv()
            except EOFError:
                return
            connection.send(peak_mb() if arguments is None else do(*arguments))
    except CampusError as error:
        connection.send(error)
