"""Whole runs of the command on small drawn exports, and every bad input."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import draw_export
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from campus_seg.tools.train_net import main

TINY = [
    *("CAMPUS.INPUT_SIZE", "128", "CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16, 16, 16]"),
    *("MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "16"),
    *("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0"),
]


def train(export, output, *opts, flags=()):
    arguments = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags]
    main([*arguments, "CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), *TINY, *map(str, opts)])


def losses(output):
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    return [line["total_loss"] for line in lines if "total_loss" in line]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=20).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


@pytest.fixture(scope="module")
def run(export, tmp_path_factory):
    """A short training; its folder is not to be changed."""
    output = tmp_path_factory.mktemp("run") / "output"
    train(export, output, "SOLVER.MAX_ITER", 40, "SOLVER.WARMUP_ITERS", 10)
    return output


def test_a_run_leaves_what_the_contract_says(run):
    names = ["config.yaml", "classes.json", "split.json", "import_report.json", "log.txt", "metrics.json"]
    names += ["model_final.pth", "last_checkpoint", "losses.png"]
    for dataset in ("campus_val", "campus_test"):
        names += [f"inference/{dataset}/coco_instances_results.json", f"inference/{dataset}/metrics.json"]
    assert [name for name in names if not (run / name).is_file()] == []
    assert list(run.glob("events.out.tfevents*"))
    assert json.loads((run / "classes.json").read_text()) == ["car", "dog", "person"]
    splits = json.loads((run / "split.json").read_text())
    assert {split: len(names) for split, names in splits.items()} == {"train": 14, "val": 2, "test": 4}
    assert losses(run)[-1] < losses(run)[0]
    assert not list(run.rglob("*.part*"))


def test_the_metrics_are_cocoevals_own(run):
    truth = COCO(str(run / "import/campus_test.json"))
    results = run / "inference/campus_test/coco_instances_results.json"
    metrics = json.loads((run / "inference/campus_test/metrics.json").read_text())
    assert set(metrics) == {"bbox", "segm"}
    for task in ("bbox", "segm"):
        if not json.loads(results.read_text()):
            continue
        evaluation = COCOeval(truth, truth.loadRes(str(results)), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert metrics[task]["AP"] == pytest.approx(100 * evaluation.stats[0], abs=1e-6)


def test_an_evaluation_from_the_runs_own_config_gives_the_same_figures(run, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)  # nothing in a run depends on where it lies
    config = (moved / "config.yaml").read_bytes()
    before = (moved / "inference/campus_test/metrics.json").read_bytes()
    shutil.rmtree(moved / "inference")
    monkeypatch.chdir(tmp_path)
    main(["--config-file", str(moved / "config.yaml"), "--eval-only"])
    assert (moved / "inference/campus_test/metrics.json").read_bytes() == before
    assert (moved / "config.yaml").read_bytes() == config


def test_the_same_run_gives_the_same_numbers(run, export, tmp_path):
    again = tmp_path / "again"
    train(export, again, "SOLVER.MAX_ITER", 40, "SOLVER.WARMUP_ITERS", 10, "DATALOADER.NUM_WORKERS", 2)
    assert losses(again) == losses(run)
    first, second = (torch.load(path / "model_final.pth")["model"] for path in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_resume_goes_on_where_it_stopped(export, tmp_path, capsys):
    output = tmp_path / "output"
    train(export, output, "SOLVER.MAX_ITER", 4)
    splits = (output / "split.json").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        train(export, output, "SOLVER.MAX_ITER", 6)
    assert stopped.value.code == 2
    assert "holds a trained run already; go on with --resume" in capsys.readouterr().err
    # Another seed of the draw must not move a photo of a run that goes on.
    train(export, output, "SOLVER.MAX_ITER", 6, "CAMPUS.SPLIT_SEED", 5, flags=["--resume"])
    assert torch.load(output / "model_final.pth")["iteration"] == 5
    assert "Going on at iteration 4" in (output / "log.txt").read_text()
    assert (output / "split.json").read_bytes() == splits


def test_photos_without_objects_and_an_export_without_test_photos(tmp_path):
    drawn = draw_export(photos=4)
    drawn.coco["annotations"] = [a for a in drawn.coco["annotations"] if a["image_id"] in (0, 1)]
    output = tmp_path / "output"
    train(drawn.write_zip(tmp_path / "e.zip"), output, "SOLVER.MAX_ITER", 3, "CAMPUS.SPLIT", "[0.75, 0.25, 0.0]")
    assert np.isfinite(torch.load(output / "model_final.pth")["model"]["proposal_generator.rpn_head.conv.bias"]).all()
    assert not (output / "inference/campus_test").exists()


def no_change(export, tmp_path):
    return export.write_zip(tmp_path / "export.zip")


def without_photos(export, tmp_path):
    export.photos.clear()
    return no_change(export, tmp_path)


def without_objects(export, tmp_path):
    export.coco["annotations"] = []
    return no_change(export, tmp_path)


def other_json(export, tmp_path):
    (tmp_path / "export.json").write_text('{"hello": 1}')
    return tmp_path / "export.json"


def empty(export, tmp_path):
    (tmp_path / "export.zip").touch()
    return tmp_path / "export.zip"


def text(tmp_path, name):
    (tmp_path / name).write_text("these are words\n")
    return tmp_path / name


NO_NETWORK = "http://127.0.0.1:9/model_final_f10217.pkl"
BAD = {
    "no export": (lambda e, t: "", [], "CAMPUS.EXPORT"),
    "missing": (lambda e, t: t / "absent.zip", [], "absent.zip: no such file"),
    "empty": (empty, [], "export.zip: the file is empty"),
    "other json": (other_json, [], "export.json is other JSON"),
    "no photos": (without_photos, [], "none of its 4 photos is there"),
    "no objects": (without_objects, [], "not one object"),
    "unknown key": (no_change, ["CAMPUS.EXPROT", "x"], "Non-existent key: CAMPUS.EXPROT"),
    "wrong type": (no_change, ["CAMPUS.INPUT_SIZE", "large"], "CAMPUS.INPUT_SIZE"),
    "odd pairs": (no_change, ["CAMPUS.INPUT_SIZE"], "KEY VALUE pairs"),
    "policy": (no_change, ["CAMPUS.RECTANGLES", "maybe"], "choose one of mask, drop, error"),
    "optimizer": (no_change, ["CAMPUS.OPTIMIZER", "adam"], "choose SGD or AdamW"),
    "resize": (no_change, ["CAMPUS.RESIZE", "squash"], "CAMPUS.RESIZE"),
    "augmentations": (no_change, ["CAMPUS.AUGMENTATIONS", "absent.yaml"], "campus.yaml, original_2023.yaml"),
    "shares": (no_change, ["CAMPUS.SPLIT", "[1.0, 1.0, 1.0]"], "CAMPUS.SPLIT"),
    "frozen classes": (no_change, ["CAMPUS.CLASSES", "['car']"], "is not one of CAMPUS.CLASSES"),
    "text as weights": (no_change, ["MODEL.WEIGHTS", "words.pth"], "words.pth: neither a torch checkpoint"),
    "no such weights": (no_change, ["MODEL.WEIGHTS", "absent.pth"], "absent.pth"),
    "no network": (no_change, ["MODEL.WEIGHTS", NO_NETWORK], "MODEL.WEIGHTS path/to/model_final_f10217.pkl"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, monkeypatch, capsys):
    make, opts, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    text(tmp_path, "words.pth")
    path = make(draw_export(photos=4), tmp_path)
    output = tmp_path / "output"
    with pytest.raises(SystemExit) as stopped:
        train(path, output, "SOLVER.MAX_ITER", 2, *opts)
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()
    lines = [line for line in error if line.startswith("error: ")]
    assert len(lines) == 1 and error[-1] == lines[0], error
    assert message in lines[0]
    assert not output.exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not a YAML config"),
        ("MODEL: {NO_SUCH_KEY: 1}", "Non-existent config key: MODEL.NO_SUCH_KEY"),
        ("!!python/object/apply:os.system ['touch pwned']", "not a YAML config"),
        ("_BASE_: absent.yaml", "absent.yaml"),
        (None, "no such file; give a path, or one of those shipped"),
    ],
)
def test_bad_configs(content, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "my.yaml").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main(["--config-file", "my.yaml", "CAMPUS.EXPORT", "x.zip"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pwned").exists()


def test_the_command_itself(tmp_path):
    """As a process: status 2, the one line alone on standard error, no traceback."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "train_net.py"
    command = [sys.executable, str(tool), "--config-file", "configs/mask_rcnn_mini_FPN.yaml"]
    done = subprocess.run([*command, "CAMPUS.EXPORT", "absent.zip"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: absent\.zip: no such file.*\n", done.stderr)
    assert not list(tmp_path.iterdir())
