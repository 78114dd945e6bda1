"""Whether an optimizer can take up what was saved, and whose rates count then."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from campus_seg.config import load_config
from campus_seg.engine.optimizer import build_optimizer, check_state, hyperparameters, set_hyperparameters
from campus_seg.engine.schedule import build_scheduler
from campus_seg.engine.trainer import Trainer
from campus_seg.errors import ConfigError


def built(*opts, widths=(3, 4)):
    """A model of two linear layers with a normalisation between, its optimizer and its scheduler."""
    opts = ["SOLVER.MAX_ITER", "10", "SOLVER.WARMUP_ITERS", "2", *map(str, opts)]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", opts)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, widths[0]), nn.BatchNorm1d(widths[0]), nn.Linear(*widths))
    optimizer = build_optimizer(cfg, model)
    return model, optimizer, build_scheduler(cfg, optimizer)


def step(model, optimizer, scheduler, count=1):
    for i in range(count):
        optimizer.zero_grad()
        model(torch.arange(8.0).reshape(4, 2) + i).square().sum().backward()
        optimizer.step()
        scheduler.step()


SGD = ["CAMPUS.OPTIMIZER", "SGD"]


@pytest.mark.parametrize(
    "then, now, widths, message",
    [
        ([], [], (3, 4), None),
        (SGD, SGD, (3, 4), None),
        (SGD, [*SGD, "SOLVER.MOMENTUM", 0], (3, 4), None),
        (["SOLVER.WEIGHT_DECAY_NORM", 0.05], [], (3, 4), None),
        ([], SGD, (3, 4), "CAMPUS.OPTIMIZER SGD: model.pth was trained with AdamW, which a run keeps; leave the key"),
        (SGD, [], (3, 4), "CAMPUS.OPTIMIZER AdamW: model.pth was trained with SGD"),
        (SGD, [*SGD, "SOLVER.BIAS_LR_FACTOR", 2], (3, 4), "SOLVER.BIAS_LR_FACTOR, SOLVER.WEIGHT_DECAY_BIAS and"),
        (SGD, [*SGD, "SOLVER.WEIGHT_DECAY_BIAS", 0], (3, 4), "its parameters are in other groups"),
        ([], [], (4, 3), "its parameters are in other groups"),  # as many of them, in other shapes
    ],
)
def test_what_fits(then, now, widths, message):
    training = built(*then)
    step(*training)
    state = copy.deepcopy(training[1].state_dict())
    model, optimizer, _ = built(*now, widths=widths)
    before = copy.deepcopy(optimizer.state_dict())
    if message:
        with pytest.raises(ConfigError, match=message):
            check_state(optimizer, state, Path("model.pth"))
    else:
        check_state(optimizer, state, Path("model.pth"))
    assert optimizer.state_dict() == before
    if not message:
        optimizer.load_state_dict(state)


def test_frozen_parameters():
    training = built()
    step(*training)
    state = training[1].state_dict()
    cfg = load_config("mask_rcnn_mini_FPN.yaml")
    model = training[0]
    model[0].requires_grad_(False)
    with pytest.raises(ConfigError, match="6 parameters were trained, and by these keys 4 would be; .*FREEZE_AT"):
        check_state(build_optimizer(cfg, model), state, Path("model.pth"))


@pytest.mark.parametrize("opts", [[], SGD])
@pytest.mark.parametrize("stop", [1, 4, 9])
def test_nothing_changes_where_nothing_is_given(opts, stop):
    """Bit for bit: within the warm-up and later."""
    whole = built(*opts)
    step(*whole, count=stop)
    model, optimizer, scheduler = built(*opts)
    groups = hyperparameters(optimizer)
    model.load_state_dict(whole[0].state_dict())
    scheduler.load_state_dict(whole[2].state_dict())
    optimizer.load_state_dict(copy.deepcopy(whole[1].state_dict()))
    before = copy.deepcopy(optimizer.state_dict()["param_groups"])
    set_hyperparameters(optimizer, scheduler, groups)
    assert optimizer.state_dict()["param_groups"] == before and scheduler.state_dict() == whole[2].state_dict()


def test_what_is_given_counts():
    whole = built(*SGD)
    step(*whole, count=4)
    given = ["SOLVER.BASE_LR", 0.5, "SOLVER.MOMENTUM", 0.3, "SOLVER.WEIGHT_DECAY", 0.2, "SOLVER.NESTEROV", "True"]
    model, optimizer, scheduler = built(*SGD, *given)
    groups = hyperparameters(optimizer)
    scheduler.load_state_dict(whole[2].state_dict())
    optimizer.load_state_dict(whole[1].state_dict())
    set_hyperparameters(optimizer, scheduler, groups)
    reference = built(*SGD, *given)
    step(*reference, count=4)
    assert hyperparameters(optimizer) == hyperparameters(reference[1])
    assert [group["momentum"] for group in optimizer.param_groups] == [0.3, 0.3]
    assert scheduler.state_dict() == reference[2].state_dict()
    momentum = [each["momentum_buffer"] for each in optimizer.state.values()]
    assert len(momentum) == 6 and all(each.abs().sum() for each in momentum)  # what was learned stays


@pytest.mark.parametrize("opts", [[], SGD])
@pytest.mark.parametrize("then", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("now", [torch.contiguous_format, torch.channels_last])
def test_moments_of_another_memory_layout(opts, then, now):
    """A run that a GPU began lies otherwise in memory than one on a CPU; the values go to the same parameters."""
    cfg = load_config("mask_rcnn_mini_FPN.yaml", opts)
    photos = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))

    def training(layout, weights=None, state=None):
        torch.manual_seed(0)
        model = nn.Conv2d(2, 3, 3)
        if weights:
            model.load_state_dict(weights)
        model = model.to(memory_format=layout)
        optimizer = build_optimizer(cfg, model)
        if state:
            check_state(optimizer, state, Path("model.pth"))
            optimizer.load_state_dict(state)
        for _ in range(3):
            optimizer.zero_grad()
            model(photos.to(memory_format=layout)).square().mean().backward()
            optimizer.step()
        return copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())

    begun = training(then)
    moments = [value for value in begun[1]["state"][0].values() if torch.is_tensor(value) and value.dim()]
    assert moments and all(value.is_contiguous(memory_format=then) for value in moments)
    expected, found = training(then, *copy.deepcopy(begun)), training(now, *begun)
    assert torch.allclose(found[0]["weight"], expected[0]["weight"], atol=1e-6)
    for name, value in expected[1]["state"][0].items():
        assert value is None or torch.allclose(found[1]["state"][0][name], value, atol=1e-6)


@pytest.mark.parametrize("saved, expected", [({"scale": 4.0}, {"scale": 4.0}), (None, {"scale": 65536.0})])
def test_mixed_precision_may_begin_on_resume(saved, expected):
    """A checkpoint of a training without it has no scale of the gradients; the new one begins with its own."""
    trainer = Trainer.__new__(Trainer)
    trainer._hooks, taken = [], []
    fresh = SimpleNamespace(state_dict=lambda: {"scale": 65536.0})
    trainer._trainer = SimpleNamespace(grad_scaler=fresh, load_state_dict=taken.append)
    inner = {"iteration": 3, "optimizer": {}} | ({"grad_scaler": saved} if saved else {})
    trainer.load_state_dict({"iteration": 3, "_trainer": inner})
    assert taken == [{**inner, "grad_scaler": expected}]
