"""A few at once, some in a row, a clear word to all others."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from campus_seg.web.turns import BusyError, Turns


class Gate:
    """Work that waits until it may end."""

    def __init__(self):
        self.may_end = threading.Event()
        self.began = []

    def __call__(self, number):
        self.began.append(number)
        assert self.may_end.wait(60)
        return 10 * number


async def until(condition):
    """Waits for what other threads do."""
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never")


def test_all_have_their_turn_and_their_own_answer():
    async def main():
        turns = Turns(2, 18)
        answers = await asyncio.gather(*(turns.run(pow, 2, i) for i in range(20)))
        assert answers == [2**i for i in range(20)]
        await until(lambda: turns.taken == 0)

    asyncio.run(main())


def test_who_finds_no_place_is_told():
    async def main():
        gate, turns = Gate(), Turns(1, 2)
        tasks = [asyncio.create_task(turns.run(gate, i)) for i in range(3)]
        await until(lambda: gate.began == [0] and turns.taken == 3)
        with pytest.raises(BusyError, match="Too many people"):
            await turns.run(gate, 3)
        gate.may_end.set()
        assert await asyncio.gather(*tasks) == [0, 10, 20]
        assert await turns.run(gate, 4) == 40
        assert gate.began == [0, 1, 2, 4]

    asyncio.run(main())


def test_no_more_than_the_threads_work_at_once():
    async def main():
        gate, turns = Gate(), Turns(2, 10)
        tasks = [asyncio.create_task(turns.run(gate, i)) for i in range(6)]
        await until(lambda: len(gate.began) == 2)
        await asyncio.sleep(0.1)
        assert gate.began == [0, 1]
        gate.may_end.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_what_was_cancelled_while_it_waited_is_not_begun_and_frees_its_place():
    async def main():
        gate, turns = Gate(), Turns(1, 1)
        first, second = (asyncio.create_task(turns.run(gate, i)) for i in range(2))
        await until(lambda: gate.began == [0] and turns.taken == 2)
        second.cancel()
        await until(lambda: turns.taken == 1)
        third = asyncio.create_task(turns.run(gate, 2))
        gate.may_end.set()
        assert (await first, await third) == (0, 20)
        assert gate.began == [0, 2]
        assert second.cancelled()

    asyncio.run(main())


def test_what_was_begun_keeps_its_place_when_nobody_waits_for_it():
    async def main():
        gate, turns = Gate(), Turns(1, 0)
        task = asyncio.create_task(turns.run(gate, 0))
        await until(lambda: gate.began == [0])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(BusyError):
            await turns.run(gate, 1)
        gate.may_end.set()
        await until(lambda: turns.taken == 0)
        assert await turns.run(gate, 2) == 20

    asyncio.run(main())


def test_an_error_comes_to_who_asked_and_frees_the_place():
    async def main():
        turns = Turns(1, 0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await turns.run(divmod, 1, 0)
            await until(lambda: turns.taken == 0)

    asyncio.run(main())


def test_closed_turns_begin_nothing_more():
    async def main():
        gate, turns = Gate(), Turns(1, 5)
        first, second = (asyncio.create_task(turns.run(gate, i)) for i in range(2))
        await until(lambda: gate.began == [0] and turns.taken == 2)
        turns.close()
        with pytest.raises(asyncio.CancelledError):
            await second
        with pytest.raises(BusyError, match="stopped"):
            await turns.run(gate, 2)
        gate.may_end.set()
        assert await first == 0
        assert gate.began == [0]

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_of_what_was_done(fails):
    """Not by the threads, which wait for more, nor until the garbage collector comes, which may take hours."""

    class Photo:
        pass

    def work(photo):
        if fails:
            raise ValueError(photo)
        return [photo]

    async def main():
        turns, photo = Turns(2, 1), Photo()
        seen = weakref.ref(photo)
        try:
            if fails:
                with pytest.raises(ValueError):
                    await turns.run(work, photo)
            else:
                assert await turns.run(work, photo) == [photo]
            del photo
            await until(lambda: seen() is None)
        finally:
            turns.close()

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_a_process_that_ends_waits_for_nothing():
    script = (
        "import asyncio, time\n"
        "from campus_seg.web.turns import Turns\n"
        "async def main():\n"
        "    turns = Turns(1, 5)\n"
        "    tasks = [asyncio.create_task(turns.run(time.sleep, 600)) for _ in range(3)]\n"
        "    await asyncio.sleep(0.2)\n"
        "    for task in tasks:\n"
        "        task.cancel()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
