import json
import os
from pathlib import Path

import cv2
import pytest
import torch
from drawn import draw_export

from campus_seg.tools.benchmark import main

TOOL = Path(__file__).parents[2] / "tools" / "benchmark.py"
QUICK = ["mapper", "--photos", "3", "--rounds", "1"]


@pytest.fixture(autouse=True)
def threads():
    """The tool takes one thread and belongs in a process of its own; the other tests get theirs back."""
    counts = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(counts[0])
    cv2.setNumThreads(counts[1])


@pytest.mark.parametrize("source", ["drawn", "export"])
def test_the_mapper_is_compared(source, tmp_path, capsys):
    argv = [*QUICK, "--json", str(tmp_path / "new" / "mapper.json")]
    if source == "export":
        argv += ["--export", str(draw_export(photos=3).write_zip(tmp_path / "export.zip"))]
    assert main([*argv, "--opts", "CAMPUS.INPUT_SIZE", "320"]) == 0
    figures = json.loads((tmp_path / "new" / "mapper.json").read_text())
    assert (figures["photos"], figures["input_size"]) == (3, 320)
    assert figures["objects"] >= 6
    said = capsys.readouterr().out
    for name in ("mapper_vs_image_only", "mapper_vs_detectron2"):
        assert figures["ratios"][name] > 0
        assert name in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--opts", "X", "1"], "X"),
        (["--opts", "CAMPUS.INPUT_SIZE"], "one has no value"),
        (["--opts", "CAMPUS.RESIZE", "squash"], 'CAMPUS.RESIZE is "squash"'),
        (["--opts", "CAMPUS.AUGMENTATIONS", ""], "CAMPUS.AUGMENTATIONS"),
        (["--export", "nowhere.zip"], "nowhere.zip"),
        (["--rounds", "0"], "0 is less than 1"),
        (["--json", f"{__file__}/a.json"], "cannot be written to"),
    ],
)
def test_bad_commands_have_status_2_and_one_line(more, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*QUICK, *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_it_can_be_run_as_a_program():
    assert os.access(TOOL, os.X_OK)
    assert TOOL.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
