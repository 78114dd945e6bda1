"""Whole runs, stopped and gone on with, in this process; `make kills` has those that are killed."""

import json
import os
import signal

import pytest
import torch
from detectron2.utils import comm
from drawn import SMALL_MODEL, draw_export
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from campus_seg.engine import checkpoints, state
from campus_seg.engine.checkpoints import Checkpoints
from campus_seg.engine.stopping import StopRequest
from campus_seg.engine.trainer import Trainer
from campus_seg.errors import OutputError
from campus_seg.modeling.checkpoint import CampusCheckpointer
from campus_seg.tools.train_net import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=12).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


def train(export, output, *opts, flags=()):
    given = ["CAMPUS.EXPORT", export, "OUTPUT_DIR", output, "DATALOADER.NUM_WORKERS", 0, "SOLVER.MAX_ITER", 11]
    given += ["SOLVER.CHECKPOINT_PERIOD", 3, "TEST.EVAL_PERIOD", 4, *opts]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *SMALL_MODEL, *map(str, given)])


def figures(output):
    """All losses and figures of metrics.json, TensorBoard's curve, and the weights."""
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    lines = [
        {name: value for name, value in line.items() if "time" not in name and "eta" not in name} for line in lines
    ]
    events = EventAccumulator(str(output)).Reload()
    curve = [(event.step, event.value) for event in events.Scalars("total_loss")]
    return lines, curve, torch.load(output / "model_final.pth")["model"]


def assert_same(output, whole):
    (*drawn, model), (*expected_drawn, expected) = figures(output), figures(whole)
    assert drawn == expected_drawn
    assert all(torch.equal(model[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def whole(export, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "output"
    train(export, output)
    return output


def interrupt(monkeypatch, iteration, number=signal.SIGINT):
    """Sends this process a signal in the middle of a step."""
    step = Trainer.run_step

    def run_step(self):
        if self.iter == iteration:
            os.kill(os.getpid(), number)
        step(self)

    monkeypatch.setattr(Trainer, "run_step", run_step)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("iteration", [4, 7])
def test_stopped_and_gone_on_with_it_is_the_same_run(workers, iteration, export, whole, tmp_path, monkeypatch, capsys):
    """Between two checkpoints, and where the run is evaluated in the step that is stopped."""
    output = tmp_path / "output"
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        interrupt(patch, iteration)
        train(export, output, "DATALOADER.NUM_WORKERS", workers)
    assert stopped.value.code == 130
    assert f"stopped and saved after iteration {iteration}; the same command with --resume" in capsys.readouterr().err
    train(export, output, "DATALOADER.NUM_WORKERS", workers, flags=["--resume"])
    assert f"Going on at iteration {iteration + 1} of 11" in (output / "log.txt").read_text()
    assert_same(output, whole)


def test_a_step_that_fails_right_after_a_checkpoint(export, whole, tmp_path, monkeypatch):
    """What the files get as the run ends is of the iteration of that checkpoint, and no part of the run."""
    output, step = tmp_path / "output", Trainer.run_step

    def run_step(self):
        if self.iter == 6:
            raise OutputError("no room")
        step(self)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Trainer, "run_step", run_step)
        train(export, output)
    train(export, output, flags=["--resume"])
    assert "Going on at iteration 6 of 11" in (output / "log.txt").read_text()
    assert_same(output, whole)


def test_a_signal_in_the_last_step(export, whole, tmp_path, monkeypatch):
    output = tmp_path / "output"
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        interrupt(patch, 10, signal.SIGTERM)
        train(export, output)
    assert stopped.value.code == 143
    assert (output / "last_checkpoint").read_text() == "model_final.pth" and not (output / "inference").exists()
    train(export, output, flags=["--resume"])
    assert (output / "inference/campus_test/metrics.json").is_file()
    assert_same(output, whole)


def test_what_stays_on_the_disk(whole):
    periodic = ["model_0000002.pth", "model_0000005.pth", "model_0000008.pth"]
    assert sorted(path.name for path in whole.glob("*.pth")) == sorted([*periodic, "model_best.pth", "model_final.pth"])
    for path in whole.glob("*.pth"):
        torch.load(path, weights_only=True)


def test_a_checkpoint_of_other_classes_is_refused(export, whole, tmp_path, capsys):
    output = tmp_path / "output"
    train(export, output, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", "()")
    checkpoint = torch.load(output / "model_final.pth")
    torch.save({**checkpoint, "classes": ["car", "dog", "zebra"]}, output / "model_final.pth")
    before = (output / "log.txt").read_bytes(), (output / "config.yaml").read_bytes()
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        train(export, output, flags=["--resume"])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2
    assert "model_final.pth: trained for the classes ['car', 'dog', 'zebra'], this run is for ['car', 'dog'" in error
    assert ((output / "log.txt").read_bytes(), (output / "config.yaml").read_bytes()) == before


def test_every_process_gets_its_own_random_states(tmp_path, monkeypatch):
    """As the second of two, and in a third that was not there before."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(state.random_state())
    drawn = torch.rand(2)
    hook = Checkpoints(CampusCheckpointer(torch.nn.Linear(1, 1), str(tmp_path)), 3, StopRequest())
    hook.trainer = type("Trainer", (), {"start_iter": 3, "max_iter": 9, "storage": None})
    monkeypatch.setattr(checkpoints, "restore_recent_scalars", lambda storage, recent: None)
    hook.load_state_dict({"random": states, "scalars": {}, "metrics_size": 0})
    for rank, same in ((1, True), (0, False), (2, False)):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        torch.manual_seed(5)
        hook.before_train()
        assert torch.equal(torch.rand(2), drawn) == same
