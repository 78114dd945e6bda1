"""When a run is evaluated, and that its training does not notice."""

import json
from types import SimpleNamespace

import pytest
import torch
from detectron2.utils.events import EventStorage
from drawn import SMALL_MODEL, draw_export

from campus_seg.config import load_config
from campus_seg.engine import evaluation
from campus_seg.engine.evaluation import Evaluation, FinalEvaluation, is_evaluated
from campus_seg.tools.train_net import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    "max_iter, period, evaluated",
    [(10, 4, [3, 7, 9]), (8, 4, [3, 7]), (3, 0, [2]), (3, 9, [2]), (2, 1, [0, 1])],
)
def test_is_evaluated(max_iter, period, evaluated):
    trainers = [SimpleNamespace(iter=i, max_iter=max_iter) for i in range(max_iter)]
    assert [trainer.iter for trainer in trainers if is_evaluated(trainer, period)] == evaluated


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=12).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


def train(export, output, *opts):
    given = ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", "0"]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *SMALL_MODEL, *given, "SOLVER.MAX_ITER", "5", *opts])


def test_the_training_goes_the_same_way_without(export, tmp_path):
    train(export, tmp_path / "with", "TEST.EVAL_PERIOD", "2")
    train(export, tmp_path / "without", "DATASETS.TEST", "()")
    one, other = (torch.load(tmp_path / name / "model_final.pth")["model"] for name in ("with", "without"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [json.loads(line) for line in (tmp_path / "with/metrics.json").read_text().splitlines()]
    evaluated = [line for line in lines if "val/total_loss" in line]
    assert [line["iteration"] for line in evaluated] == [1, 3, 4]  # one line each, whatever the writers' period
    for line in evaluated:
        assert {"test/total_loss", "val/loss_mask", "total_loss", "campus_val/segm/AP50"} <= set(line)
        assert not any(name.startswith("campus_test") for name in line)
    without = [json.loads(line) for line in (tmp_path / "without/metrics.json").read_text().splitlines()]
    assert without[-1]["total_loss"] == lines[-1]["total_loss"]
    assert not any("/total_loss" in name for line in without for name in line)
    assert not (tmp_path / "without/inference").exists() and not (tmp_path / "without/model_best.pth").exists()
    assert (tmp_path / "without/losses.png").is_file()


@pytest.mark.parametrize(
    "values, put",
    [
        ({"loss_cls": 1.0, "total_loss": float("nan")}, {"val/loss_cls": (1.0, 3)}),
        ({"total_loss": float("inf")}, {}),
    ],
)
def test_losses_that_are_no_numbers_are_left_out(values, put, monkeypatch, caplog):
    """The files would be no JSON with them; whether the run goes on is for its next step to say."""
    monkeypatch.setattr(evaluation, "photo_losses", lambda model, loader: values)
    hook = Evaluation(load_config("mask_rcnn_mini_FPN.yaml", ["TEST.EVAL_PERIOD", "2"]))
    hook.trainer = SimpleNamespace(iter=3, max_iter=9, storage=EventStorage(3), model=None)
    hook._losses, hook._figures = {"val": []}, {}
    hook.after_step()
    assert hook.trainer.storage.latest() == put
    assert "Iteration 3: no" in caplog.text


@pytest.mark.parametrize("done, expected", [(9, 0), (10, 1), (11, 1)])
def test_a_run_that_was_broken_off_is_not_evaluated(done, expected):
    calls = []
    hook = FinalEvaluation()
    hook.trainer = SimpleNamespace(iter=done, max_iter=10, evaluate_best=lambda: calls.append(1))
    hook.after_train()
    assert len(calls) == expected


def test_nothing_is_read_where_nothing_is_left_to_train(monkeypatch):
    monkeypatch.setattr(evaluation, "build_loss_loader", lambda cfg, name: pytest.fail("read the photos"))
    hook = Evaluation(load_config("mask_rcnn_mini_FPN.yaml"))
    hook.trainer = SimpleNamespace(start_iter=9, max_iter=9)
    hook.before_train()
