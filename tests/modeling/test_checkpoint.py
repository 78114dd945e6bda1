import errno

import numpy as np
import pytest
import torch

from campus_seg.errors import OutputError, WeightsError
from campus_seg.modeling.checkpoint import (
    CampusCheckpointer,
    checkpoint_files,
    latest_checkpoint,
    remove_old_checkpoints,
    write_checkpoint,
)
from campus_seg.modeling.weights_file import read_checkpoint


class Counter:
    """A checkpointable that knows how often it was saved."""

    def __init__(self):
        self.saved = 0

    def state_dict(self):
        self.saved += 1
        return {"saved": self.saved}

    def load_state_dict(self, state):
        self.saved = state["saved"]


def checkpointer(folder, classes=("car", "dog"), width=3):
    return CampusCheckpointer(torch.nn.Linear(width, 2), str(folder), classes=classes, trainer=Counter())


def save(folder, *names, **kwargs):
    for name in names:
        checkpointer(folder, **kwargs).save(name, iteration=7)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_without_running_code(tmp_path):
    data = {
        "model": {"a": torch.arange(3.0)},
        "n": np.float64(0.1),
        "b": np.bool_(True),
        "i": 2,
        "s": "x",
        "none": None,
    }
    data["deep"] = {0: [np.arange(3), (1.5, np.int64(4))]}
    write_checkpoint(tmp_path / "a.pth", data)
    found = read_checkpoint(str(tmp_path / "a.pth"))
    assert (found["n"], found["b"], found["i"], found["s"], found["none"]) == (0.1, True, 2, "x", None)
    assert found["deep"][0][0].tolist() == [0, 1, 2] and found["deep"][0][1] == (1.5, 4)
    with pytest.raises(TypeError, match="checkpoint: hooks.Best is a object, which cannot be read back"):
        write_checkpoint(tmp_path / "b.pth", {"model": {}, "hooks": {"Best": object()}})
    assert names(tmp_path) == ["a.pth"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_earlier_checkpoints(number, tmp_path, monkeypatch):
    """Torch turns what the file says into an error of its own; the disk is full half way."""
    save(tmp_path, "model_0000002")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    written = torch.save

    class Full:
        def __init__(self, f):
            self.f = f

        def write(self, data):
            if self.f.tell() > 500:
                raise OSError(number, "No room")
            return self.f.write(data)

    monkeypatch.setattr(torch, "save", lambda data, f: written(data, Full(f)))
    with pytest.raises(OutputError, match=r"model_0000005.pth: cannot be written \(No room\); make room, and --resume"):
        save(tmp_path, "model_0000005")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_tag_comes_after_the_checkpoint(tmp_path, monkeypatch):
    save(tmp_path, "model_0000002")

    def stop(data, f):
        f.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, "model_0000005")
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000002.pth"
    assert names(tmp_path) == ["last_checkpoint", "model_0000002.pth"]


def test_weights_alone_are_not_gone_on_from(tmp_path):
    save(tmp_path, "model_0000002")
    checkpointer(tmp_path).save_weights("model_best", iteration=3, value=0.5)
    best = read_checkpoint(str(tmp_path / "model_best.pth"))
    assert set(best) == {"model", "classes", "iteration", "value"}
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000002.pth"
    assert [path.name for path in checkpoint_files(tmp_path)] == ["model_0000002.pth"]
    (tmp_path / "last_checkpoint").write_text("model_best.pth\n")
    found = latest_checkpoint(tmp_path, ["car", "dog"])
    assert found.path.name == "model_0000002.pth" and "holds weights alone" in found.skipped[0]


@pytest.mark.parametrize(
    "tag, expected",
    [
        ("model_0000008.pth", [8, 5, 2, "final"]),
        ("model_0000005.pth\n", [5, 2, "final"]),  # written by hand: the later ones are not meant
        ("model_final.pth", ["final", 8, 5, 2]),
        ("model_0000011.pth", ["11", 8, 5, 2, "final"]),  # gone
        ("../model_final.pth", ["final", 8, 5, 2]),  # of this folder in any case
        (None, [8, 5, 2, "final"]),  # killed before the first tag
    ],
)
def test_which_checkpoint_comes_first(tag, expected, tmp_path):
    for name in ("model_0000002", "model_0000005", "model_0000008", "model_final", "model_best", "model_x"):
        (tmp_path / f"{name}.pth").touch()
    if tag:
        (tmp_path / "last_checkpoint").write_text(tag)
    files = [f"model_{number:07d}.pth" if isinstance(number, int) else number for number in expected]
    files = [{"final": "model_final.pth", "11": "model_0000011.pth"}.get(name, name) for name in files]
    assert [path.name for path in checkpoint_files(tmp_path)] == files


def damaged(path):
    content = path.read_bytes()
    changed = bytearray(content)
    changed[content.index(read_checkpoint(str(path))["model"]["weight"].numpy().tobytes())] ^= 1
    cut = {"cut": content[: len(content) // 2], "cut at the end": content[:-1]}
    return {**cut, "changed": bytes(changed), "empty": b"", "gone": None}


@pytest.mark.parametrize("damage", ["cut", "cut at the end", "changed", "empty", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage, tmp_path, caplog):
    save(tmp_path, "model_0000002", "model_0000005")
    last = tmp_path / "model_0000005.pth"
    content = damaged(last)[damage]
    last.unlink() if content is None else last.write_bytes(content)
    with caplog.at_level("WARNING"):
        checkpointer(tmp_path).resume_or_load("", resume=True)
    reason = "is gone" if damage == "gone" else "is cut or damaged"
    assert f"{last}: {reason}; falling back to model_0000002.pth" in caplog.text
    first = tmp_path / "model_0000002.pth"
    first.write_bytes(first.read_bytes()[:99])
    with pytest.raises(WeightsError, match=f"{last}: {reason}; {first}: is cut or damaged; no checkpoint is left"):
        checkpointer(tmp_path).resume_or_load("", resume=True)


def test_resume_restores_everything_or_refuses(tmp_path):
    own = checkpointer(tmp_path)
    own.save("model_0000002", iteration=2)
    other = checkpointer(tmp_path)
    assert other.has_checkpoint()
    assert other.resume_or_load("", resume=True)["iteration"] == 2
    assert torch.equal(other.model.weight, own.model.weight)
    assert other.checkpointables["trainer"].saved == 1
    with pytest.raises(WeightsError, match=r"model_0000002.pth: trained for the classes \['car', 'dog'\], this run"):
        checkpointer(tmp_path, classes=("dog", "car")).resume_or_load("", resume=True)
    with pytest.raises(WeightsError, match="weights of another model"):
        checkpointer(tmp_path, width=4).resume_or_load("", resume=True)
    assert latest_checkpoint(tmp_path / "absent", []) is None
    assert not checkpointer(tmp_path / "absent").has_checkpoint()


def test_old_checkpoints_make_room(tmp_path):
    save(tmp_path, *(f"model_{number:07d}" for number in (99, 199, 299, 399)), "model_final")
    checkpointer(tmp_path).save_weights("model_best")
    remove_old_checkpoints(tmp_path, 2)
    others = ["last_checkpoint", "model_0000299.pth", "model_0000399.pth", "model_best.pth", "model_final.pth"]
    assert names(tmp_path) == others
    (tmp_path / "last_checkpoint").write_text("model_0000299.pth")
    remove_old_checkpoints(tmp_path, 1)
    assert names(tmp_path) == others  # the one to go on from stays


@pytest.mark.parametrize("tag, kept", [(b"model_0000099.pth\n", ["99", "199"]), (b"\xff\xfe", ["199"])])
def test_a_tag_that_another_hand_wrote(tag, kept, tmp_path):
    """With a line's end it names its checkpoint; damaged it names none."""
    save(tmp_path, "model_0000099", "model_0000199")
    (tmp_path / "last_checkpoint").write_bytes(tag)
    remove_old_checkpoints(tmp_path, 1)
    assert [path.stem for path in sorted(tmp_path.glob("*.pth"))] == [f"model_{int(each):07d}" for each in kept]
