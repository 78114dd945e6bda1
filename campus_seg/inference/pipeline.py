"""Reading, predicting and writing at once, with only as many photos in memory as that takes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Predicted = TypeVar("Predicted")
Written = TypeVar("Written")

MAX_PIXELS = 120_000_000  # read and not yet written, 3 bytes each: a panorama alone, or some phone photos
THREADS = max(1, (os.cpu_count() or 1) // 2)  # of readers, and of writers; the model has threads of its own
BEHIND = 2  # predicted photos a writer, which wait for it


class Pipeline(Generic[Item, Read, Predicted, Written]):
    """Three stages on a row of items, once: threads that read ahead, the caller's that predicts, threads that write.

    Args:
        read: makes of an item what is predicted on; the error that it raises may be one of `expected`.
        predict: of several at once.
        write: of one; several threads call it at once.
        cost: pixels of an item, a part of `MAX_PIXELS`, or 0 where they are not known.
        expected: errors of `read` that concern that item alone.
        batch: items that `predict` is given together.
    """

    def __init__(
        self,
        read: Callable[[Item], Read],
        predict: Callable[[Sequence[Read]], Sequence[Predicted]],
        write: Callable[[Item, Read, Predicted], Written],
        *,
        cost: Callable[[Item], int],
        expected: tuple[type[Exception], ...] = (),
        batch: int = 1,
    ):
        self._read, self._predict, self._write = read, predict, write
        self._cost, self._expected, self._batch = cost, expected, batch
        self._reading: deque[tuple[Item, int, Future[Read]]] = deque()
        self._writing: deque[tuple[Item, int, Future[Written] | Exception]] = deque()
        self._pixels = 0

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Written | Exception]]:
        """Takes items through all stages.

        Yields:
            Each item in its order, with what `write` gave, or with the expected error of `read`. Any other error of
            a stage is raised, as soon as its item's turn comes.
        """
        readers, writers = ThreadPoolExecutor(THREADS, "read"), ThreadPoolExecutor(THREADS, "write")
        try:
            for item in items:
                cost = self._cost(item)
                while self._pixels + cost > MAX_PIXELS and (self._reading or self._writing):
                    if self._reading:
                        self._predict_next(writers)
                    else:
                        yield self._written()
                self._pixels += cost
                self._reading.append((item, cost, readers.submit(self._read, item)))
                while len(self._reading) > self._batch + THREADS:
                    self._predict_next(writers)
                while len(self._writing) > BEHIND * THREADS + self._batch:
                    yield self._written()
            while self._reading:
                self._predict_next(writers)
            while self._writing:
                yield self._written()
        finally:  # also where the caller stops early: what is being written gets whole, nothing more is begun
            readers.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)

    def _predict_next(self, writers: ThreadPoolExecutor) -> None:
        """Predicts on the next few that were read, and has the results written."""
        batch: list[tuple[Item, int, Read | Exception]] = []
        while self._reading and len(batch) < self._batch:
            item, cost, future = self._reading.popleft()
            try:
                batch.append((item, cost, future.result()))
            except self._expected as error:
                batch.append((item, cost, error))
        predicted = iter(self._predict([value for _, _, value in batch if not isinstance(value, Exception)]))
        for item, cost, value in batch:
            if isinstance(value, Exception):
                self._writing.append((item, cost, value))
            else:
                self._writing.append((item, cost, writers.submit(self._write, item, value, next(predicted))))

    def _written(self) -> tuple[Item, Written | Exception]:
        item, cost, result = self._writing.popleft()
        written = result.result() if isinstance(result, Future) else result
        self._pixels -= cost
        return item, written
