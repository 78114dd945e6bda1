"""What the README has for others to copy does what it says."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from drawn import draw_export

from campus_seg.config import load_config
from campus_seg.machines import Machines
from campus_seg.tools.train_net import parse_arguments

README = Path(__file__).resolve().parents[1] / "README.md"

# What keeps it small: KEY VALUE behind the script's name, as anybody can give them.
SMALL = [
    *("MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", "CAMPUS.INPUT_SIZE", "64", "DATALOADER.NUM_WORKERS", "1"),
    *("MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64", "MODEL.FPN.OUT_CHANNELS", "16"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8", "MODEL.RPN.POST_NMS_TOPK_TRAIN", "50"),
]


def snippet(title: str) -> str:
    """The Python code in the section of that title."""
    section = README.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where somebody has saved the script beside an export."""
    folder = tmp_path_factory.mktemp("own_script")
    draw_export(photos=10).write_zip(folder / "my_export.zip")
    (folder / "mine.py").write_text(snippet("In your own script"), encoding="utf-8")
    return folder


def run(folder, *opts):
    command = [sys.executable, "mine.py", *SMALL, *opts]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_script_trains_in_a_stock_trainer(folder):
    run(folder, "SOLVER.MAX_ITER", "3")
    checkpoint = torch.load(folder / "output" / "model_final.pth")
    assert checkpoint["iteration"] == 2
    assert len(checkpoint["model"]["roi_heads.box_predictor.cls_score.bias"]) == 4  # car, dog, person; background
    for name in ("import/campus_train.json", "split.json", "classes.json", "metrics.json"):
        assert (folder / "output" / name).is_file()


def training_commands() -> list[str]:
    """Every training command in a block for the shell, with what a shell makes of it."""
    blocks = []
    for path in (README, README.parent / "tools" / "README.md"):
        blocks += re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(textwrap.dedent(block) for block in blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if "tools/train_net.py" in line]


@pytest.mark.parametrize("line", training_commands())
def test_the_training_commands_can_be_typed(line):
    begin = line.index("python tools/train_net.py")
    words = shlex.split(line[begin:].rstrip("'"))
    stand_ins = {"$SLURM_NNODES": "2", "$SLURM_NODEID": "1", "$first": "localhost"}
    stand_ins["output/campus/config.yaml"] = "configs/mask_rcnn_R_50_FPN.yaml"
    for name, value in stand_ins.items():
        words = [word.replace(name, value) for word in words]
    args = parse_arguments(words[2:])
    load_config(args.config_file, args.opts)
    Machines(args.num_machines, args.machine_rank, args.dist_url.replace("//first:", "//localhost:"))
    assert args.num_gpus in (1, 2, 4) and "--" not in " ".join(args.opts)


def test_the_script_for_slurm_is_one():
    page = (README.parent / "tools" / "README.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", page, re.DOTALL)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert len(training_commands()) >= 5


@pytest.mark.parametrize("name", ["README.md", "configs/README.md", "datasets/README.md", "tools/README.md"])
def test_tables_are_whole(name):
    """An empty line would cut one: what comes after it begins without a head."""
    lines = (README.parent / name).read_text(encoding="utf-8").splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("|") and not lines[i - 1].startswith("|")]
    assert [lines[i] for i in heads if not re.fullmatch(r"[|: -]+", lines[i + 1])] == []
