"""Threads that no process waits for."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from campus_seg.daemons import Daemons


def test_threads_end_with_their_block():
    before = threading.active_count()
    with Daemons(8) as pool:
        assert pool.submit(pow, 2, 5).result() == 32
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_process_does_not_wait_for_them():
    script = (
        "import time\n"
        "from campus_seg.daemons import Daemons\n"
        "with Daemons(2) as pool:\n"
        "    pool.submit(time.sleep, 600)\n"
        "    raise SystemExit(3)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 3


def test_what_waits_is_dropped_while_threads_take_it():
    """As soon as a thread takes the last work, nobody may wait for it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            with pytest.raises(ValueError, match="no"), Daemons(8) as pool:
                for _ in range(40):
                    pool.submit(int)
                raise ValueError("no")
    finally:
        sys.setswitchinterval(interval)


def test_what_was_cancelled_while_it_waited_is_not_begun():
    began, may_end, done = threading.Event(), threading.Event(), []

    def first():
        began.set()
        assert may_end.wait(60)

    with Daemons(1) as pool:
        running = pool.submit(first)
        assert began.wait(60)
        waiting = pool.submit(done.append, 1)
        assert waiting.cancel()
        assert not running.cancel()
        last = pool.submit(done.append, 2)
        may_end.set()
        assert last.result(60) is None  # the thread lives on
    assert done == [2]


class Held:
    """Something that a test can see going."""


def freed(*references):
    """Whether all are gone, without the garbage collector, as soon as the threads are at rest."""
    until = time.monotonic() + 5
    while any(reference() is not None for reference in references) and time.monotonic() < until:
        time.sleep(0.01)
    return all(reference() is None for reference in references)


@pytest.mark.parametrize("fails", [False, True])
def test_a_thread_that_waits_keeps_nothing_of_its_last_work(fails):
    def work(given):
        made = Held()
        made.given = given
        if fails:
            raise ValueError(made)
        return made

    gc.disable()
    try:
        with Daemons(2) as pool:
            given = Held()
            argument, future = weakref.ref(given), pool.submit(work, given)
            made = weakref.ref(future.exception(60).args[0] if fails else future.result(60))
            del given, future
            assert freed(argument, made)
    finally:
        gc.enable()
