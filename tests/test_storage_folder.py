import errno
import shutil
from fnmatch import fnmatch

import pytest

from campus_seg.errors import ConfigError, OutputError, StorageError, TrainingError
from campus_seg.storage_folder import mirrored

RUN = {"late": ("*.pth",), "witnesses": ("last_checkpoint",)}


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
        patch.setattr("campus_seg.storage_mirror.write_note", lambda *_: (_ for _ in ()).throw(Killed()))
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


def refused(bucket, monkeypatch, work, but="nothing", **options):
    """A command whose server refuses, after some work, all that does not match a pattern."""
    put = bucket.put_file

    def put_file(self, lpath, rpath, **kwargs):
        if not fnmatch(rpath, but):
            raise PermissionError("AccessDenied")
        put(self, lpath, rpath)

    with monkeypatch.context() as patch, pytest.raises(StorageError), mirrored("s3://b/run", **options) as mirror:
        work(mirror)
        patch.setattr(bucket, "put_file", put_file)
    return mirror.folder


@pytest.mark.parametrize("but", ["nothing", "*/predictions.json", "*/new"])
def test_a_list_that_is_not_fetched_and_gets_shorter_outlives_an_outage(bucket, monkeypatch, but):
    bucket.objects = {"b/run/overlay/a.jpg": b"a", "b/run/predictions.json": b"a long list", "b/run/other": b"x"}

    def work(mirror):
        (mirror.folder / "predictions.json").write_bytes(b"[]")
        (mirror.folder / "new").write_bytes(b"new")

    refused(bucket, monkeypatch, work, but, wanted=is_picture, hollow=is_picture)
    with mirrored("s3://b/run", wanted=is_picture, hollow=is_picture):
        assert bucket.objects["b/run/predictions.json"] == b"[]" and bucket.objects["b/run/new"] == b"new"
    assert bucket.objects["b/run/other"] == b"x"


@pytest.mark.parametrize("later", [b"[]", b"a far longer list"])
def test_what_arrived_without_an_answer_before_a_kill_is_not_taken_for_anothers(bucket, monkeypatch, later):
    put = bucket.put_file

    def arrives(self, lpath, rpath, **kwargs):
        put(self, lpath, rpath)
        raise PermissionError("the answer is lost")

    def work(mirror):
        (mirror.folder / "list").write_bytes(b"a long list")
        with monkeypatch.context() as patch, pytest.raises(StorageError):
            patch.setattr(bucket, "put_file", arrives)
            mirror.send()
        (mirror.folder / "list").write_bytes(later)

    bucket.objects = {"b/run/list": b"1"}
    killed(monkeypatch, work)
    assert bucket.objects == {"b/run/list": b"a long list"}
    with mirrored("s3://b/run"):
        assert bucket.objects == {"b/run/list": later}


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"model_0000009.pth": b"theirs"},
        {"last_checkpoint": b"model_0000009.pth"},
        {"log.txt": b"1th"},  # as long as what was not sent from here
        {"log.txt": b"1 and theirs", "model_0000009.pth": b"theirs", "last_checkpoint": b"model_0000009.pth"},
    ],
)
def test_a_run_that_another_machine_took_on_is_not_overwritten(bucket, monkeypatch, elsewhere):
    bucket.objects = {"b/run/log.txt": b"1", "b/run/model_0000002.pth": b"2", "b/run/last_checkpoint": b"2.pth"}

    def work(mirror):
        (mirror.folder / "log.txt").write_bytes(b"1us")
        (mirror.folder / "model_0000005.pth").write_bytes(b"ours")
        (mirror.folder / "last_checkpoint").write_bytes(b"model_0000005.pth")

    folder = killed(monkeypatch, work, **RUN)
    bucket.objects |= {f"b/run/{name}": content for name, content in elsewhere.items()}
    there = dict(bucket.objects)
    told = f"s3://b/run: has changed since .* lies in {folder}: copy what is wanted"
    with pytest.raises(ConfigError, match=told), mirrored("s3://b/run", **RUN):
        pytest.fail("the work began")
    assert bucket.objects == there


def test_what_others_put_beside_a_run_keeps_nothing_from_being_sent(bucket, monkeypatch):
    bucket.objects = {"b/run/log.txt": b"1"}
    killed(monkeypatch, lambda mirror: (mirror.folder / "log.txt").write_bytes(b"12"), **RUN)
    bucket.objects["b/run/notes.md"] = b"theirs"
    with mirrored("s3://b/run", **RUN):
        assert bucket.objects == {"b/run/log.txt": b"12", "b/run/notes.md": b"theirs"}


def test_stamps_that_a_list_puts_in_another_way_are_no_change(bucket, monkeypatch):
    bucket.objects = {"b/run/log.txt": b"1"}

    def work(mirror):
        (mirror.folder / "a").write_bytes(b"a")
        mirror.send()
        (mirror.folder / "b").write_bytes(b"b")

    killed(monkeypatch, work)
    find = bucket.find

    def put_differently(self, path, detail=False, **kwargs):
        found = find(self, path, detail)
        return {key: {**told, "ETag": f"W/{told['ETag']}"} if key == "b/run/a" else told for key, told in found.items()}

    monkeypatch.setattr(bucket, "find", put_differently)
    with mirrored("s3://b/run"):
        assert names(bucket) == ["a", "b", "log.txt"]


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


def test_a_command_that_only_reads_tells_once_of_what_is_still_to_be_sent(bucket, monkeypatch, caplog):
    with mirrored("s3://b/run"):
        pass
    with mirrored("s3://b/run", writes=False):
        assert not caplog.text
    folder = killed(monkeypatch, lambda mirror: (mirror.folder / "a").write_bytes(b"a"))
    with mirrored("s3://b/run", writes=False):
        pass
    assert caplog.text.count("has not sent all to it") == 1 and str(folder) in caplog.text
