"""Work that threads do ahead, taken in the order of its items; a process that ends does not wait for it."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Daemons(Executor):
    """Threads that do not keep a process from ending, as those of a ThreadPoolExecutor do, which wait for a server."""

    def __init__(self, threads: int):
        self._waiting: SimpleQueue[tuple[Future, Callable, tuple, dict] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Some work for the next thread that is free."""
        future = Future()
        self._waiting.put((future, work, args, kwargs))
        return future

    def __exit__(self, *error: object) -> None:
        """Lets the threads end, each with the work it is at; where the block failed, what still waits is not begun."""
        while error[0] and not self._waiting.empty():
            self._waiting.get()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while task := self._waiting.get():
            future, work, args, kwargs = task
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # raised where the result is asked for
                future.set_exception(error)


def ahead(pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], most: int) -> Iterator[Result]:
    """What some work makes of each item, in their order, with at most so many results that wait to be taken."""
    waiting = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
