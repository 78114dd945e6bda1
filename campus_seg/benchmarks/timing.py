"""Times several sides on the same work, in turn, so that a machine whose speed drifts is fair to all."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Name, Result = TypeVar("Name"), TypeVar("Result")


def in_turn(names: Sequence[Name], turn: int) -> list[Name]:
    """The names in an order that starts with another one each turn: the first may find a busier machine."""
    start = turn % max(1, len(names))
    return [*names[start:], *names[:start]]


def do_in_turn(sides: Mapping[Name, Callable[[], Result]], turns: int) -> dict[Name, list[Result]]:
    """Has every side do its work so many times, in turn; returns what each returned each time."""
    from tqdm import tqdm

    results = {name: [] for name in sides}
    with tqdm(total=turns * len(sides), disable=None) as bar:
        for turn in range(turns):
            for name in in_turn(list(sides), turn):
                bar.set_description(str(name))
                results[name].append(sides[name]())
                bar.update()
    return results


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
