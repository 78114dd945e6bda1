"""Times several sides on the same work, in turn, so that a machine whose speed drifts is fair to all."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def in_turn(names: Sequence[str], turn: int) -> list[str]:
    """The names in an order that starts with another one each turn: the first may find a busier machine."""
    start = turn % max(1, len(names))
    return [*names[start:], *names[:start]]


def take_turns(
    sides: dict[str, Callable], records: list[dict[str, Any]], rounds: int, repeats: int
) -> dict[str, float]:
    """Mean milliseconds a photo for each side; of the repeats of one photo and epoch the median counts."""
    names = list(sides)
    totals = dict.fromkeys(names, 0.0)
    for name in names:  # what is imported or allocated once is not to be counted
        sides[name]({**records[0], "epoch": 0})
    for epoch in range(rounds):
        for index, record in enumerate(records):
            record = {**record, "epoch": epoch}
            times = {name: [] for name in names}
            for repeat in range(repeats):
                for name in in_turn(names, index + repeat):
                    began = time.perf_counter()
                    sides[name](record)
                    times[name].append(time.perf_counter() - began)
            for name in names:
                totals[name] += statistics.median(times[name])
    return {name: 1000 * total / (rounds * len(records)) for name, total in totals.items()}
