"""How much of something may be in flight at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from campus_seg.web.answers import busy

OLD_SECONDS = 10.0  # after which an upload may have to make way
ENOUGH = 2**15  # bytes a second, with which it need not


class Budget:
    """Bytes of answers that are being taken; for one event loop.

    Args:
        most: of them.
    """

    def __init__(self, most: int):
        self._free = most

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Takes bytes until the block ends.

        Raises:
            RefusedError: there are not so many left.
        """
        if count > self._free:
            raise busy()
        self._free -= count
        try:
            yield
        finally:
            self._free += count


class Upload:
    """A photo that is arriving.

    Attributes:
        size: bytes that are here.
        whole: no more are to come.
    """

    def __init__(self, uploads: "Uploads", limit: asyncio.Timeout):
        self._uploads, self._limit = uploads, limit
        self._began = asyncio.get_running_loop().time()
        self.size = 0
        self.whole = False

    def grow(self, count: int) -> None:
        """So many more bytes are here.

        Raises:
            RefusedError: too many are on their way, and none of the others is slow.
        """
        self._uploads.make_room(count, self)
        self.size += count

    def is_slow(self) -> bool:
        """Whether others come before it."""
        age = asyncio.get_running_loop().time() - self._began
        return not self.whole and age > OLD_SECONDS and self.size < age * ENOUGH

    def end(self) -> None:
        """Has its waiting for bytes end at once, with a TimeoutError."""
        self._limit.reschedule(asyncio.get_running_loop().time())


class Uploads:
    """The photos that are arriving or wait for the model, bounded in number and in bytes.

    Where there is no room the slowest makes way, so that slow lines keep no place from others.

    Args:
        most: of them.
        most_bytes: of all of them.
    """

    def __init__(self, most: int, most_bytes: int):
        self._most, self._most_bytes = most, most_bytes
        self._here: set[Upload] = set()

    @contextmanager
    def one(self, limit: asyncio.Timeout) -> Iterator[Upload]:
        """A photo, from its first byte until the block ends.

        Args:
            limit: that ends the waiting for bytes.

        Raises:
            RefusedError: there are too many.
        """
        if len(self._here) >= self._most:
            self._end_slowest()
        upload = Upload(self, limit)
        self._here.add(upload)
        try:
            yield upload
        finally:
            self._here.discard(upload)

    def make_room(self, count: int, upload: Upload) -> None:
        """Lets an upload have more bytes."""
        if sum(other.size for other in self._here) + count > self._most_bytes:
            self._end_slowest(upload)

    def _end_slowest(self, upload: Upload | None = None) -> None:
        slow = [other for other in self._here if other is not upload and other.is_slow()]
        if not slow:
            raise busy()
        slowest = min(slow, key=lambda other: other.size)
        slowest.end()
        self._here.discard(slowest)
