"""Mixed precision on a CPU."""

import json

import pytest
import torch
from drawn import SMALL_MODEL, draw_export

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
