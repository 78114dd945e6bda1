import gc
import os
from pathlib import Path

import pytest
from detectron2.utils.file_io import PathManager

from campus_seg.errors import StorageError
from campus_seg.path_handler import register_storage


@pytest.fixture(autouse=True)
def registered():
    register_storage()
    register_storage()


def test_detectron2s_path_manager_reads_uris(bucket):
    bucket.objects = {"b/x/a.txt": b"text", "b/x/y/b.txt": b""}
    with PathManager.open("s3://b/x/a.txt") as file:
        assert file.read() == "text"
    assert Path(PathManager.get_local_path("s3://b/x/a.txt")).read_bytes() == b"text"
    assert PathManager.isfile("s3://b/x/a.txt") and not PathManager.isdir("s3://b/x/a.txt")
    assert PathManager.isdir("s3://b/x") and not PathManager.isfile("s3://b/x")
    assert PathManager.exists("s3://b/x") and not PathManager.exists("s3://b/z")
    assert PathManager.ls("s3://b/x") == ["a.txt", "y"]
    with pytest.raises(StorageError, match="s3://b/x/c.txt: there is no such file"):
        PathManager.open("s3://b/x/c.txt")


def test_it_writes_them_whole_or_not_at_all(bucket, tmp_path):
    PathManager.mkdirs("s3://b/x")
    with PathManager.open("s3://b/x/a.txt", "w") as file:
        file.write("Straße")
        assert not bucket.objects
    assert bucket.objects == {"b/x/a.txt": "Straße".encode()}
    with pytest.raises(KeyError), PathManager.open("s3://b/x/b.bin", "wb") as file:
        file.write(b"half")
        raise KeyError
    assert "b/x/b.bin" not in bucket.objects
    with pytest.raises(ValueError, match="cannot be opened with mode 'a'"):
        PathManager.open("s3://b/x/a.txt", "a")
    (tmp_path / "c").write_bytes(b"c")
    assert PathManager.copy_from_local(str(tmp_path / "c"), "s3://b/x/c")
    PathManager.rm("s3://b/x/a.txt")
    assert bucket.objects == {"b/x/c": b"c"}


def test_what_an_error_ends_is_not_sent(bucket):
    bucket.objects["b/a.txt"] = b"before"
    with pytest.raises(KeyError), PathManager.open("s3://b/a.txt", "w") as file:
        file.write("half")
        raise KeyError
    assert bucket.objects == {"b/a.txt": b"before"}


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_what_nobody_closes_is_not_sent(bucket, mode):
    file = PathManager.open("s3://b/a.txt", mode)
    file.write("half" if mode == "w" else b"half")
    del file
    gc.collect()
    assert bucket.objects == {}


def test_what_cannot_be_written_here_is_not_sent(bucket):
    file = PathManager.open("s3://b/a.bin", "wb")
    os.close(file.fileno())  # as a full disk, every write fails
    file.write(b"x")
    with pytest.raises(OSError):
        file.close()
    assert not bucket.objects


def test_what_was_written_or_removed_is_read_anew(bucket):
    for content in ("one", "two"):
        with PathManager.open("s3://b/a.txt", "w") as file:
            file.write(content)
        with PathManager.open("s3://b/a.txt") as file:
            assert file.read() == content
    PathManager.rm("s3://b/a.txt")
    with pytest.raises(StorageError, match="s3://b/a.txt: there is no such file"):
        PathManager.open("s3://b/a.txt")


def test_a_new_file_takes_no_others_place(bucket):
    with PathManager.open("s3://b/a.txt", "x") as file:
        file.write("mine")
    with pytest.raises(StorageError, match="s3://b/a.txt: is there already"):
        PathManager.open("s3://b/a.txt", "x")
    file = PathManager.open("s3://b/b.txt", "xb")
    bucket.objects["b/b.txt"] = b"theirs"
    with pytest.raises(StorageError, match="s3://b/b.txt: another file is there already"):
        file.close()
    assert bucket.objects == {"b/a.txt": b"mine", "b/b.txt": b"theirs"}
