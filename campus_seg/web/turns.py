"""Work that waits for its turn: a few at once, some more in a row, and a clear word to all others."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from campus_seg.daemons import Daemons

Answer = TypeVar("Answer")


class BusyError(Exception):
    """There is no place left to wait; the message says so in plain words."""


class Turns:
    """Threads, for which a process that ends does not wait, and places before them.

    Args:
        threads: that work at once.
        waiting: how many may wait for them.
    """

    def __init__(self, threads: int, waiting: int):
        self._places = threads + waiting
        self._daemons = Daemons(threads)
        self._taken: set[Future] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def taken(self) -> int:
        """Work that is waiting or being done."""
        return len(self._taken)

    async def run(self, work: Callable[..., Answer], /, *args: Any) -> Answer:
        """Does some work in a thread. Cancelled while it waits it is not begun; once begun it keeps its place.

        Returns, or raises, what the work does.

        Raises:
            BusyError: too many wait already, or no more is begun.
        """
        with self._lock:
            if self._closed:
                raise BusyError("This server is being stopped. Try again later.")
            if len(self._taken) >= self._places:
                raise BusyError("Too many people are trying it at this moment. Wait some seconds and try again.")
            future = self._daemons.submit(work, *args)
            self._taken.add(future)
        future.add_done_callback(self._leave)  # outside, as it is called at once where the work is done
        try:
            return await asyncio.wrap_future(future)
        finally:
            del future, work, args  # an error holds this frame, and so itself and the photo: a ring that stays long

    def close(self) -> None:
        """Begins nothing more: what waits is cancelled, and the threads end with what they are at."""
        with self._lock:
            self._closed = True
            waiting = list(self._taken)
        for future in waiting:
            future.cancel()  # has no effect on what is being done
        self._daemons.__exit__(None, None, None)

    def _leave(self, future: Future) -> None:
        with self._lock:
            self._taken.discard(future)
