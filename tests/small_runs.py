"""Whole runs of the training command on small drawn exports, for tests."""

import json
import sys
from pathlib import Path

from campus_seg.config import load_config
from campus_seg.tools.train_net import main

TINY = [
    *("CAMPUS.INPUT_SIZE", "128", "CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16, 16, 16]"),
    *("MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "16"),
    *("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0"),
    *("CAMPUS.EVALUATION.REPORT", "False"),  # takes longer than such a training
]


def train(export, output, *opts, flags=()):
    arguments = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags]
    main([*arguments, "CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), *TINY, *map(str, opts)])


def command_line(export, output, *opts):
    tool = Path(__file__).resolve().parents[1] / "tools" / "train_net.py"
    config = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", "CAMPUS.EXPORT", export, "OUTPUT_DIR", output]
    return [sys.executable, str(tool), *map(str, [*config, *TINY, *opts])]


def losses(output):
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    return [line["total_loss"] for line in lines if "total_loss" in line]


def schedule_of(output):
    """MAX_ITER, EVAL_PERIOD and BASE_LR in a run's config.yaml."""
    cfg = load_config(str(output / "config.yaml"))
    return cfg.SOLVER.MAX_ITER, cfg.TEST.EVAL_PERIOD, cfg.SOLVER.BASE_LR


def snapshot(folder):
    """Every file that an evaluation must leave as it is."""
    files = (path for path in folder.rglob("*") if path.is_file() and "inference" not in path.parts)
    return {path.name: path.read_bytes() for path in files if path.name != "log.txt"}
