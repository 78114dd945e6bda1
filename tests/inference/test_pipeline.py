import threading
import time

import pytest

from campus_seg.inference import pipeline as module
from campus_seg.inference.pipeline import Pipeline


class FaultError(Exception):
    pass


def read(item):
    if item % 7 == 3:
        raise FaultError(str(item))
    return item * 10


def predict(values):
    return [value + 1 for value in values]


def write(item, value, predicted):
    return (item, value, predicted)


def run(count, **more):
    stages = {
        "read": read,
        "predict": predict,
        "write": write,
        "cost": lambda item: 0,
        "expected": (FaultError,),
        **more,
    }
    return list(Pipeline(**stages).run(range(count)))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_all_in_their_order_with_their_own_results(threads, batch, count, monkeypatch):
    monkeypatch.setattr(module, "THREADS", threads)

    def slow_write(item, value, predicted):
        time.sleep(0.003 * (item % 3 == 0))
        return write(item, value, predicted)

    results = run(count, batch=batch, write=slow_write)
    assert [item for item, _ in results] == list(range(count))
    for item, result in results:
        if item % 7 == 3:
            assert isinstance(result, FaultError) and str(result) == str(item)
        else:
            assert result == (item, item * 10, item * 10 + 1)


def test_batches_are_of_consecutive_items_whatever_the_timing():
    batches = []
    run(10, batch=4, predict=lambda values: batches.append(list(values)) or values)
    assert batches == [[0, 10, 20], [40, 50, 60, 70], [80, 90]]  # item 3 cannot be read


def test_the_stages_overlap():
    """Each stage waits for the one before to have begun with the next item; in turn they would wait in vain."""
    count = 6
    begun = {stage: [threading.Event() for _ in range(count + 1)] for stage in ("read", "predict")}
    for events in begun.values():
        events[count].set()

    def overlapping_read(item):
        begun["read"][item].set()
        return item

    def overlapping_predict(values):
        begun["predict"][values[0]].set()
        return [begun["read"][values[0] + 1].wait(5)]

    def overlapping_write(item, value, predicted):
        return predicted and begun["predict"][item + 1].wait(5)

    results = run(count, read=overlapping_read, predict=overlapping_predict, write=overlapping_write)
    assert [result for _, result in results] == [True] * count


@pytest.mark.parametrize("cost", [30, 100, 250])
def test_no_more_pixels_than_fit_are_in_memory(cost, monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 100)
    held, most, lock = 0, 0, threading.Lock()

    def counted_read(item):
        nonlocal held, most
        with lock:
            held += cost
            most = max(most, held)
        return item

    def counted_write(item, value, predicted):
        nonlocal held
        time.sleep(0.002)
        with lock:
            held -= cost
        return item

    results = run(20, cost=lambda item: cost, read=counted_read, write=counted_write)
    assert len(results) == 20
    assert most <= max(100, cost)


@pytest.mark.parametrize("stage", ["read", "predict", "write"])
def test_an_unexpected_error_is_raised_and_ends_the_threads(stage):
    def fail(*_):
        raise ZeroDivisionError(stage)

    before = set(threading.enumerate())  # of which some may be an earlier test's, and end
    with pytest.raises(ZeroDivisionError, match=stage):
        run(10, **{stage: fail})
    assert set(threading.enumerate()) <= before


def test_whoever_stops_early_has_whole_results():
    """What was begun is ended, and nothing is begun any more."""
    written = []
    stages = {"read": lambda item: item, "predict": predict, "cost": lambda item: 0}
    running = Pipeline(**stages, write=lambda item, value, predicted: written.append(item)).run(range(1000))
    next(running)
    running.close()
    count = len(written)
    assert 1 <= count < 20
    time.sleep(0.05)
    assert len(written) == count
