"""Photos behind URIs fetched before their turn, many at a time, while those before them are worked on."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from campus_seg.daemons import Daemons
from campus_seg.errors import StorageError
from campus_seg.storage import is_uri
from campus_seg.storage_cache import local_file

Item = TypeVar("Item")

AHEAD = 32  # photos; on this disk, not in memory
THREADS = 8  # that wait for servers


def read_ahead(items: Iterable[Item], place: Callable[[Item], Path | str], ahead: int = AHEAD) -> Iterator[Item]:
    """Gives items as they come, each when its file is on this disk and those of the next are on their way.

    Args:
        items: without end, too.
        place: of an item's file. Whoever reads it takes it from the cache, and says what is wrong with it.
        ahead: items that are looked at before their turn.
    """
    waiting: deque = deque()
    with Daemons(THREADS) as threads:
        for item in itertools.chain(items, itertools.repeat(None, ahead)):
            where = None if item is None else place(item)
            waiting.append((item, threads.submit(_fetch, where) if is_uri(where) else None))
            if len(waiting) > ahead:
                item, fetched = waiting.popleft()
                if item is None:
                    return
                if fetched:
                    fetched.result()
                yield item


def _fetch(uri: str) -> None:
    try:
        with local_file(uri):
            pass
    except StorageError:  # which its reader will tell, when it is its turn
        pass
