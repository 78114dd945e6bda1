"""Runs that an evaluation ends: one line that says what to do, and a resume that goes on from there."""

import errno

import pytest
import torch
from drawn import SMALL_MODEL, draw_export

from campus_seg.engine import evaluation
from campus_seg.tools.train_net import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=12).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


def train(export, output, *flags):
    given = ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", "0"]
    given += ["SOLVER.MAX_ITER", "2", "TEST.EVAL_PERIOD", "1"]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *SMALL_MODEL, *given])


def fails(capsys, export, output, *flags):
    """The one line that a run ends with."""
    with pytest.raises(SystemExit) as stopped:
        train(export, output, *flags)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ") and "Traceback" not in "".join(lines)
    return lines[-1]


class FullDisk:
    """A file for which there is no room after some bytes."""

    def __init__(self, f):
        self.f = f

    def write(self, data):
        if self.f.tell() > 400:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.f.write(data)

    def flush(self):
        self.f.flush()


def test_a_disk_that_is_full_at_the_last_evaluation(export, tmp_path, monkeypatch, capsys):
    """Torch, which writes the predictions for Detectron2, makes an error of its own of it."""
    output, save = tmp_path / "run", torch.save

    def save_on_full_disk(data, f):
        save(data, FullDisk(f) if "instances_predictions" in str(getattr(f, "name", "")) else f)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save_on_full_disk)
        message = f"error: {output}: cannot be written (No space left on device); make room, and "
        assert fails(capsys, export, output) == f"{message}--resume goes on"
        assert fails(capsys, export, output, "--eval-only", "MODEL.WEIGHTS", str(output / "model_final.pth")) == (
            f"{message}the same command evaluates again"
        )
    train(export, output, "--resume")
    assert (output / "inference/campus_test/metrics.json").is_file()


def out_of_memory(*args):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


WAY_OUT = "out of memory on cpu; lower CAMPUS.INPUT_SIZE (96) or TEST.DETECTIONS_PER_IMAGE (100)"


@pytest.mark.parametrize("part", ["photo_losses", "inference_on_dataset"])
def test_too_little_memory_in_an_evaluation_on_the_way(part, export, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, part, out_of_memory)
    assert fails(capsys, export, tmp_path / "run") == f"error: the evaluation of iteration 0: {WAY_OUT}"


def test_too_little_memory_in_the_last_evaluation(export, tmp_path, monkeypatch, capsys):
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("detectron2.engine.defaults.inference_on_dataset", out_of_memory)
        assert fails(capsys, export, output) == f"error: the evaluation of campus_val: {WAY_OUT}"
    train(export, output, "--resume")
    assert (output / "inference/campus_test/metrics.json").is_file()
