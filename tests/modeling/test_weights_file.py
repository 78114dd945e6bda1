import contextlib
import functools
import os
import pickle
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from detectron2.utils.file_io import Detectron2Handler
from fake_bucket import new_command

from campus_seg.errors import StorageError, WeightsError
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
    monkeypatch.setattr(Detectron2Handler, "S3_DETECTRON2_PREFIX", "http://127.0.0.1:9/")  # the discard port
    address = "http://127.0.0.1:9/zoo/model_final_f10217.pkl"
    with pytest.raises(WeightsError, match=f"download {address} .* MODEL.WEIGHTS path/to/model_final_f10217.pkl"):
        read_checkpoint("detectron2://zoo/model_final_f10217.pkl")
    with pytest.raises(WeightsError, match="absent.pth"):
        read_checkpoint(str(tmp_path / "absent.pth"))


def test_numpy_2_pickles_are_read(tmp_path):
    content = pickle.dumps({"model": {"a": np.arange(3.0)}, "__author__": "x"}, protocol=2)
    renamed = content.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    path = tmp_path / "new.pkl"
    path.write_bytes(renamed)
    np.testing.assert_array_equal(read_checkpoint(str(path))["model"]["a"], [0, 1, 2])


def zoo_pickle(path):
    """A file of the model zoo's form; returns its array."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"model": {"a": array}, "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return array


@contextlib.contextmanager
def serving(folder):
    """Serves a folder over HTTP; gives its address."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web(monkeypatch, tmp_path):
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    new_command()
    yield
    new_command()


def test_weights_behind_http(web, tmp_path):
    array = zoo_pickle(tmp_path / "served/zoo/model.pkl")
    with serving(tmp_path / "served") as address:
        np.testing.assert_array_equal(read_checkpoint(f"{address}/zoo/model.pkl")["model"]["a"], array)
        with pytest.raises(StorageError, match=r"/zoo/absent.pkl: there is no such file.*; or download "):
            read_checkpoint(f"{address}/zoo/absent.pkl")
    np.testing.assert_array_equal(read_checkpoint(f"{address}/zoo/model.pkl")["model"]["a"], array)  # kept


def test_weights_of_two_servers_and_changed_ones_are_told_apart(web, tmp_path):
    for name, value in (("one", 1.0), ("two", 2.0)):
        (tmp_path / name).mkdir()
        torch.save({"model": {"a": torch.full((2,), value)}}, tmp_path / name / "model.pth")

    def value(address):
        return read_checkpoint(f"{address}/model.pth")["model"]["a"][0]

    with serving(tmp_path / "one") as first, serving(tmp_path / "two") as second:
        assert (value(first), value(second)) == (1, 2)
        torch.save({"model": {"a": torch.full((2,), 3.0)}}, tmp_path / "one" / "model.pth")
        os.utime(tmp_path / "one" / "model.pth", (1, 1))  # seconds are all that a web server tells
        new_command()
        assert value(first) == 3


def test_zoo_weights_that_were_fetched_before_need_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    name = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl"
    array = zoo_pickle(tmp_path / "detectron2" / name)
    found = read_checkpoint(f"detectron2://{name}")
    np.testing.assert_array_equal(found["model"]["a"], array)
    assert found["__author__"] == "Detectron2 Model Zoo"


def test_weights_at_a_file_address(tmp_path):
    path = tmp_path / "my weights, 100%.pkl"
    array = zoo_pickle(path)
    assert "%20" in path.as_uri()
    np.testing.assert_array_equal(read_checkpoint(path.as_uri())["model"]["a"], array)
    with pytest.raises(WeightsError, match="file:///absent.pth: the weights cannot be fetched .* set MODEL.WEIGHTS"):
        read_checkpoint("file:///absent.pth")


def test_addresses_that_nothing_fetches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        WeightsError, match=r"addresses of gopher:// are not fetched\); download gopher://host/model.pth where"
    ):
        read_checkpoint("gopher://host/model.pth")


def test_weights_in_a_bucket(bucket, tmp_path):
    array = zoo_pickle(tmp_path / "model.pkl")
    bucket.objects["campus/model 1.pkl"] = (tmp_path / "model.pkl").read_bytes()
    np.testing.assert_array_equal(read_checkpoint("s3://campus/model 1.pkl")["model"]["a"], array)
    with pytest.raises(StorageError, match="s3://campus/absent.pth: there is no such file"):
        read_checkpoint("s3://campus/absent.pth")
