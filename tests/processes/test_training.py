"""Whole trainings in two processes: what comes out, how they end, and that they go on exactly."""

import os
import random
import re
import signal
import subprocess
import time

import pytest
import torch
from detectron2.modeling import build_model
from same_runs import assert_same_run, curve, lines
from small_processes import ENVIRONMENT, FAULTY, ITERATIONS, ROOT, are_gone, command, run, session

from campus_seg.config import load_config
from campus_seg.data.datasets import register_datasets
from campus_seg.engine.losses import build_loss_loader, photo_losses
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights import load_weights

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("one_thread")]

TWO = ("--num-gpus", 2)
WORKERS = ("DATALOADER.NUM_WORKERS", 1)


def test_everything_comes_out_once_and_complete(whole):
    iterations = [line["iteration"] for line in lines(whole)]
    assert iterations == [13, 19, 27, 39, 41]
    assert [step for step, _ in curve(whole)] == iterations
    names = [
        "config.yaml",
        "classes.json",
        "split.json",
        "import_report.json",
        "losses.png",
        "log.txt",
        "log.txt.rank1",
    ]
    names += ["model_best.pth", "model_final.pth", "model_0000023.pth", "model_0000029.pth", "model_0000035.pth"]
    names += ["metrics.json", "last_checkpoint", "thresholds.json"]
    files = {path.name for path in whole.iterdir() if path.is_file() and "tfevents" not in path.name}
    assert files == {*names}
    assert len(list(whole.glob("*tfevents*"))) == 1
    log = (whole / "log.txt").read_text()
    assert "There is no GPU: --num-gpus 2 makes 2 processes on the CPU, with 1 compute thread each" in log
    assert log.count("Saving checkpoint to") - log.count("model_best.pth") == ITERATIONS // 6


def test_figures_and_losses_are_those_of_one_process(whole, tmp_path):
    done = run(["cp", "-r", str(whole), str(tmp_path / "run")])
    tool = command("", "")[:2]
    done = run([*tool, "--config-file", str(tmp_path / "run/config.yaml"), "--eval-only"])
    assert done.returncode == 0, done.stderr
    for split in ("val", "test"):
        for name in ("metrics.json", "coco_instances_results.json", "analysis.json"):
            ours, one = (folder / f"inference/campus_{split}" / name for folder in (whole, tmp_path / "run"))
            assert ours.read_bytes() == one.read_bytes()
    assert '"AP": 0.0' not in (whole / "inference/campus_test/metrics.json").read_text()


def test_the_page_comes_out_once(whole, tmp_path):
    run(["cp", "-r", str(whole), str(tmp_path / "run")])
    config = ["--config-file", str(tmp_path / "run/config.yaml"), "--eval-only", *map(str, TWO)]
    done = run([*command("", "")[:2], *config, "CAMPUS.EVALUATION.REPORT", "True"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/report/index.html").read_text(encoding="utf-8").count("</html>") == 1
    logs = [path.read_text() for path in (tmp_path / "run").glob("log.txt*")]
    assert len(logs) == 2 and "".join(logs).count("What to look at first: ") == 1
    assert not any("No page was made" in log for log in logs)

    register_mini_backbone()
    cfg = load_config(str(whole / "config.yaml"))
    register_datasets(whole, cfg.CAMPUS.CLASSES)
    model = build_model(cfg)
    load_weights(model, str(whole / "model_final.pth"), cfg.CAMPUS.CLASSES)
    last = lines(whole)[-1]
    for split in ("val", "test"):
        losses = photo_losses(model, build_loss_loader(cfg, f"campus_{split}"))
        assert {name: last[f"{split}/{name}"] for name in losses} == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("number, send", [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)])
def test_a_signal_saves_and_stops_and_it_goes_on_exactly(number, send, export, whole, tmp_path):
    """Sent to the command alone, or to all of its group as from a terminal."""
    output = tmp_path / "output"
    process = start(command(export, output, *TWO, opts=WORKERS))
    try:
        end = time.monotonic() + 120
        while not (output / "last_checkpoint").is_file():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        time.sleep(random.Random(int(number)).uniform(0, 0.3))
        assert len(session(process.pid)) >= 5  # the command, two processes and a loader's worker of each
        send(process.pid, number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert are_gone(session(process.pid))
    assert process.returncode == 128 + number, errors
    notice, stopped = errors.strip().splitlines()
    assert "once more stops at once" in notice
    iteration = int(re.search(r"stopped and saved after iteration (\d+); .* --resume goes on", stopped)[1])
    assert (output / "last_checkpoint").read_text() == f"model_{iteration:07d}.pth"
    goes_on(export, output, whole, iteration + 1)


def start(command):
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, start_new_session=True, env=ENVIRONMENT, cwd=ROOT)


def goes_on(export, output, whole, iteration):
    """Resumes a run and compares all of it with the one that was never interrupted."""
    done = run(command(export, output, *TWO, "--resume"))
    assert done.returncode == 0, done.stderr
    assert f"Going on at iteration {iteration} of" in (output / "log.txt").read_text()
    assert_same_run(output, whole)
    assert curve(output) == curve(whole)


def test_a_process_that_is_killed_ends_the_run(export, whole, tmp_path):
    output = tmp_path / "output"
    process = start(command(export, output, *TWO, tool=(FAULTY, "kill", 1, 15), opts=WORKERS))
    try:
        _, errors = process.communicate(timeout=180)
    finally:
        process.kill()
    assert time.time() - (output / "model_0000011.pth").stat().st_mtime < 60  # the last one before the kill
    assert are_gone(session(process.pid))
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert re.fullmatch(r"error: process 1 of this machine was killed \(SIGKILL\), .* --resume goes on .*", line)
    goes_on(export, output, whole, 12)


@pytest.mark.parametrize("what, rank, says", [("memory", 1, "out of memory"), ("nan", 1, "are no numbers any more")])
def test_what_one_process_meets_alone_ends_all(what, rank, says, export, tmp_path):
    done = run(command(export, tmp_path / "output", *TWO, tool=(FAULTY, what, rank, 8)))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: iteration 8: ") and says in line
    assert (tmp_path / "output/last_checkpoint").read_text() == "model_0000005.pth"


def test_another_run_starts_from_the_weights_of_one(export, whole, tmp_path):
    """And is evaluated, by itself, to the same figures as at its end; both in two processes."""
    output, weights = tmp_path / "output", whole / "model_final.pth"
    done = run(command(export, output, *TWO, opts=["SOLVER.MAX_ITER", 3, "MODEL.WEIGHTS", weights]))
    assert (done.returncode, done.stderr) == (0, "")
    starts = ("from scratch", f"Taken over from {weights}: ")
    assert [text in (output / "log.txt").read_text() for text in starts] == [False, True]
    metrics = output / "inference/campus_test/metrics.json"
    figures = metrics.read_bytes()
    metrics.unlink()
    done = run([*command("", "")[:2], "--config-file", str(output / "config.yaml"), "--eval-only", *map(str, TWO)])
    assert (done.returncode, done.stderr) == (0, "")
    assert metrics.read_bytes() == figures


def test_it_goes_on_in_one_process_with_a_word(export, whole, tmp_path):
    """The same photos in the same order; what is drawn among anchors and proposals is not."""
    done = run(["cp", "-r", str(whole), str(tmp_path / "run")])
    done = run(command(export, tmp_path / "run", "--resume", opts=["SOLVER.MAX_ITER", ITERATIONS + 2]))
    assert done.returncode == 0, done.stderr
    assert "The run was in 2 processes and goes on in 1" in (tmp_path / "run/log.txt").read_text()
    assert torch.load(tmp_path / "run/model_final.pth")["iteration"] == ITERATIONS + 1
