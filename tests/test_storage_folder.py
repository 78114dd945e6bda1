import shutil

import pytest

from campus_seg.errors import ConfigError, OutputError, StorageError
from campus_seg.storage_folder import mirrored


def names(bucket):
    return sorted(key.removeprefix("b/run/") for key in bucket.objects)


def is_picture(name):
    return name.startswith("overlay/")


class Killed(BaseException):
    """Ends a command as a kill does: nothing more is sent or removed."""


def killed(monkeypatch, work, **options):
    """A command that is killed after some work in the folder, which is returned."""
    with monkeypatch.context() as patch, pytest.raises(Killed), mirrored("s3://b/run", **options) as mirror:
        work(mirror)
        patch.setattr("campus_seg.storage_folder._send_last", lambda mirror: (_ for _ in ()).throw(Killed()))
    return mirror.folder


def test_a_path_is_worked_in_as_it_is(tmp_path):
    with mirrored(str(tmp_path)) as mirror:
        assert mirror.folder == tmp_path and mirror.shown == str(tmp_path)
        (tmp_path / "a").touch()
        mirror.send()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_error_in_the_block_does_not_keep_results_from_being_sent(bucket):
    with pytest.raises(KeyboardInterrupt), mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        raise KeyboardInterrupt
    assert names(bucket) == ["a"]


def test_what_is_left_there_is_neither_fetched_nor_removed(bucket):
    bucket.objects = {"b/run/model_0000001.pth": b"large", "b/run/a": b"a"}
    with mirrored("s3://b/run", wanted=lambda name: not name.endswith(".pth")) as mirror:
        assert [path.name for path in mirror.folder.iterdir()] == ["a"]
    assert names(bucket) == ["a", "model_0000001.pth"]


def test_what_must_not_be_there_is_told_before_anything_is_fetched(bucket):
    bucket.objects = {"b/run/last_checkpoint": b"x"}

    def check(uri, names):
        if "last_checkpoint" in names:
            raise ConfigError(f"{uri}: has begun")

    with pytest.raises(ConfigError, match="s3://b/run: has begun"), mirrored("s3://b/run", check=check):
        pytest.fail("the work began")
    assert bucket.calls["get"] == 0


def test_a_place_that_cannot_be_written_to_is_told_before_the_block(bucket):
    bucket.faults = [PermissionError("AccessDenied")]
    with pytest.raises(StorageError, match="s3://b/run/.*access is refused"), mirrored("s3://b/run"):
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


def test_what_could_not_be_sent_is_kept_named_and_sent_by_the_next_command(bucket):
    told = "access is refused.*; what has not arrived lies in (.*), and the next command there sends it first"
    with pytest.raises(StorageError, match=told) as raised, mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        bucket.faults = [PermissionError("AccessDenied")]
    assert str(mirror.folder) in str(raised.value) and (mirror.folder / "a").read_bytes() == b"a"
    with mirrored("s3://b/run") as mirror:
        assert names(bucket) == ["a"] and (mirror.folder / "a").read_bytes() == b"a"
    assert not mirror.folder.exists()


def test_what_a_killed_command_has_made_is_sent_by_the_next_one(bucket, monkeypatch):
    bucket.objects = {"b/run/log": b"1", "b/run/old": b"old"}

    def work(mirror):
        with (mirror.folder / "log").open("ab") as log:
            log.write(b"2")
            log.flush()
            mirror.send()
            log.write(b"3")
        (mirror.folder / "new").write_bytes(b"new")
        (mirror.folder / "old").unlink()
        (mirror.folder / ".1-2.part.txt").write_bytes(b"half")

    killed(monkeypatch, work)
    assert bucket.objects == {"b/run/log": b"12", "b/run/old": b"old"}

    def check(uri, names):
        assert sorted(names) == ["log", "new"]  # what was left counts as there

    with mirrored("s3://b/run", check=check) as mirror:
        assert sorted(path.name for path in mirror.folder.iterdir()) == ["log", "new"]
    assert bucket.objects == {"b/run/log": b"123", "b/run/new": b"new"}


def test_a_command_that_only_reads_leaves_what_is_still_to_be_sent(bucket, monkeypatch):
    folder = killed(monkeypatch, lambda mirror: (mirror.folder / "a").write_bytes(b"a"))
    with mirrored("s3://b/run", writes=False) as mirror:
        assert not list(mirror.folder.iterdir())
    assert (folder / "a").read_bytes() == b"a" and not bucket.objects


@pytest.mark.parametrize("there", [{"b/run/log": b"1 and much more"}, {"b/run/log": b""}, {}])
def test_what_has_changed_there_since_a_kill_is_not_overwritten(bucket, monkeypatch, there):
    bucket.objects = {"b/run/log": b"1"}
    folder = killed(monkeypatch, lambda mirror: (mirror.folder / "log").write_bytes(b"12"))
    bucket.objects = dict(there)
    told = "s3://b/run: has changed since .* what it made lies in (.*): copy what is wanted, remove that folder"
    with pytest.raises(ConfigError, match=told) as raised, mirrored("s3://b/run"):
        pytest.fail("the work began")
    assert str(folder) in str(raised.value) and (folder / "log").read_bytes() == b"12" and bucket.objects == there
    shutil.rmtree(folder)
    with mirrored("s3://b/run"):
        pass
    assert bucket.objects == there


def test_a_kill_while_pictures_are_emptied_costs_none(bucket, monkeypatch):
    bucket.objects = {"b/run/overlay/a.jpg": b"a"}

    def work(mirror):
        (mirror.folder / "overlay" / "b.jpg").write_bytes(b"b")
        mirror.send()
        (mirror.folder / "overlay" / "b.jpg").write_bytes(b"")  # emptied, and not noted yet
        (mirror.folder / "list").write_bytes(b"[]")

    killed(monkeypatch, work, hollow=is_picture)
    with mirrored("s3://b/run", hollow=is_picture):
        pass
    assert bucket.objects == {"b/run/overlay/a.jpg": b"a", "b/run/overlay/b.jpg": b"b", "b/run/list": b"[]"}


def test_what_was_killed_while_it_fetched_has_nothing_to_send(bucket, monkeypatch):
    bucket.objects = {"b/run/a": b"a", "b/run/b": b"b"}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("campus_seg.storage_mirror.Mirror._write_note", lambda *_: (_ for _ in ()).throw(Killed()))
        with mirrored("s3://b/run"):
            pass
    puts = bucket.calls["put"]
    with mirrored("s3://b/run"):
        assert bucket.calls["put"] == puts + 1  # whether it can be written to


def test_nothing_stays_here_after_an_error_once_all_is_sent(bucket):
    with pytest.raises(KeyboardInterrupt), mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        raise KeyboardInterrupt
    assert names(bucket) == ["a"] and not list(mirror.folder.parent.iterdir())


def test_errors_name_the_uri_and_not_its_copy_but_for_a_full_disk(bucket):
    with pytest.raises(ConfigError) as raised, mirrored("s3://b/run") as mirror:
        raise ConfigError(f"{mirror.folder / 'config.yaml'}: damaged")
    assert str(raised.value) == "s3://b/run/config.yaml: damaged"
    with pytest.raises(OutputError) as raised, mirrored("s3://b/run") as mirror:
        raise OutputError(f"{mirror.folder / 'a'}: cannot be written")
    assert str(raised.value).startswith(str(mirror.folder))


def test_no_place_for_a_copy_is_one_line(bucket, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nope")
    with pytest.raises(ConfigError, match="no place for what is fetched .*XDG_CACHE_HOME"), mirrored("s3://b/run"):
        pass
