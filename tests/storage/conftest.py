"""Servers that run for as long as these tests do (make test-storage); each test has an empty bucket and cache."""

from contextlib import ExitStack

import numpy as np
import pytest
import storage_servers
import torch
from drawn import draw_scene, encode
from fake_bucket import new_command
from faulty_proxy import Faults, proxy
from s3fs import S3FileSystem
from sshfs import SSHFileSystem
from storage_runs import whole_run


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    with storage_servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run and what its model masks, all of it on this disk; see `whole_run`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as of those that are compared with it
    try:
        return whole_run(tmp_path_factory.mktemp("whole"))
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """What one test has connected to and kept is nothing of another's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for kind in (S3FileSystem, SSHFileSystem):
        kind.clear_instance_cache()
    new_command()
    yield
    new_command()


@pytest.fixture
def bucket(s3_server, monkeypatch):
    """An S3 server that this process uses, with an empty bucket."""
    s3_server.set(monkeypatch)
    storage_servers.empty(s3_server)
    return s3_server


@pytest.fixture
def sftp_server(tmp_path_factory, monkeypatch):
    """An SFTP server that this process uses."""
    with storage_servers.sftp(tmp_path_factory.mktemp("sftp")) as server:
        server.set(monkeypatch)
        yield server


@pytest.fixture
def through(bucket, tmp_path, monkeypatch):
    """Puts a proxy between this process and the bucket: called with `Faults`, returns them."""
    with ExitStack() as stack:

        def start(faults: Faults) -> Faults:
            stack.enter_context(proxy(bucket.address, faults))
            storage_servers.s3_at(faults.address, tmp_path).set(monkeypatch)
            S3FileSystem.clear_instance_cache()
            return faults

        yield start


@pytest.fixture
def impatient(monkeypatch):
    """A stall takes as long as the user's patience."""
    monkeypatch.setenv("CAMPUS_STORAGE_TIMEOUT", "2")


@pytest.fixture
def photos(tmp_path):
    """A walk's folder with 12 drawn photos, two of them in a folder below."""
    folder = tmp_path / "walk"
    for i in range(12):
        path = folder / ("more" if i >= 10 else "") / f"IMG {i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw_scene(np.random.default_rng(i), 96, 64)[0], orientation=6 if i == 3 else 1))
    return folder
