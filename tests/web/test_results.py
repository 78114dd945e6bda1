"""Results live in memory, as long as was said and no more than there is room for."""

import asyncio
import gc
import threading
import time
import weakref

import pytest
import torch
from detectron2.structures import Boxes, Instances
from preannotated import Model, photo

from campus_seg.photos import PhotoError
from campus_seg.web import results
from campus_seg.web.limits import KINDS
from campus_seg.web.model import DemoModel
from campus_seg.web.received import ReceivedPhoto
from campus_seg.web.results import Results, ShownObject
from campus_seg.web.turns import Turns


def instances(count=0):
    """What a predictor found."""
    return Instances(
        (40, 80),
        pred_boxes=Boxes(torch.zeros(count, 4)),
        scores=torch.zeros(count),
        pred_classes=torch.zeros(count, dtype=torch.int64),
        pred_masks=torch.zeros(count, 1, 28, 28),
    )


def received(content):
    """A photo of which nothing is looked at."""
    return ReceivedPhoto("a.jpg", content, "JPEG", 80, 40, len(content))


def add(kept, size=1000, **more):
    """A result of a photo of so many bytes."""
    return kept.add(received(bytes(size)), 80, 40, instances(), (), **more)


def held(kept):
    """The results that it holds, also where nobody may have them any more."""
    with kept._lock:
        return list(kept._results.values())


def bytes_of(kept):
    """What all of them take."""
    return sum(result.size for result in held(kept))


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; [seconds]."""
    now = [1000.0]
    monkeypatch.setattr(results.time, "monotonic", lambda: now[0])
    return now


def test_a_result_is_had_by_its_token_alone():
    kept = Results()
    objects = (ShownObject(1, 0.5, 7),)
    result = kept.add(received(b"abc"), 80, 40, instances(1), objects, screen=b"s")
    assert kept.get(result.token) is result
    assert (result.name, result.content, result.width, result.height) == ("a.jpg", b"abc", 80, 40)
    assert (result.objects, result.screen) == (objects, b"s")
    for token in ("", "x", result.token[:-1], result.token.swapcase(), f"{result.token} "):
        assert kept.get(token) is None
    others = {add(kept).token for _ in range(200)}
    assert len(others) == 200
    assert min(map(len, others)) == 22  # 16 bytes, six bits a letter


def test_a_result_says_what_it_takes():
    kept = Results()
    one = kept.add(received(bytes(10_000)), 80, 40, instances(10), (), screen=bytes(500))
    assert 10_500 + 10 * (28 * 28 * 4 + 16 + 4 + 8) <= one.size < 10_500 + 10 * (28 * 28 * 4 + 28) + 4000
    assert "\\x00" not in repr(one)  # no photo in a log


def test_the_oldest_make_room(clock):
    kept = Results(max_bytes=35_000)
    tokens = []
    for i in range(5):
        clock[0] += 1
        tokens.append(add(kept, 8000).token)
        assert bytes_of(kept) <= 35_000
        assert kept.get(tokens[-1])
        assert len(held(kept)) == min(i + 1, 3)
    assert [kept.get(token) is not None for token in tokens] == [False, False, True, True, True]


def test_who_arrived_first_goes_first_also_when_its_result_came_late(clock):
    kept = Results(max_bytes=25_000)
    late = add(kept, 8000, arrived=999.0)
    early = add(kept, 8000, arrived=900.0)  # waited long for its turn
    add(kept, 8000)
    assert kept.get(early.token) is None
    assert kept.get(late.token) is late


def test_one_that_takes_more_than_all_may_is_there_alone():
    kept = Results(max_bytes=10_000)
    small = add(kept, 100)
    large = add(kept, 50_000)
    assert kept.get(small.token) is None
    assert kept.get(large.token) is large
    assert kept.get(add(kept, 100).token)
    assert kept.get(large.token) is None


def test_age_counts_from_arrival_and_not_from_use(clock):
    kept = Results()
    result = add(kept, arrived=990.0)
    for _ in range(29):
        clock[0] += 59
        assert kept.get(result.token) is result
    clock[0] = 990 + 1740
    assert kept.get(result.token) is None
    assert bytes_of(kept) == 0


def test_with_a_sweep_a_minute_nothing_gets_half_an_hour_old(clock):
    kept = Results()
    ages = []
    for offset in (0.0, 0.5, 30.0, 59.9):
        clock[0] = 5000.0
        kept.sweep()
        add(kept, arrived=5000.0 - offset)
        while len(held(kept)):
            clock[0] += 60
            kept.sweep()
        ages.append(clock[0] - 5000.0 + offset)  # when it was gone
    assert 1740 <= min(ages) <= max(ages) <= 1800


def test_a_sweep_leaves_the_young(clock):
    kept = Results(keep=90)
    old, young = add(kept), add(kept, arrived=1050.0)
    clock[0] = 1100
    assert kept.sweep() == 1
    assert kept.get(young.token) is young
    assert kept.get(old.token) is None
    assert kept.sweep() == 0


def test_a_swept_photo_is_freed(clock):
    kept = Results()
    result = weakref.ref(add(kept))
    clock[0] += 1800
    kept.sweep()
    gc.collect()
    assert result() is None


def test_photos_and_pictures_are_freed_when_they_are_forgotten():
    """Through the threads of the server, which have nothing else to do afterwards."""

    class Bytes(bytearray):  # which can be seen going
        pass

    drawn = []
    picture = DemoModel.draw

    def draw(*args):
        content = Bytes(picture(*args))
        drawn.append(weakref.ref(content))
        return content

    async def ask(demo, predicting, drawing):
        content = Bytes(photo((12, 8, 44, 20)))
        result = await predicting.run(demo.predict, "a.png", content)
        for kind in KINDS:
            await drawing.run(draw, demo, result, kind, 0.05)
        with pytest.raises(PhotoError):
            await predicting.run(demo.predict, "b.png", Bytes(b"text"))
        return weakref.ref(result), weakref.ref(content)

    async def main():
        demo, turns = DemoModel(Model(), Results(keep=0.2)), (Turns(1, 1), Turns(2, 1))
        seen = await ask(demo, *turns)
        await asyncio.sleep(0.3)
        assert demo.results.sweep() == 1
        for _ in range(50):  # threads may be slow
            gc.collect()
            if all(reference() is None for reference in (*seen, *drawn)):
                return
            await asyncio.sleep(0.2)
        raise AssertionError([reference() is None for reference in (*seen, *drawn)])

    asyncio.run(main())


def test_threads_may_add_ask_and_sweep_together():
    kept, faults = Results(max_bytes=50_000, keep=0.05), []

    def work():
        try:
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                kept.get(add(kept, 5000).token)
                kept.sweep()
                assert bytes_of(kept) <= 50_000
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    time.sleep(0.06)
    kept.sweep()
    assert (len(held(kept)), bytes_of(kept)) == (0, 0)
