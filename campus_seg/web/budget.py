"""How many bytes may be in flight at once, and who makes way for others: whoever lags most."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from campus_seg.web.answers import busy

ENOUGH = 2**15  # bytes a second, with which nobody lags
PATIENCE = 5.0  # seconds that others may lag before they make way for bytes


class Pace:
    """How far a line lags behind `ENOUGH`. What it was faster before is no credit, so that pauses count at once."""

    def __init__(self):
        self.begin()

    @property
    def lag(self) -> float:
        """Seconds, at least 0."""
        return time.monotonic() - self._since

    def begin(self) -> None:
        """It does not lag."""
        self._since = time.monotonic()

    def moved(self, count: int) -> None:
        """So many bytes have come, or were taken."""
        self._since = min(time.monotonic(), self._since + count / ENOUGH)


class Flight:
    """Bytes that come in or go out over one line.

    Attributes:
        size: how many there are in memory.
        pace: of the line.
        landed: they no longer depend on the line.
    """

    def __init__(self, room: "Room", limit: asyncio.Timeout, size: int):
        self._room, self._limit = room, limit
        self.size, self.pace, self.landed = size, Pace(), False

    def grow(self, count: int) -> None:
        """So many more bytes have come.

        Raises:
            RefusedError: there is no room for them.
        """
        self._room.make(count, self)
        self.size += count
        self.pace.moved(count)

    def make_way(self) -> None:
        """Ends the waiting for the line at once, with a TimeoutError."""
        self._limit.reschedule(asyncio.get_running_loop().time())


class Room:
    """Memory for the bytes of many lines, of one event loop.

    Args:
        most: bytes of all together.
    """

    def __init__(self, most: int):
        self._most = most
        self._here: set[Flight] = set()

    @contextmanager
    def taken(self, limit: asyncio.Timeout, size: int = 0) -> Iterator[Flight]:
        """Holds bytes until the block ends.

        Args:
            limit: of the waiting for the line, which ends where it has to make way.
            size: how many bytes there are already; all count until the block ends.

        Raises:
            RefusedError: there is no room for them.
        """
        self.make(size)
        flight = Flight(self, limit, size)
        self._here.add(flight)
        try:
            yield flight
        finally:
            self._here.discard(flight)

    def make(self, count: int, asking: Flight | None = None) -> None:
        """Has as many of those who lag make way as more bytes need.

        Raises:
            RefusedError: that would not be enough; then nobody does.
        """
        missing = sum(flight.size for flight in self._here) + count - self._most
        lagging = [one for one in self._here if one is not asking and not one.landed and one.pace.lag > PATIENCE]
        leaving = []
        for flight in sorted(lagging, key=lambda one: one.pace.lag, reverse=True):
            if missing > 0 and flight.size > 0:
                leaving.append(flight)
                missing -= flight.size
        if missing > 0:
            raise busy()
        for flight in leaving:
            flight.make_way()
            self._here.discard(flight)
