"""Mixed precision on a CPU."""

import json

import pytest
import torch
from detectron2.engine import AMPTrainer, SimpleTrainer
from drawn import SMALL_MODEL, draw_export

from campus_seg.config import load_config
from campus_seg.engine import mixed_precision
from campus_seg.engine.mixed_precision import CpuAutocastTrainer, resolve_precision, steps_of
from campus_seg.errors import ConfigError
from campus_seg.tools.train_net import main

pytestmark = pytest.mark.usefixtures("one_thread")


def train(export, output, iterations, *flags, amp="True"):
    given = ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", "0"]
    given += ["SOLVER.MAX_ITER", str(iterations), "SOLVER.AMP.ENABLED", amp, "DATASETS.TEST", "()"]
    given += ["SOLVER.WARMUP_ITERS", "0", "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", "()"]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *SMALL_MODEL, *given])
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    return torch.load(output / "model_final.pth"), [line["total_loss"] for line in lines]


def test_bfloat16_trains_and_a_resumed_run_goes_the_same_way(tmp_path):
    export = draw_export(photos=12).write_zip(tmp_path / "export.zip")
    whole, losses = train(export, tmp_path / "whole", 4)
    train(export, tmp_path / "resumed", 2)
    resumed, same = train(export, tmp_path / "resumed", 4, "--resume")
    assert all(torch.equal(whole["model"][name], value) for name, value in resumed["model"].items())
    assert all(value.isfinite().all() for value in whole["model"].values())
    assert same[-1:] == losses[-1:]
    assert all(value.dtype != torch.bfloat16 for value in whole["model"].values())
    full, expected = train(export, tmp_path / "full", 4, amp="False")
    assert losses[-1] == pytest.approx(expected[-1], rel=0.05) and losses[-1] != expected[-1]
    assert any(not torch.equal(full["model"][name], value) for name, value in whole["model"].items())


@pytest.mark.parametrize(
    "has_it, device, opts, expected",
    [
        (True, "cpu", [], CpuAutocastTrainer),
        (True, "cpu:0", [], CpuAutocastTrainer),
        (False, "cpu", [], SimpleTrainer),
        (True, "cpu", ["SOLVER.AMP.ENABLED", "False"], SimpleTrainer),
        (False, "cpu", ["SOLVER.AMP.ENABLED", "True"], CpuAutocastTrainer),
        (True, "cpu", ["CAMPUS.PRECISION", ""], SimpleTrainer),
        (True, "cuda", [], SimpleTrainer),
        (False, "cuda", ["SOLVER.AMP.ENABLED", "True"], AMPTrainer),
    ],
)
def test_a_cpu_trains_in_bfloat16_where_it_has_it(has_it, device, opts, expected, monkeypatch):
    monkeypatch.setattr(mixed_precision, "cpu_has_bf16", lambda: has_it)
    cfg = load_config("mask_rcnn_mini_FPN.yaml", opts)
    cfg.MODEL.DEVICE = device
    remarks = resolve_precision(cfg, opts[::2])
    assert steps_of(cfg) is expected
    assert bool(remarks) == (expected is CpuAutocastTrainer and not opts)


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="CAMPUS.PRECISION 'half': choose auto, or ''"):
        resolve_precision(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.PRECISION", "half"]), [])


def test_a_run_says_that_it_is_in_bfloat16_and_goes_on_so_elsewhere(tmp_path, monkeypatch):
    export = draw_export(photos=12).write_zip(tmp_path / "export.zip")
    output = tmp_path / "run"
    keys = ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", "0"]
    command = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *SMALL_MODEL, *keys, "DATASETS.TEST", "()"]
    command += ["CAMPUS.PRECISION", "auto"]
    monkeypatch.setattr(mixed_precision, "cpu_has_bf16", lambda: True)
    main([*command, "SOLVER.MAX_ITER", "1"])
    assert "Mixed precision, since this processor has bfloat16" in (output / "log.txt").read_text()
    monkeypatch.setattr(mixed_precision, "cpu_has_bf16", lambda: False)
    main(["--resume", *command, "SOLVER.MAX_ITER", "2"])
    assert load_config(str(output / "config.yaml")).SOLVER.AMP.ENABLED
