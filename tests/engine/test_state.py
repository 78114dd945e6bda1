import random

import numpy as np
import torch
from detectron2.utils.events import EventStorage

from campus_seg.engine.state import random_state, recent_scalars, restore_random_state, restore_recent_scalars


def draw():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(), random.random(), random.gauss(0, 1)


def test_random_states_survive_a_file(tmp_path):
    """All three, also in the middle of numpy's and Python's pairs of normal numbers."""
    np.random.randn()
    random.gauss(0, 1)
    torch.save(random_state(), tmp_path / "state.pth")
    expected = [draw() for _ in range(300)]  # beyond one turn of the Mersenne twister
    restore_random_state(torch.load(tmp_path / "state.pth", weights_only=True))
    assert [draw() for _ in range(300)] == expected


def test_medians_go_on(tmp_path):
    """What the writers write is the same, and nothing of it is written twice."""
    values = np.random.default_rng(0).random(60)

    def put(storage, iterations):
        for storage.iter in iterations:
            storage.put_scalar("total_loss", values[storage.iter])
            storage.put_scalar("lr", 0.1, smoothing_hint=False)

    with EventStorage() as whole:
        put(whole, range(41))
        recent = recent_scalars(whole)
        put(whole, range(41, 60))
    assert {name: len(each) for name, each in recent.items()} == {"total_loss": 20}
    with EventStorage(41) as resumed:
        restore_recent_scalars(resumed, recent)
        assert resumed.latest_with_smoothing_hint() == {}
        for end in range(42, 61):
            put(resumed, range(end - 1, end))
            window = values[max(0, end - 20) : end]
            assert resumed.latest_with_smoothing_hint()["total_loss"] == (np.median(window), end - 1)
    assert resumed.latest_with_smoothing_hint() == whole.latest_with_smoothing_hint()
