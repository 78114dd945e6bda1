import os
import pickle

import numpy as np
import pytest
import torch

from campus_seg.errors import WeightsError
from campus_seg.modeling.weights_file import read_checkpoint


class Attack:
    """A pickle that would make a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_no_code_in_a_weights_file_is_run(kind, tmp_path):
    path = tmp_path / ("evil.pkl" if kind == "pickle" else "evil.pth")
    content = {"model": {"a": np.zeros(3)}, "x": Attack(tmp_path / "pwned"), "__author__": "x"}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match="not a weights file that can be read safely"):
        read_checkpoint(str(path))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"these are words", "neither a torch checkpoint nor a pickle"),
        (b"", "neither a torch checkpoint nor a pickle"),
        (b"PK\x03\x04 cut", "not a weights file that can be read safely"),
        (pickle.dumps({"model": {"a": np.zeros(9)}})[:-20], "not a weights file that can be read safely"),
        (pickle.dumps([1, 2]), "holds a list and no weights"),
        (pickle.dumps({"model": {}}), "holds no weights"),
        (pickle.dumps({"model": {"a": "b"}}), "holds no weights"),
    ],
)
def test_files_that_are_no_weights(content, message, tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as error:
        read_checkpoint(str(path))
    assert str(path) in str(error.value) and "MODEL.WEIGHTS" in str(error.value)


def test_weights_that_cannot_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    address = "http://127.0.0.1:9/zoo/model_final_f10217.pkl"  # nobody listens on the discard port
    with pytest.raises(WeightsError, match=f"download {address} .* MODEL.WEIGHTS path/to/model_final_f10217.pkl"):
        read_checkpoint(address)
    with pytest.raises(WeightsError, match="absent.pth"):
        read_checkpoint(str(tmp_path / "absent.pth"))


def test_numpy_2_pickles_are_read(tmp_path):
    content = pickle.dumps({"model": {"a": np.arange(3.0)}, "__author__": "x"}, protocol=2)
    renamed = content.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    path = tmp_path / "new.pkl"
    path.write_bytes(renamed)
    np.testing.assert_array_equal(read_checkpoint(str(path))["model"]["a"], [0, 1, 2])
