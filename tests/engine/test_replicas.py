"""Copies of a model; with several processes at work, they are looked at in processes/."""

import pytest
import torch
from detectron2.utils import comm
from torch import nn

from campus_seg.engine.replicas import check_same_weights, replicate, share_buffers
from campus_seg.errors import ConfigError


def test_a_single_process_needs_no_copies():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    before = [buffer.clone() for buffer in model.buffers()]
    assert replicate(model) is model
    share_buffers(model)
    check_same_weights(model, "a.pth")
    assert all(map(torch.equal, before, model.buffers()))


@pytest.mark.parametrize("name, step", [("0.bias", 1e-6), ("1.running_mean", 1e-6), ("1.num_batches_tracked", 1)])
def test_other_weights_in_another_process_are_refused(name, step, monkeypatch):
    torch.manual_seed(0)
    model, same, other = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(3))
    same.load_state_dict(model.state_dict())
    other.load_state_dict(model.state_dict())
    other.state_dict()[name] += step
    checks = []
    for each in (model, same, other):
        monkeypatch.setattr(comm, "all_gather", lambda value: [checks.append(value) or value])
        check_same_weights(each, "a.pth")
    monkeypatch.setattr(comm, "all_gather", lambda value: [value, checks[1]])
    check_same_weights(model, "a.pth")
    monkeypatch.setattr(comm, "all_gather", lambda value: [value, checks[2]])
    with pytest.raises(ConfigError, match="a.pth: the processes have loaded different weights"):
        check_same_weights(model, "a.pth")
