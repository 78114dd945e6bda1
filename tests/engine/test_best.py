"""The choice of the best model, on scripted figures."""

import math
from types import SimpleNamespace

import pytest
import torch
from detectron2.utils.events import EventStorage
from torch import nn

from campus_seg.config import load_config
from campus_seg.engine.best import Best, BestModel, check_best_keys
from campus_seg.errors import ConfigError
from campus_seg.modeling.checkpoint import CampusCheckpointer

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "metric, values, kept",
    [
        ("segm/AP", [1, 3, 2], [0, 1]),
        ("segm/AP", [1, 2, 3], [0, 1, 2]),  # the last one counts
        ("segm/AP", [0, 0, 0], [0]),  # of equal ones the first
        ("segm/AP", [2, 1, 2, 3, 3], [0, 3]),
        ("val/total_loss", [2, 3, 1, 1, 1.5], [0, 2]),
        ("val/total_loss", [INF, 5, NAN, 4], [0, 1, 3]),
        ("segm/AP", [NAN, 0, NAN, None, 1], [0, 1, 4]),
        ("segm/AP", [None, NAN, INF, 0, 0], [0, 1, 2, 3]),
        ("segm/AP", [NAN, NAN], [0, 1]),  # nothing to choose by: the later has learned for longer
    ],
)
def test_what_is_kept(metric, values, kept):
    best = Best(metric)
    assert [i for i, value in enumerate(values) if best.update(i, value)] == kept
    assert best.iteration == kept[-1] and best.waited == len(values) - 1 - kept[-1]
    assert best.last_iteration == len(values) - 1


class Run:
    """A training of one weight, which is the iteration that set it, evaluated each second iteration."""

    def __init__(self, folder, values, patience=0, metric="segm/AP"):
        opts = ["OUTPUT_DIR", str(folder), "CAMPUS.PATIENCE", str(patience), "CAMPUS.BEST_METRIC", metric]
        cfg = load_config("mask_rcnn_mini_FPN.yaml", [*opts, "TEST.EVAL_PERIOD", "2"])
        self.values = values
        self.name = metric if metric.startswith("val/") else f"campus_val/{metric}"
        self.model = nn.Linear(1, 1, bias=False)
        checkpointer = CampusCheckpointer(self.model, str(folder), classes=["car"])
        self.hook = BestModel(checkpointer, cfg, "campus_val")
        self.trainer = SimpleNamespace(start_iter=0, iter=0, max_iter=2 * len(values), storage=EventStorage())
        self.hook.trainer = self.trainer

    def restore(self, iteration, weight, state):
        """What a resume does."""
        self.trainer.start_iter = iteration + 1
        self.hook.load_state_dict(state)
        self.model.weight.data.fill_(weight)

    def go(self, until=None, checkpoints=None):
        """Trains up to and with iteration `until`; returns what the checkpoints hold, one an iteration by default."""
        trainer, states = self.trainer, {}
        trainer.iter = trainer.start_iter
        self.hook.before_train()
        for iteration in range(trainer.start_iter, 2 * len(self.values)):
            trainer.iter = iteration
            if iteration >= trainer.max_iter:
                break
            trainer.storage.iter = trainer.iter
            self.model.weight.data.fill_(trainer.iter)
            value = self.values[trainer.iter // 2]
            if trainer.iter % 2 and value is not None:
                trainer.storage.put_scalar(self.name, value, smoothing_hint=False)
            self.hook.after_step()
            if checkpoints is None or trainer.iter in checkpoints:
                states[trainer.iter] = self.hook.state_dict()
            if trainer.iter == until:
                return states
        else:
            trainer.iter += 1
        self.hook.after_train()
        return states


def saved(folder):
    """Weight, iteration and value in model_best.pth."""
    checkpoint = torch.load(folder / "model_best.pth", weights_only=True)
    assert checkpoint["classes"] == ["car"] and checkpoint["metric"]
    return checkpoint["model"]["weight"].item(), checkpoint["iteration"], checkpoint["value"]


def test_the_file_is_of_the_best_iteration_and_no_run_goes_on_from_it(tmp_path):
    (tmp_path / "last_checkpoint").write_text("model_0000003.pth")
    run = Run(tmp_path, [1.0, None, 4.0, 4.0, 2.0])
    run.go()
    assert saved(tmp_path) == (5, 5, 4.0)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"
    assert "trainer" not in torch.load(tmp_path / "model_best.pth")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint", "model_best.pth"]
    assert run.hook.verdict() == "iteration 5 with segm/AP 4.0 on campus_val; the last one had 2.0"


@pytest.mark.parametrize(
    "metric, values, words",
    [
        ("segm/AP", [1.0, 41.23], "iteration 3 with segm/AP 41.2 on campus_val; it is the last one"),
        ("val/total_loss", [1.0, 1.25], "iteration 1 with val/total_loss 1.000 on campus_val; the last one had 1.250"),
        ("segm/AP", [1.0, None], "iteration 1 with segm/AP 1.0 on campus_val; the last one had undefined"),
        ("segm/AP", [None, None], "iteration 3, since segm/AP was undefined on campus_val throughout"),
    ],
)
def test_verdict(metric, values, words, tmp_path):
    run = Run(tmp_path, values, metric=metric)
    run.go()
    assert run.hook.verdict() == words


VALUES = [None, 1.0, 3.0, 3.0, 2.0, 5.0, 4.0, 6.0, 6.0]


@pytest.mark.parametrize("killed", range(1, 2 * len(VALUES), 2))
def test_a_run_killed_anywhere_ends_with_the_same_best(killed, tmp_path):
    """After each evaluation, whichever step until then wrote the last checkpoint."""
    whole = Run(tmp_path, VALUES)
    whole.go()
    expected, record = saved(tmp_path), whole.hook.best
    (tmp_path / "model_best.pth").unlink()
    for checkpoint in range(killed + 1):
        folder = tmp_path / str(checkpoint)
        folder.mkdir()
        state = Run(folder, VALUES).go(until=killed, checkpoints=[checkpoint])[checkpoint]
        again = Run(folder, VALUES)
        again.restore(checkpoint, checkpoint, state)
        again.hook.before_train()
        if state["iteration"] is None:
            assert not (folder / "model_best.pth").exists()
        else:
            assert saved(folder) == (state["iteration"], state["iteration"], state["value"])
        again.go()
        assert saved(folder) == expected and again.hook.best == record
        assert [path.name for path in folder.iterdir()] == ["model_best.pth"]


def test_the_best_is_taken_from_the_checkpoint_of_its_iteration(tmp_path):
    """Where the file is gone, or is no checkpoint."""
    run = Run(tmp_path, [1.0, 5.0, 2.0, 3.0])
    state = run.go(until=5)[5]
    CampusCheckpointer(nn.Linear(1, 1, bias=False), str(tmp_path), classes=["car"]).save("model_0000003", iteration=3)
    (tmp_path / "model_best.pth").write_bytes(b"cut off")
    again = Run(tmp_path, [1.0, 5.0, 2.0, 3.0])
    again.restore(5, 5, state)
    again.go()
    assert saved(tmp_path)[1:] == (3, 5.0) and again.hook.best.iteration == 3


def test_the_best_is_chosen_anew_where_it_is_gone(tmp_path):
    run = Run(tmp_path, [1.0, 5.0, 2.0, 3.0])
    state = run.go(until=5)[5]
    (tmp_path / "model_best.pth").unlink()
    again = Run(tmp_path, [1.0, 5.0, 2.0, 3.0])
    again.restore(5, 5, state)
    again.go()
    assert saved(tmp_path) == (7, 7, 3.0)


def test_another_metric_begins_anew(tmp_path):
    state = Run(tmp_path, [1.0, 5.0, 2.0]).go(until=3)[3]
    again = Run(tmp_path, [1.0, 5.0, 2.0], metric="val/total_loss")
    again.restore(3, 3, state)
    again.go()
    assert saved(tmp_path) == (5, 5, 2.0)


@pytest.mark.parametrize(
    "values, patience, last",
    [
        ([5.0, 1.0, 1.0, 9.0], 0, 7),
        ([5.0, 1.0, 1.0, 9.0], 2, 5),
        ([5.0, 1.0, 9.0, 1.0, 9.0], 2, 9),  # counted from the best one on, and the end is the end
        ([None, None, None, 1.0], 1, 7),  # nothing that could have become better
        ([5.0, None, 9.0], 1, 3),
    ],
)
def test_patience(values, patience, last, tmp_path):
    run = Run(tmp_path, values, patience=patience)
    states = run.go()
    assert max(states) == last
    assert run.trainer.max_iter == last + 1  # so that the other hooks take it for the end
    again = Run(tmp_path, [*values, 1.0, 1.0], patience=patience)
    again.restore(last, last, states[last])
    stopped = 0 < patience <= states[last]["waited"]
    assert bool(again.go()) != stopped  # a run that was stopped stays so, however long it might be now


@pytest.mark.parametrize("metric", ["test/total_loss", "campus_test/segm/AP", "segm/APl", "AP", "val/loss_cls", ""])
def test_metrics_that_choose_no_model(metric):
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.BEST_METRIC", metric])
    with pytest.raises(ConfigError, match="CAMPUS.BEST_METRIC '.*': choose segm/AP"):
        check_best_keys(cfg)


@pytest.mark.parametrize("metric", ["segm/AP", "bbox/AP50", "val/total_loss"])
def test_keys(metric):
    check_best_keys(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.BEST_METRIC", metric]))
    with pytest.raises(ConfigError, match="CAMPUS.PATIENCE -1"):
        check_best_keys(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.PATIENCE", "-1"]))
