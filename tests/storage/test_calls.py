"""Single calls with real servers: what is replaced, how long a silent one is waited for, and what is drawn."""

import random
import socket
import time

import pytest
from faulty_proxy import Faults
from s3fs import S3FileSystem
from storage_servers import BUCKET, s3_at

from campus_seg import storage, storage_calls
from campus_seg.errors import StorageError
from campus_seg.storage_objects import exists, listing, read_bytes, send, stat, write_bytes

pytestmark = pytest.mark.storage


@pytest.fixture(params=["s3", "sftp"])
def place(request):
    """The URI of a folder of each kind of server that can be written to."""
    if request.param == "s3":
        request.getfixturevalue("bucket")
        return f"s3://{BUCKET}/walk"
    return f"{request.getfixturevalue('sftp_server').uri}/walk"


def test_a_new_file_replaces_no_other(place, tmp_path, monkeypatch):
    (tmp_path / "mine").write_bytes(b"mine")
    assert send(tmp_path / "mine", f"{place}/a", new=True).size == 4
    send(tmp_path / "mine", f"{place}/a", new=True)
    write_bytes(b"them", f"{place}/a")
    with pytest.raises(StorageError, match="another file is there already") as raised:
        send(tmp_path / "mine", f"{place}/a", new=True)
    assert raised.value.exists
    # Another phone's comes between the look and the writing: the server itself does not replace it.
    fs, _ = storage.filesystem(place)
    look, looked = fs.exists, []
    monkeypatch.setattr(fs, "exists", lambda path: bool(looked) and look(path) or bool(looked.append(path)))
    with pytest.raises(FileExistsError):
        storage_calls.put(tmp_path / "mine", f"{place}/a", new=True)
    monkeypatch.undo()
    assert read_bytes(f"{place}/a") == b"them" and list(listing(place)) == ["a"]


def test_a_server_that_never_answers_is_told_when_patience_ends(bucket, tmp_path, monkeypatch):
    assert not exists(f"s3://{BUCKET}/nothing")  # what a first call loads is no part of what is measured
    with socket.create_server(("127.0.0.1", 0)) as silent:
        s3_at(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path).set(monkeypatch)
        S3FileSystem.clear_instance_cache()
        monkeypatch.setenv(storage.TIMEOUT_KEY, "0.5")
        monkeypatch.setattr(storage, "PATIENCE", 0.5 * storage.PATIENCE / storage.TIMEOUT)
        began = time.monotonic()
        with pytest.raises(StorageError, match="the server does not answer"):
            stat(f"s3://{BUCKET}/a.jpg")
        # What does not shrink with it: the waits between attempts, and making a client. Attempts at three places, each
        # times the others, would take 8 times as long.
        assert time.monotonic() - began < 2.5 * storage.PATIENCE


def test_faults_draw_nothing_that_a_training_would_have_drawn(through, bucket):
    write_bytes(b"x" * 1000, f"s3://{BUCKET}/a.jpg")
    faults = through(Faults(share=0.4, kinds=("500", "503")))
    before = random.getstate()
    for _ in range(10):
        assert len(read_bytes(f"s3://{BUCKET}/a.jpg")) == 1000
    assert faults.made["500"] and faults.made["503"]
    assert random.getstate() == before


def test_a_connection_that_was_cut_is_made_anew(sftp_server):
    write_bytes(b"x", f"{sftp_server.uri}/a")
    fs, _ = storage.filesystem(sftp_server.uri)
    fs.loop.call_soon_threadsafe(fs.client.abort)
    time.sleep(0.2)
    assert read_bytes(f"{sftp_server.uri}/a") == b"x"
