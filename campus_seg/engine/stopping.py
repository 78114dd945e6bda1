"""SIGTERM and Ctrl-C: a run finishes the step under way, saves, and stops."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkContext, ForkProcess
from types import FrameType

from detectron2.utils import comm
from torch.utils.data import DataLoader

from campus_seg.errors import Stopped
from campus_seg.launching import SIGNALS, STOPPING, orders

ADVICE = "the same command with --resume goes on"


class StopRequest:
    """Notes the first signal for the training loop to obey, and stops at once at the second.

    Where there are several processes, the command that started them gets the signals; see `campus_seg.launching`.

    Attributes:
        number: of the signal that asked for a stop, 0 for none.
    """

    def __init__(self):
        self.number = 0
        self._at_once = False
        self._orders = orders()
        self._process = os.getpid()

    @property
    def at_once(self) -> bool:
        """Whether everything is saved already, and the first signal stops at once, too."""
        return self._at_once

    @at_once.setter
    def at_once(self, value: bool) -> None:
        self._at_once = value
        if self._orders:
            self._orders.heard.value = not value

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Takes over the signals until the block ends; does nothing outside the main thread, which alone gets them."""
        if self._orders:
            self._orders.heard.value = not self.at_once
            try:
                yield
            finally:
                self._orders.heard.value = False
            return
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a loader's process, forked from this one
            return
        if self.number or self.at_once:
            raise Stopped(f"stopped at once; {ADVICE} from the last checkpoint, if there is one", number)
        self.number = number
        # Not by print or a logger, which the signal may just have interrupted.
        os.write(2, STOPPING)

    def agreed(self) -> int:
        """The signal that any process of the run got, 0 for none; the same in all of them."""
        return max(comm.all_gather(self._orders.signal.value if self._orders else self.number))


def shield_workers(loader: DataLoader) -> DataLoader:
    """Lets only the main process obey signals that go to all processes, as from a terminal, `timeout` or Slurm.

    Without its workers it could not finish the step under way. They end when it tells them to, or is gone.
    """
    loader.worker_init_fn = functools.partial(_init_worker, loader.worker_init_fn)
    if loader.num_workers:
        loader.multiprocessing_context = _ShieldedContext()
    return loader


class _ShieldedProcess(ForkProcess):
    """Begins with SIGTERM blocked, so that all its threads have it blocked, those of libraries too."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _ShieldedContext(ForkContext):
    Process = _ShieldedProcess


def _init_worker(init: Callable[[int], None] | None, worker_id: int) -> None:
    if init:
        init(worker_id)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_obey_the_main_process, daemon=True).start()


def _obey_the_main_process() -> None:
    """Ends this worker at a SIGTERM from the process that made it, from no other, and where that process is gone.

    torch's own worker would wait for ever then, until somebody took what its pipe has no room for; and while it lives,
    connections that it inherited stay open, by whose end other processes of the run notice the loss.
    """
    main = multiprocessing.parent_process().pid
    while os.getppid() == main:
        heard = signal.sigtimedwait({signal.SIGTERM}, 1.0)
        if heard and heard.si_pid == main:
            break
    os._exit(0)
