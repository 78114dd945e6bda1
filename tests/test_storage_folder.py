import errno

import pytest

from campus_seg.errors import ConfigError, OutputError, StorageError, TrainingError
from campus_seg.storage_folder import mirrored


def names(bucket):
    return sorted(key.removeprefix("b/run/") for key in bucket.objects)


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


def test_what_could_not_be_sent_is_kept_named_and_sent_by_the_next_command(bucket):
    told = "access is refused.*; what has not arrived lies in (.*), and the next command there sends it first"
    with pytest.raises(StorageError, match=told) as raised, mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        bucket.faults = [PermissionError("AccessDenied")]
    assert str(mirror.folder) in str(raised.value) and (mirror.folder / "a").read_bytes() == b"a"
    with mirrored("s3://b/run") as mirror:
        assert names(bucket) == ["a"] and (mirror.folder / "a").read_bytes() == b"a"
    assert not mirror.folder.exists()


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


@pytest.mark.parametrize("error", [TrainingError("the loss is infinite"), KeyboardInterrupt(), ValueError("a fault")])
def test_what_cannot_be_sent_hides_no_error_of_the_block(bucket, caplog, error):
    with pytest.raises(type(error)) as raised, mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        bucket.faults = [PermissionError("AccessDenied")]
        raise error
    assert raised.value is error
    assert "access is refused" in caplog.text and f"what has not arrived lies in {mirror.folder}" in caplog.text
    with mirrored("s3://b/run"):
        assert names(bucket) == ["a"]


def test_who_stops_a_command_is_told_once_that_results_are_being_sent(bucket, capsys):
    with pytest.raises(KeyboardInterrupt), mirrored("s3://b/run") as mirror, mirror.sending(every=60):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.count("results are still being sent to s3://b/run") == 1
    with pytest.raises(ConfigError), mirrored("s3://b/run"):
        raise ConfigError("a key")
    assert "still being sent" not in capsys.readouterr().err


def test_a_full_disk_as_the_last_is_sent_is_one_line_and_the_next_command_goes_on(bucket, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    told = pytest.raises(OutputError, match="make room, and run the same command again")
    with monkeypatch.context() as patch, told, mirrored("s3://b/run") as mirror:
        (mirror.folder / "a").write_bytes(b"a")
        patch.setattr("campus_seg.storage_mirror.write_note", lambda *_: (_ for _ in ()).throw(full))
    with monkeypatch.context() as patch, pytest.raises(OutputError, match="make room"):
        patch.setattr("campus_seg.storage_mirror.Mirror.send", lambda *_: (_ for _ in ()).throw(full))
        with mirrored("s3://b/run"):
            pytest.fail("the work began")
    with mirrored("s3://b/run"):
        assert names(bucket) == ["a"]


def test_commands_that_only_read_do_not_exclude_each_other_or_one_that_writes(bucket):
    bucket.objects = {"b/run/a": b"a"}
    reading = {"writes": False}
    with (
        mirrored("s3://b/run") as own,
        mirrored("s3://b/run", **reading) as one,
        mirrored("s3://b/run", **reading) as two,
    ):
        assert len({own.folder, one.folder, two.folder}) == 3
        assert all((mirror.folder / "a").read_bytes() == b"a" for mirror in (own, one, two))
    assert not one.folder.exists() and not two.folder.exists()
