"""Threads for work that waits for servers, for which a process that ends does not wait."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any


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
        if error[0]:
            with suppress(Empty):
                while True:
                    self._waiting.get_nowait()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while task := self._waiting.get():
            _do(*task)
            del task  # or the thread would keep what it worked on until there is more to do


def _do(future: Future, work: Callable, args: tuple, kwargs: dict[str, Any]) -> None:
    """Does a task; in a function of its own, which leaves nothing of it behind."""
    if not future.set_running_or_notify_cancel():  # nobody wants it any more
        return
    try:
        future.set_result(work(*args, **kwargs))
    except BaseException as error:  # raised where the result is asked for
        future.set_exception(error)
        del future  # the error's traceback holds this frame, and with it the future, which holds the error
