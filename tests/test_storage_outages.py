"""What a command could not send to a bucket, and what the next one makes of it."""

import shutil
from fnmatch import fnmatch

import pytest

from campus_seg.errors import ConfigError, StorageError
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


def test_a_command_that_only_reads_tells_once_of_what_is_still_to_be_sent(bucket, monkeypatch, caplog):
    with mirrored("s3://b/run"):
        pass
    with mirrored("s3://b/run", writes=False):
        assert not caplog.text
    folder = killed(monkeypatch, lambda mirror: (mirror.folder / "a").write_bytes(b"a"))
    with mirrored("s3://b/run", writes=False):
        pass
    assert caplog.text.count("has not sent all to it") == 1 and str(folder) in caplog.text
