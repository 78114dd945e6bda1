import logging
import math

import pytest
import torch

from campus_seg.config import find_config_file, load_config
from campus_seg.engine.schedule import build_scheduler, photos_an_epoch, resolve_schedule
from campus_seg.engine.trainer import Trainer
from campus_seg.errors import ConfigError

R50, MINI = "mask_rcnn_R_50_FPN.yaml", "mask_rcnn_mini_FPN.yaml"
PARTS = ("CAMPUS", "SOLVER", "TEST")


def resolved(config, photos, *opts):
    """The config for so many training photos, and what was said."""
    opts = list(map(str, opts))
    cfg = load_config(config, opts)
    return cfg, resolve_schedule(cfg, photos, opts[::2])


def numbers(cfg):
    solver = cfg.SOLVER
    return solver.MAX_ITER, solver.STEPS, solver.WARMUP_ITERS, cfg.TEST.EVAL_PERIOD, solver.CHECKPOINT_PERIOD


@pytest.mark.parametrize(
    "config, photos, opts, expected",
    [
        # 24 * 500 / 4 = 3000; 0.67 and 0.9 of that; 500 / 4 = 125
        (R50, 500, [], (3000, (2010, 2700), 200, 125, 125)),
        # 14 * 252 / 4 = 882; the default STEPS are not used by the cosine; 252 / 4 = 63
        (MINI, 252, [], (882, (30000,), 100, 63, 63)),
        # 14 * 251 / 4 = 878.5 and 62.75, rounded up
        (MINI, 251, [], (879, (30000,), 100, 63, 63)),
        # 14 * 14 / 4 = 49; a fifth of that is 9.8; 3.5 rounded up
        (MINI, 14, [], (49, (30000,), 9, 4, 4)),
        # 24 * 1 / 4 = 6; 4.02 -> 4 and 5.4 -> 5; a fifth is 1.2; an epoch is a quarter of an iteration
        (R50, 1, [], (6, (4, 5), 1, 1, 1)),
        # 0.1 * 30 / 1 is 3.0000000000000004 in floats; 2.01 -> 2 and 2.7 -> 3, which is the end
        (R50, 30, ["CAMPUS.EPOCHS", 0.1, "SOLVER.IMS_PER_BATCH", 1], (3, (2,), 0, 30, 30)),
        # both shares fall on the one iteration there is
        (R50, 500, ["SOLVER.MAX_ITER", 1], (1, (), 0, 125, 125)),
        (MINI, 252, ["SOLVER.MAX_ITER", 900], (900, (30000,), 100, 63, 63)),
        (MINI, 252, ["SOLVER.MAX_ITER", 900, "CAMPUS.EPOCHS", 3], (900, (30000,), 100, 63, 63)),
        (R50, 500, ["SOLVER.STEPS", "(7,)", "SOLVER.WARMUP_ITERS", 2000], (3000, (7,), 2000, 125, 125)),
        (MINI, 252, ["TEST.EVAL_PERIOD", 0, "SOLVER.CHECKPOINT_PERIOD", 50], (882, (30000,), 100, 0, 50)),
        (MINI, 252, ["CAMPUS.EVAL_EPOCHS", 2, "CAMPUS.CHECKPOINT_EPOCHS", 0.5], (882, (30000,), 100, 126, 32)),
        (R50, 500, ["CAMPUS.STEPS", "[]", "CAMPUS.WARMUP_ITERS", 0], (3000, (30000,), 1000, 125, 125)),
        # 252 / 8 = 31.5
        (MINI, 252, ["SOLVER.IMS_PER_BATCH", 8], (441, (30000,), 88, 32, 32)),
        (MINI, 301.5, [], (1056, (30000,), 100, 76, 76)),  # photos of rare classes stand in an epoch more often
    ],
)
def test_epochs_and_shares_become_iterations(config, photos, opts, expected):
    assert numbers(resolved(config, photos, *opts)[0]) == expected


@pytest.mark.parametrize(
    "config, opts, expected, said",
    [
        (R50, [], 0.0025, "0.0025 for a batch of 4, as the config has it"),
        (R50, ["SOLVER.IMS_PER_BATCH", 16], 0.01, "0.01 for a batch of 16, scaled linearly (SGD) from the config's"),
        (R50, ["SOLVER.IMS_PER_BATCH", 2], 0.00125, "from the config's 0.0025 for 4"),
        (MINI, ["SOLVER.IMS_PER_BATCH", 16], 0.004, "scaled by the square root (AdamW)"),
        (MINI, ["SOLVER.IMS_PER_BATCH", 1], 0.001, "0.001 for a batch of 1"),
        (MINI, ["SOLVER.IMS_PER_BATCH", 1, "CAMPUS.OPTIMIZER", "SGD"], 0.0005, "linearly"),
        (R50, ["SOLVER.IMS_PER_BATCH", 16, "SOLVER.BASE_LR", 0.5], 0.5, "0.5, as given with the command"),
        (MINI, ["SOLVER.IMS_PER_BATCH", 16, "SOLVER.BASE_LR", "0.0"], 0.0, "0, as given with the command"),
        (R50, ["SOLVER.IMS_PER_BATCH", 16, "CAMPUS.REFERENCE_BATCH", 0], 0.0025, "as the config has it"),
        (R50, ["CAMPUS.REFERENCE_BATCH", 8], 0.00125, "from the config's 0.0025 for 8"),
    ],
)
def test_the_learning_rate_fits_the_batch(config, opts, expected, said):
    cfg, remarks = resolved(config, 252, *opts)
    assert pytest.approx(expected, rel=1e-12) == cfg.SOLVER.BASE_LR
    rate = [line for _, line in remarks if line.startswith("Learning rate: ")]
    assert len(rate) == 1 and said in rate[0]


def test_the_end_of_the_cosine_is_scaled_with_its_start():
    given = ["SOLVER.IMS_PER_BATCH", 16, "SOLVER.BASE_LR_END", 1e-5]
    assert resolved(MINI, 252, *given)[0].SOLVER.BASE_LR_END == 1e-5
    cfg = load_config(MINI, ["SOLVER.IMS_PER_BATCH", "16"])
    cfg.SOLVER.BASE_LR_END = 1e-5
    resolve_schedule(cfg, 252, [])
    assert pytest.approx(2e-5) == cfg.SOLVER.BASE_LR_END


def saved(cfg, tmp_path):
    """The config as it comes back from a run's config.yaml."""
    path = tmp_path / "config.yaml"
    path.write_text(cfg.dump())
    return load_config(str(path))


@pytest.mark.parametrize(
    "opts",
    [
        [],
        ["SOLVER.IMS_PER_BATCH", 2],
        ["SOLVER.MAX_ITER", 77, "SOLVER.BASE_LR", 0.0],
        ["SOLVER.STEPS", "(7,)", "SOLVER.WARMUP_ITERS", 3, "TEST.EVAL_PERIOD", 9, "SOLVER.CHECKPOINT_PERIOD", 11],
    ],
)
@pytest.mark.parametrize("config", [R50, MINI])
def test_a_saved_config_stays_as_it_is_for_the_same_photos(config, opts, tmp_path):
    cfg, _ = resolved(config, 100, *opts)
    again = saved(cfg, tmp_path)
    resolve_schedule(again, 100, [])
    assert [again[part] for part in PARTS] == [cfg[part] for part in PARTS]


def test_a_saved_config_fits_itself_to_other_photos(tmp_path):
    cfg = saved(resolved(R50, 500, "SOLVER.IMS_PER_BATCH", 2)[0], tmp_path)
    resolve_schedule(cfg, 1000, [])
    assert numbers(cfg) == (12000, (8040, 10800), 200, 500, 500)
    assert cfg.SOLVER.BASE_LR == 0.00125
    cfg = saved(resolved(R50, 500, "SOLVER.MAX_ITER", 90)[0], tmp_path)  # what the command said then still counts
    resolve_schedule(cfg, 1000, [])
    assert numbers(cfg) == (90, (60, 81), 18, 250, 250)


@pytest.mark.parametrize(
    "keys, opts, said",
    [
        ("", [], ""),
        (
            "SOLVER: {MAX_ITER: 5000}\nTEST: {EVAL_PERIOD: 500}",
            [],
            "; not SOLVER.MAX_ITER 5000 in the config file, which CAMPUS.EPOCHS overrules (0.0 there lets it count), "
            "nor TEST.EVAL_PERIOD 500 in the config file, which CAMPUS.EVAL_EPOCHS overrules (0.0 there lets it count)",
        ),
        ("SOLVER: {MAX_ITER: 5000}\nCAMPUS: {EPOCHS: 0.0}", [], ""),
        ("SOLVER: {MAX_ITER: 5000}", ["SOLVER.MAX_ITER", "7"], ""),
        ("SOLVER: {MAX_ITER: 5000}", ["CAMPUS.EPOCHS", "7"], ""),  # who gives that means it
        (
            "SOLVER: {STEPS: [9]}",
            ["SOLVER.MAX_ITER", "50"],
            "; not SOLVER.STEPS (9,) in the config file, which CAMPUS.S",
        ),
    ],
)
def test_a_file_is_told_of_its_keys_that_do_not_count(keys, opts, said, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(f"_BASE_: {find_config_file(R50)}\n{keys}\n")
    cfg = load_config(str(path), opts)
    (line,) = [line for _, line in resolve_schedule(cfg, 500, opts[::2]) if line.startswith("Schedule: ")]
    assert said in line if said else "not" not in line
    again = saved(cfg, tmp_path)
    assert not any("not" in line for _, line in resolve_schedule(again, 500, []) if line.startswith("Schedule: "))


@pytest.mark.parametrize(
    "opts, message",
    [
        (["SOLVER.MAX_ITER", 0], "SOLVER.MAX_ITER 0: nothing to train"),
        (["CAMPUS.EPOCHS", -1], "CAMPUS.EPOCHS -1.0: give a number that is not negative"),
        (["CAMPUS.EPOCHS", "float('nan')"], "CAMPUS.EPOCHS"),
        (["CAMPUS.STEPS", "[600, 800]"], "CAMPUS.STEPS .600, 800.: give shares"),
        (["CAMPUS.STEPS", "['a']"], "give shares"),
        (["SOLVER.IMS_PER_BATCH", 0], "SOLVER.IMS_PER_BATCH 0"),
        (["SOLVER.BASE_LR", -1], "not negative"),
        (["SOLVER.BASE_LR_END", 1], "no learning-rate schedule"),
        (["SOLVER.LR_SCHEDULER_NAME", "WarmupCosine"], "Unknown LR scheduler: WarmupCosine"),
        (["SOLVER.WARMUP_METHOD", "slow"], "Unknown warmup method: slow"),
    ],
)
def test_values_that_cannot_be(opts, message):
    with pytest.raises(ConfigError, match=message):
        resolved(MINI, 252, *opts)


def test_few_photos_make_a_short_run_and_that_is_said():
    def warnings(*arguments):
        return [line for level, line in resolved(*arguments)[1] if level == logging.WARNING]

    assert "CAMPUS.EPOCHS 14 are 98 iterations" in warnings(MINI, 28)[0]
    assert "CAMPUS.EPOCHS 43 would be 300" in warnings(MINI, 28)[0]  # 43 * 28 / 4 = 301
    assert (
        warnings(MINI, 252) == warnings(MINI, 28, "CAMPUS.EPOCHS", 14) == warnings(MINI, 28, "SOLVER.MAX_ITER", 5) == []
    )


def photo(*classes):
    return {"annotations": [{"category_id": name} for name in classes]}


def test_photos_of_an_epoch():
    training = [photo("car"), photo("car"), photo("car", "dog"), photo()]
    keys = ["DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD", "1"]
    assert photos_an_epoch(load_config(MINI), training) == 4
    assert photos_an_epoch(load_config(MINI, ["DATALOADER.FILTER_EMPTY_ANNOTATIONS", "True"]), training) == 3
    # Cars are in 3 of 4 photos, dogs in one: sqrt(4/3) twice, sqrt(4) for the third, and once the empty one.
    assert photos_an_epoch(load_config(MINI, keys), training) == pytest.approx(2 * math.sqrt(4 / 3) + 2 + 1)


def rates(cfg, count):
    """The learning rate of the first iterations."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_scheduler(cfg, optimizer)
    result = []
    for _ in range(count):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def test_cosine_and_steps_with_warm_up():
    cosine = rates(resolved(MINI, 252)[0], 882)
    assert cosine[0] == pytest.approx(0.002 / 1000) and cosine[:100] == sorted(cosine[:100])
    assert cosine[100:] == sorted(cosine[100:], reverse=True)
    for i in (100, 441, 881):
        assert cosine[i] == pytest.approx(0.002 * (1 + math.cos(math.pi * i / 882)) / 2)
    steps = rates(resolved(R50, 500)[0], 3000)
    assert steps[199] < 0.0025
    assert [steps[i] for i in (200, 2009, 2010, 2699, 2700, 2999)] == pytest.approx(
        [0.0025, 0.0025, 0.00025, 0.00025, 0.000025, 0.000025]
    )


@pytest.mark.parametrize("config", [R50, MINI])
def test_a_learning_rate_of_0(config):
    assert rates(resolved(config, 252, "SOLVER.BASE_LR", 0)[0], 20) == [0] * 20


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_gradients_are_clipped(optimizer):
    """By Detectron2's keys: the norm 5 of (3, 4) becomes 1."""
    opts = ["CAMPUS.OPTIMIZER", optimizer, "SOLVER.CLIP_GRADIENTS.ENABLED", "True"]
    cfg = load_config(MINI, [*opts, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norm"])
    model = torch.nn.Linear(2, 1, bias=False)
    built = Trainer.build_optimizer(cfg, model)
    assert isinstance(built, getattr(torch.optim, optimizer))
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    built.step()
    torch.testing.assert_close(model.weight.grad, torch.tensor([[0.6, 0.8]]), rtol=1e-5, atol=0)
