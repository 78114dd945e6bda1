import os
import time

import pytest

from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage_mirror import Mirror, mirrored


def names(bucket):
    return sorted(key.removeprefix("b/run/") for key in bucket.objects)


def is_picture(name):
    return name.startswith("overlay/")


def test_a_path_is_worked_in_as_it_is(tmp_path):
    with mirrored(str(tmp_path)) as mirror:
        assert mirror.folder == tmp_path and mirror.shown == str(tmp_path)
        (tmp_path / "a").touch()
        mirror.send()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_made_changed_and_removed_is_so_behind_the_uri(bucket):
    bucket.objects = {"b/run/old": b"old", "b/run/x/gone": b"gone"}
    with mirrored("s3://b/run") as mirror:
        assert (mirror.folder / "old").read_bytes() == b"old" and mirror.folder.name == "run"
        (mirror.folder / "old").write_bytes(b"changed")
        (mirror.folder / "x" / "gone").unlink()
        (mirror.folder / "new").mkdir()
        (mirror.folder / "new" / "a.txt").write_bytes(b"a")
        (mirror.folder / ".1-2.part.txt").write_bytes(b"half")
        (mirror.folder / "a.lock").touch()
    assert bucket.objects == {"b/run/old": b"changed", "b/run/new/a.txt": b"a"}
    assert not mirror.folder.exists()


def test_only_what_has_changed_is_sent(bucket):
    with mirrored("s3://b/run") as mirror:
        puts = bucket.calls["put"]
        (mirror.folder / "a").write_bytes(b"a")
        mirror.send()
        mirror.send()
        Mirror(mirror.folder, mirror.uri).send()  # another process of the command
        assert bucket.calls["put"] == puts + 1
        (mirror.folder / "a").write_bytes(b"more")
        mirror.send()
        assert bucket.calls["put"] == puts + 2


def test_an_error_in_the_block_does_not_keep_results_from_being_sent(bucket):
    with pytest.raises(KeyboardInterrupt), mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        raise KeyboardInterrupt
    assert names(bucket) == ["a"]


def test_a_checkpoint_is_there_before_what_names_it(bucket, monkeypatch):
    order = []
    put = bucket.put_file
    monkeypatch.setattr(
        bucket, "put_file", lambda self, lpath, rpath, **kwargs: (order.append(rpath), put(self, lpath, rpath))
    )
    with mirrored("s3://b/run") as mirror:
        order.clear()
        for name in ("last_checkpoint", "model_0000001.pth", "metrics.json"):
            (mirror.folder / name).write_bytes(name.encode())
    assert order == ["b/run/metrics.json", "b/run/model_0000001.pth", "b/run/last_checkpoint"]


def test_a_record_is_sent_as_it_was_before_pictures_were_looked_for(bucket, monkeypatch):
    with mirrored("s3://b/run") as mirror:
        journal = mirror.folder / ".journal" / "0.jsonl"
        journal.parent.mkdir()
        journal.write_bytes(b"first\n")
        put = bucket.put_file

        def one_more(self, lpath, rpath, **kwargs):
            with journal.open("ab") as file:
                file.write(b"second\n")  # of a picture that was made meanwhile
            put(self, lpath, rpath)

        (mirror.folder / "a.png").write_bytes(b"a")
        with monkeypatch.context() as patch:
            patch.setattr(bucket, "put_file", one_more)
            mirror.send()
        assert bucket.objects["b/run/.journal/0.jsonl"] == b"first\n"
        mirror.send()
        assert bucket.objects["b/run/.journal/0.jsonl"].startswith(b"first\nsecond\n")


def test_pictures_stay_behind_the_uri_and_their_names_here(bucket):
    bucket.objects = {"b/run/overlay/a.jpg": b"picture", "b/run/list.json": b"[]"}
    with mirrored("s3://b/run", hollow=is_picture) as mirror:
        assert (mirror.folder / "overlay" / "a.jpg").stat().st_size == 0
        assert (mirror.folder / "list.json").read_bytes() == b"[]"
        new = mirror.folder / "overlay" / "b.jpg"
        new.write_bytes(b"new")
        mirror.send()
        assert new.read_bytes() == b"new"  # a thumbnail may be made of it
        mirror.send()
        os.utime(new, (1, 1))
        mirror.send()
        mirror.send()
        assert new.stat().st_size == 0
    assert bucket.objects["b/run/overlay/a.jpg"] == b"picture"
    assert bucket.objects["b/run/overlay/b.jpg"] == b"new"


def test_what_is_left_there_is_neither_fetched_nor_removed(bucket):
    bucket.objects = {"b/run/model_0000001.pth": b"large", "b/run/a": b"a"}
    with mirrored("s3://b/run", leave=lambda name: name.endswith(".pth")) as mirror:
        assert [path.name for path in mirror.folder.iterdir()] == ["a"]
    assert names(bucket) == ["a", "model_0000001.pth"]


def test_what_must_not_be_there_is_told_before_anything_is_fetched(bucket):
    bucket.objects = {"b/run/last_checkpoint": b"x"}
    with (
        pytest.raises(ConfigError, match="s3://b/run: holds a trained run already; go on with --resume"),
        mirrored("s3://b/run", refuse=lambda name: name == "last_checkpoint"),
    ):
        pass
    assert bucket.calls["get"] == 0


def test_a_place_that_cannot_be_written_to_is_told_before_the_block(bucket):
    bucket.faults = [PermissionError("AccessDenied")]
    with pytest.raises(StorageError, match="^s3://b/run: access is refused"), mirrored("s3://b/run"):
        pytest.fail("the work began")
    with mirrored("s3://b/run", writes=False):
        pass
    assert bucket.calls["put"] == 1 and not bucket.objects


def test_two_commands_on_one_machine_do_not_work_in_one_place(bucket):
    with (
        mirrored("s3://b/run"),
        pytest.raises(ConfigError, match="s3://b/run: another command on this machine works there"),
        mirrored("s3://b/run"),
    ):
        pass


def test_what_could_not_be_sent_is_kept_and_named(bucket):
    told = "access is refused.*; what has not arrived lies in (.*): copy"
    with pytest.raises(StorageError, match=told) as raised, mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        bucket.faults = [PermissionError("AccessDenied")]
    assert str(mirror.folder) in str(raised.value) and (mirror.folder / "a").read_bytes() == b"a"


def test_a_folder_that_fills_is_sent_meanwhile(bucket):
    with mirrored("s3://b/run") as mirror:
        with mirror.sending(every=0.01):
            (mirror.folder / "a").write_bytes(b"a")
            for _ in range(500):
                if "b/run/a" in bucket.objects:
                    break
                time.sleep(0.01)
        assert bucket.objects == {"b/run/a": b"a"}
