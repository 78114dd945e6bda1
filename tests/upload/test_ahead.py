"""Work done ahead: in order, and not too far."""

import threading
import time

import pytest

from campus_seg.daemons import Daemons
from campus_seg.upload.ahead import ahead


def test_results_come_in_the_order_of_the_items():
    with Daemons(4) as pool:
        assert list(ahead(pool, lambda i: time.sleep(0.02 * (i % 3)) or i, range(12), 6)) == list(range(12))


def test_no_more_is_taken_than_is_waited_for():
    taken = []
    with Daemons(2) as pool:
        results = ahead(pool, lambda i: i, (taken.append(i) or i for i in range(100)), 5)
        assert next(results) == 0 and len(taken) == 6


def test_an_error_is_raised_in_its_turn_and_what_waits_is_not_begun():
    begun, go = [], threading.Event()

    def work(i):
        begun.append(i)
        if i == 0:
            raise ValueError("no")
        go.wait(10)

    with pytest.raises(ValueError, match="no"), Daemons(2) as pool:
        list(ahead(pool, work, range(50), 20))
    go.set()
    time.sleep(0.1)
    assert len(begun) < 5
