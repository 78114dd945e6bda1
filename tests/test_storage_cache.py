import os
import threading

import pytest
from fake_bucket import new_command

from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage_cache import LIMIT_KEY, FileCache, cache, local_file, local_path


def put(bucket, *names, size=1000):
    for name in names:
        bucket.objects[f"b/{name}"] = name.encode() * (size // len(name))


def kept(cache):
    return sum(path.stat().st_size for path in cache.folder.glob("??/*"))


def test_a_path_is_taken_as_it_is(tmp_path):
    with local_file(tmp_path / "a.jpg") as path:
        assert path == tmp_path / "a.jpg"
    assert local_path(str(tmp_path)) == tmp_path


def test_a_file_is_fetched_once_in_a_command_and_asked_about_in_the_next(bucket):
    put(bucket, "a.jpg")
    for _ in range(3):
        with local_file("s3://b/a.jpg") as path:
            assert path.read_bytes() == bucket.objects["b/a.jpg"] and path.suffix == ".jpg"
    assert bucket.calls["get"] == bucket.calls["info"] == 1
    new_command()
    with local_file("s3://b/a.jpg"):
        pass
    assert (bucket.calls["get"], bucket.calls["info"]) == (1, 2)


def test_a_file_that_has_changed_takes_the_place_of_the_earlier_one(bucket):
    put(bucket, "a.jpg")
    with local_file("s3://b/a.jpg") as first:
        pass
    new_command()
    bucket.objects["b/a.jpg"] = b"another"
    with local_file("s3://b/a.jpg") as path:
        assert path.read_bytes() == b"another" and not first.exists()
    assert kept(cache()) == len(b"another")


def test_the_limit_holds_and_what_was_not_used_for_longest_goes(bucket, tmp_path):
    names = [f"{number}.jpg" for number in range(10)]
    put(bucket, *names)
    small = FileCache(tmp_path / "small", limit=5000, began=0)
    for name in names:
        with small.using(f"s3://b/{name}"):
            pass
        with small.using("s3://b/0.jpg"):  # is used all the time
            pass
        assert kept(small) <= 5000
    assert bucket.calls["get"] == 10
    with small.using("s3://b/0.jpg"), small.using("s3://b/9.jpg"):
        pass
    assert bucket.calls["get"] == 10
    with small.using("s3://b/1.jpg"):
        pass
    assert bucket.calls["get"] == 11


def test_a_file_in_use_stays_whatever_the_limit(bucket, tmp_path):
    put(bucket, "a.jpg", "b.jpg", "c.jpg")
    tiny = FileCache(tmp_path / "tiny", limit=10, began=0)
    with tiny.using("s3://b/a.jpg") as first:
        for name in ("b.jpg", "c.jpg"):
            with tiny.using(f"s3://b/{name}") as path:
                assert path.is_file()
        assert first.read_bytes() == bucket.objects["b/a.jpg"]
    tiny.give_up()
    assert kept(tiny) == 0


def test_of_many_that_want_a_file_at_once_one_fetches_it(bucket, tmp_path):
    put(bucket, "a.jpg")
    shared, contents = tmp_path / "shared", []

    def work():
        with FileCache(shared, limit=1e6, began=0).using("s3://b/a.jpg") as path:
            contents.append(path.read_bytes())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents == [bucket.objects["b/a.jpg"]] * 8 and bucket.calls["get"] == 1


def test_what_cannot_be_read_leaves_nothing(bucket):
    put(bucket, "a.jpg")
    bucket.faults = [None, PermissionError("AccessDenied")]
    with pytest.raises(StorageError, match="s3://b/a.jpg: access is refused"), local_file("s3://b/a.jpg"):
        pass
    assert kept(cache()) == 0
    put(bucket, "x/b.jpg")
    with pytest.raises(StorageError, match="s3://b/x: is a folder"), local_file("s3://b/x"):
        pass


def test_processes_of_a_command_agree_on_when_it_began(bucket):
    began = cache()._began
    cache.cache_clear()
    assert cache()._began == began == float(os.environ["CAMPUS_STORAGE_BEGAN"])


def test_a_limit_that_is_no_number_is_one_line(bucket, monkeypatch):
    monkeypatch.setenv(LIMIT_KEY, "plenty")
    with pytest.raises(ConfigError, match="CAMPUS_CACHE_GB plenty: is no number of gigabytes"):
        cache()


def test_no_place_for_a_cache_is_one_line(bucket, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="no place for what is fetched .*; name one with XDG_CACHE_HOME"):
        cache()


def test_what_was_written_is_asked_about_again(bucket):
    put(bucket, "a.jpg")
    with cache().using("s3://b/a.jpg") as path:
        bucket.objects["b/a.jpg"] = b"new"
        cache().forget("s3://b/a.jpg")
        assert path.exists()  # somebody uses it
        with cache().using("s3://b/a.jpg") as new:
            assert new.read_bytes() == b"new"
