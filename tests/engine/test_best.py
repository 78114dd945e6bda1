"""The choice of the best model, on scripted figures."""

import contextlib
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from detectron2.utils.events import EventStorage
from torch import nn

from campus_seg.config import load_config
from campus_seg.engine import best
from campus_seg.engine.best import Best, BestModel, check_best_keys
from campus_seg.errors import ConfigError, OutputError
from campus_seg.modeling.checkpoint import CampusCheckpointer, write_checkpoint

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
    record = Best(metric)
    assert [i for i, value in enumerate(values) if record.update(i, value)] == kept
    assert record.iteration == kept[-1] and record.waited == len(values) - 1 - kept[-1]
    assert record.last_iteration == len(values) - 1


class Run:
    """A training of one weight, which is the iteration that set it, evaluated each second iteration."""

    def __init__(self, folder, values, patience=0, metric="segm/AP", test="('campus_val',)"):
        opts = ["OUTPUT_DIR", str(folder), "CAMPUS.PATIENCE", str(patience), "CAMPUS.BEST_METRIC", metric]
        opts += ["DATASETS.TEST", test]
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
    assert run.hook.verdict() == "the best, of iteration 5 with segm/AP 4.0 on campus_val; the last one had 2.0"


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
    assert run.hook.verdict() == f"the best, of {words}"


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


def test_a_checkpoint_is_read_once(tmp_path, monkeypatch):
    """The best of the last checkpoint, which lies aside; the file itself is of a later iteration."""
    run = Run(tmp_path, [1.0, 5.0, 6.0])
    state = run.go(until=5, checkpoints=[3])[3]
    read, seen = best.read_checkpoint, []
    monkeypatch.setattr(best, "read_checkpoint", lambda path: (seen.append(Path(path).name), read(path))[1])
    again = Run(tmp_path, [1.0, 5.0, 6.0])
    again.restore(4, 4, state)
    again.hook.before_train()
    assert saved(tmp_path) == (3, 3, 5.0)
    assert seen == ["model_best.pth", "model_best_before.pth"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("left", [0, 1])
def test_the_best_is_chosen_anew_where_it_is_gone(left, tmp_path):
    """The file is of an iteration that the checkpoint does not know, and no other is of the one it does."""
    run = Run(tmp_path, [1.0, 5.0, 6.0, 3.0])
    state = run.go(until=5, checkpoints=[3])[3]
    (tmp_path / "model_best_before.pth").unlink()
    again = Run(tmp_path, [1.0, 5.0, 6.0, 3.0])
    again.restore(6, 6, state)
    again.trainer.max_iter = 7 + left
    again.go()
    assert torch.load(tmp_path / "model_best_5.pth")["iteration"] == 5  # nobody's, and not deleted
    if left:
        assert saved(tmp_path) == (7, 7, 3.0)
        assert again.hook.verdict().endswith("; it is the last one; judged by segm/AP since iteration 7")
    else:
        assert names(tmp_path) == ["model_best_5.pth"]
        words = (
            "the last iteration's: the best one, of iteration 3, is gone, and none was evaluated on campus_val since"
        )
        assert again.hook.verdict() == words


def test_another_metric_begins_anew(tmp_path):
    """Until its first evaluation the model chosen before stays, also over a resume, and the verdict tells the two."""
    state = Run(tmp_path, [1.0, 5.0, 2.0, 9.0]).go(until=3)[3]
    for _ in range(2):
        again = Run(tmp_path, [1.0, 5.0, 2.0, 9.0], metric="val/total_loss", patience=1)
        again.restore(3, 3, state)
        state = again.go(until=4)[4]
        assert saved(tmp_path) == (3, 3, 5.0) and state["metric"] == "segm/AP"
    again = Run(tmp_path, [1.0, 5.0, 2.0, 9.0], metric="val/total_loss")
    again.restore(4, 4, state)
    again.go()
    assert saved(tmp_path) == (5, 5, 2.0)
    said = "the best, of iteration 5 with val/total_loss 2.000 on campus_val; the last one had 9.000; "
    assert again.hook.verdict() == said + "judged by val/total_loss since iteration 5"


def test_another_metric_where_nothing_is_left_to_train(tmp_path):
    state = Run(tmp_path, [1.0, 5.0, 2.0]).go()[5]
    again = Run(tmp_path, [1.0, 5.0, 2.0], metric="val/total_loss")
    again.restore(5, 5, state)
    again.go()
    assert saved(tmp_path) == (3, 3, 5.0)
    said = "the best, of iteration 3 with segm/AP 5.0 on campus_val; the last one had 2.0; "
    assert again.hook.verdict() == said + "nothing was evaluated by val/total_loss yet"


def test_a_run_that_was_stopped_early_goes_on_by_another_metric(tmp_path):
    state = Run(tmp_path, [5.0, 1.0, 2.0], patience=1).go()[3]
    again = Run(tmp_path, [5.0, 1.0, 2.0], patience=1, metric="val/total_loss")
    again.restore(3, 3, state)
    assert list(again.go()) == [4, 5]


def test_without_validation_photos_the_best_model_is_kept(tmp_path):
    """For some iterations; then it is compared with again."""
    values = [1.0, 5.0, 9.0, 2.0, 6.0]
    state = Run(tmp_path, values).go(until=3)[3]
    without = Run(tmp_path, values[:3], test="()")
    without.restore(3, 3, state)
    state = without.go()[5]
    assert saved(tmp_path) == (3, 3, 5.0)
    said = "the best, of iteration 3 with segm/AP 5.0 on campus_val; after iteration 3 nothing was evaluated there"
    assert without.hook.verdict() == said
    again = Run(tmp_path, values)
    again.restore(5, 5, state)
    again.go(until=7)
    assert saved(tmp_path) == (3, 3, 5.0) and again.hook.best.waited == 1
    again.restore(7, 7, again.hook.state_dict())
    again.go()
    assert saved(tmp_path) == (9, 9, 6.0)


@pytest.mark.parametrize(
    "test, words",
    [
        ("()", "no validation photos chose a best one"),
        ("('campus_val',)", "none was evaluated on campus_val while this run trained"),
    ],
)
def test_none_was_ever_chosen(test, words, tmp_path):
    state = Run(tmp_path, [1.0], test="()").go()[1]
    again = Run(tmp_path, [1.0], test=test)
    again.restore(1, 1, state)
    again.go()
    assert again.hook.verdict() == f"the last iteration's: {words}"
    assert names(tmp_path) == []


@pytest.mark.parametrize("record, kept", [("none", True), ("before the first", False), ("of another metric", True)])
def test_a_model_is_deleted_only_where_it_is_of_later_than_the_run(record, kept, tmp_path):
    state = Run(tmp_path, [1.0, 5.0]).go(until=1, checkpoints=[0])[0]
    (tmp_path / "model_best_before.pth").unlink(missing_ok=True)
    again = Run(tmp_path, [1.0, 5.0], metric="bbox/AP" if record == "of another metric" else "segm/AP")
    again.restore(0, 0, state)
    if record == "none":
        again.hook = Run(tmp_path, [1.0, 5.0]).hook
        again.hook.trainer = again.trainer
    again.hook.before_train()
    assert (tmp_path / "model_best.pth").exists() == kept


@pytest.mark.parametrize("links", [True, False])
def test_a_full_disk_leaves_the_best_model_where_it_was(links, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(best.os, "link", lambda source, target: (_ for _ in ()).throw(PermissionError("no links")))
    run = Run(tmp_path, [1.0, 5.0, 6.0, 7.0])

    def write(path, data):
        if path.name == "model_best.pth" and data["iteration"] == 5:
            raise OutputError("full")
        write_checkpoint(path, data)

    with monkeypatch.context() as patch, pytest.raises(OutputError):
        patch.setattr("campus_seg.modeling.checkpoint.write_checkpoint", write)
        run.go()
    assert saved(tmp_path) == (3, 3, 5.0)
    assert torch.load(tmp_path / "model_best_before.pth")["iteration"] == 3
    again = Run(tmp_path, [1.0, 5.0, 6.0, 7.0])
    again.restore(4, 4, run.hook.state_dict() | {"iteration": 3, "value": 5.0, "last_iteration": 3, "last_value": 5.0})
    again.go()
    assert saved(tmp_path) == (7, 7, 7.0) and names(tmp_path) == ["model_best.pth"]


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


@pytest.mark.parametrize("metric, fits", [("segm/AP", False), ("bbox/AP", True), ("val/total_loss", True)])
def test_a_model_without_masks_is_not_chosen_by_them(metric, fits):
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.BEST_METRIC", metric, "MODEL.MASK_ON", "False"])
    with contextlib.nullcontext() if fits else pytest.raises(ConfigError, match="segm/AP: .*choose bbox/AP"):
        check_best_keys(cfg)


@pytest.mark.parametrize("metric", ["segm/AP", "bbox/AP50", "val/total_loss"])
def test_keys(metric):
    check_best_keys(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.BEST_METRIC", metric]))
    with pytest.raises(ConfigError, match="CAMPUS.PATIENCE -1"):
        check_best_keys(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.PATIENCE", "-1"]))
