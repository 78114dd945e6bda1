"""Whether two runs came to the same, bit for bit, however often one of them was stopped."""

import json
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIMINGS = {"time", "data_time", "rank_data_time", "eta_seconds"}


def lines(output):
    """metrics.json as it is, but for the times that everything took."""
    read = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in read]


def same(first, second):
    """Whether two values are the same bit for bit, all the way down."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def assert_same_run(output, whole):
    """Weights, optimizer, schedule, random states, choice of the best model, and every loss at every iteration."""
    assert lines(output) == lines(whole)
    names = sorted(path.name for path in whole.glob("*.pth"))
    assert sorted(path.name for path in output.glob("*.pth")) == names
    for name in names:
        first, second = (torch.load(folder / name, weights_only=True) for folder in (output, whole))
        if "trainer" in first:
            states = [checkpoint["trainer"]["hooks"]["Checkpoints"] for checkpoint in (first, second)]
            for state in states:  # these two are of times
                del state["metrics_size"]
                state["scalars"] = {key: value for key, value in state["scalars"].items() if key not in TIMINGS}
        assert same(first, second), name
    for dataset in ("campus_val", "campus_test"):
        figures = Path("inference", dataset, "metrics.json")
        assert (output / figures).read_bytes() == (whole / figures).read_bytes()
    assert not [path.name for path in output.iterdir() if ".part" in path.name]


def curve(output):
    """TensorBoard's points of the total loss, as it shows them."""
    events = EventAccumulator(str(output), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("total_loss")]
