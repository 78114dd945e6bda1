import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from campus_seg.errors import StorageError
from campus_seg.storage import ATTEMPTS
from campus_seg.storage_objects import (
    address,
    check_writable,
    exists,
    fetch,
    listing,
    parent,
    read_bytes,
    remove,
    send,
    split,
    stat,
    together,
    write_bytes,
)
from campus_seg.storage_stat import stat_of

PHOTO = bytes(range(256)) * 40


def test_what_lies_behind_a_uri(bucket):
    bucket.objects = {"b/photos/a.jpg": PHOTO, "b/photos/x/b.jpg": b"b", "b/other.txt": b""}
    assert stat("s3://b/photos/a.jpg").size == len(PHOTO)
    assert stat("s3://b/photos") is None
    assert exists("s3://b/photos") and not exists("s3://b/photos/c.jpg")
    assert list(listing("s3://b/photos/")) == ["a.jpg", "x/b.jpg"]
    assert listing("s3://b/photos")["a.jpg"] == stat("s3://b/photos/a.jpg")
    with pytest.raises(StorageError, match="s3://b/nothing: there is no such file or folder") as raised:
        stat("s3://b/nothing")
    assert raised.value.missing


def test_a_stamp_changes_with_the_content(bucket):
    bucket.objects["b/a"] = b"one"
    first = stat("s3://b/a").stamp
    bucket.objects["b/a"] = b"two"
    assert first and stat("s3://b/a").stamp != first


@pytest.mark.parametrize("short", [lambda content: content[:-1], lambda content: b"", lambda content: content + b"x"])
def test_a_body_of_another_length_is_read_again(bucket, tmp_path, short):
    bucket.objects["b/a.jpg"] = PHOTO
    bucket.faults = [None, short, None, short, ConnectionResetError(), None, None]
    fetch("s3://b/a.jpg", tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == PHOTO
    assert bucket.calls["get"] == 3
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".jpg"] == ["a.jpg"]


def test_other_bytes_of_the_right_length_are_read_again(bucket, tmp_path):
    bucket.objects["b/a.jpg"] = PHOTO
    bucket.faults = [None, lambda content: content[:-1] + b"!"]
    fetch("s3://b/a.jpg", tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == PHOTO


def test_an_etag_that_is_no_hash_of_the_content_is_believed_no_longer(bucket, tmp_path, monkeypatch):
    bucket.objects["b/a.jpg"] = PHOTO
    monkeypatch.setattr(
        bucket, "_entry", lambda self, key: {"type": "file", "size": len(PHOTO), "ETag": '"' + "0" * 32 + '"'}
    )
    fetch("s3://b/a.jpg", tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == PHOTO and bucket.calls["get"] == 2


def test_what_stays_short_is_one_line_and_nothing_is_written(bucket, tmp_path):
    bucket.objects["b/a.jpg"] = PHOTO
    bucket.faults = [None, lambda content: content[:-1]] * ATTEMPTS
    with pytest.raises(StorageError, match=f"s3://b/a.jpg: {len(PHOTO) - 1} of {len(PHOTO)} bytes came"):
        fetch("s3://b/a.jpg", tmp_path / "new" / "a.jpg")
    assert not list((tmp_path / "new").iterdir())


def test_small_files_are_written_read_and_removed(bucket):
    write_bytes(b"x", "s3://b/new/a.txt")
    assert bucket.objects == {"b/new/a.txt": b"x"} and read_bytes("s3://b/new/a.txt") == b"x"
    remove("s3://b/new/a.txt")
    remove("s3://b/new/a.txt")
    assert not bucket.objects


def test_what_has_not_arrived_whole_is_sent_again(bucket, tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(PHOTO)
    put, cut = bucket.put_file, [True]

    def cut_once(self, lpath, rpath, **kwargs):
        put(self, lpath, rpath)
        if cut:
            cut.pop()
            self.objects[rpath] = self.objects[rpath][:10]

    monkeypatch.setattr(bucket, "put_file", cut_once)
    send(tmp_path / "a", "s3://b/a")
    assert bucket.objects["b/a"] == PHOTO and bucket.calls["put"] == 2


@pytest.mark.parametrize("key", ["run/../../../evil.jpg", "run//etc/evil.jpg", "run/./a.jpg", "run/x//a.jpg"])
def test_a_key_that_leads_out_of_a_folder_is_refused(bucket, key):
    bucket.objects = {f"b/{key}": PHOTO, "b/run/a.jpg": PHOTO}
    with pytest.raises(StorageError, match=re.escape(f"s3://b/run: holds a file named '{key[4:]}'")):
        listing("s3://b/run")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("http://h/x/IMG%201%23.jpg", "IMG 1#.jpg"),
        ("s3://b/x/IMG%201.jpg", "IMG%201.jpg"),
        ("s3://b/x/a#?.jpg", "a#?.jpg"),
    ],
)
def test_a_uri_is_split_as_it_is_made(uri, name):
    assert split(uri) == (parent(uri), name) and address(*split(uri)) == uri
    assert split(uri, parent(parent(uri))) == (parent(parent(uri)), f"x/{name}")


def test_a_list_and_a_question_tell_one_time_and_what_hash_there_is():
    here = datetime(2026, 5, 1, 12, 0, 0, 345_000, tzinfo=UTC)
    there = here.replace(microsecond=0).astimezone(timezone(timedelta(hours=2)))
    assert stat_of({"size": 1, "LastModified": here}) == stat_of({"size": 1, "LastModified": there})
    digest = hashlib.md5(PHOTO)
    for told in (
        {"ETag": f'"{digest.hexdigest()}"'},
        {"md5Hash": base64.b64encode(digest.digest()).decode(), "etag": "CJ+="},
        {"content_settings": {"content_md5": bytearray(digest.digest())}, "etag": '"0x8D"'},
    ):
        assert stat_of({"size": 1, **told}).md5 == digest.hexdigest()
    assert stat_of({"size": 1, "ETag": '"0-2"', "content_settings": {"content_md5": None}}).md5 == ""


@pytest.mark.parametrize("new", [False, True])
def test_other_bytes_of_the_right_length_are_sent_again(bucket, tmp_path, monkeypatch, new):
    """Also where no other file may be replaced: what arrived is nobody else's."""
    (tmp_path / "a").write_bytes(PHOTO)
    put, wrong = bucket.put_file, [b"!" * len(PHOTO)]

    def wrong_once(self, lpath, rpath, **kwargs):
        put(self, lpath, rpath)
        if wrong:
            self.objects[rpath] = wrong.pop()

    monkeypatch.setattr(bucket, "put_file", wrong_once)
    send(tmp_path / "a", "s3://b/a", new=new)
    assert bucket.objects["b/a"] == PHOTO and bucket.calls["put"] == 2


def test_a_new_file_replaces_no_other(bucket, tmp_path):
    (tmp_path / "a").write_bytes(PHOTO)
    assert send(tmp_path / "a", "s3://b/a", new=True) == stat("s3://b/a")
    assert bucket.objects == {"b/a": PHOTO}
    send(tmp_path / "a", "s3://b/a", new=True)  # the same content
    assert bucket.calls["put"] == 1
    bucket.objects["b/a"] = b"of another phone"
    with pytest.raises(StorageError, match="^s3://b/a: another file is there already$") as raised:
        send(tmp_path / "a", "s3://b/a", new=True)
    assert raised.value.exists and not raised.value.missing
    assert bucket.objects == {"b/a": b"of another phone"}
    send(tmp_path / "a", "s3://b/a")
    assert bucket.objects == {"b/a": PHOTO}


@pytest.mark.parametrize(("theirs", "refused"), [(PHOTO, False), (PHOTO[:-1] + b"!", True), (b"short", True)])
def test_a_file_that_comes_between_the_look_and_the_writing_is_seen(bucket, tmp_path, monkeypatch, theirs, refused):
    (tmp_path / "a").write_bytes(PHOTO)
    bucket.objects["b/a"] = theirs
    monkeypatch.setattr(bucket, "exists", lambda self, path: False)
    if refused:
        with pytest.raises(StorageError, match="another file is there already"):
            send(tmp_path / "a", "s3://b/a", new=True)
    else:
        send(tmp_path / "a", "s3://b/a", new=True)
    assert bucket.objects == {"b/a": theirs}


def test_a_probe_tells_whether_files_can_be_written_and_leaves_nothing(bucket):
    check_writable("s3://b/run")
    assert not bucket.objects and bucket.calls["put"] == bucket.calls["rm"] == 1
    bucket.faults = [PermissionError("AccessDenied")]
    with pytest.raises(StorageError, match="^s3://b/run: access is refused; set AWS_ACCESS_KEY_ID"):
        check_writable("s3://b/run")
    with pytest.raises(StorageError, match="^http://h/run: cannot be written to"):
        check_writable("http://h/run")


def test_a_key_that_may_only_write_is_enough_and_what_it_leaves_is_not_listed(bucket):
    bucket.faults = [None, PermissionError("AccessDenied")]
    check_writable("s3://b/run")
    assert list(bucket.objects) == ["b/run/.campus_seg-probe"]
    bucket.objects["b/run/x/.123-45.part.jpg"] = b"half"
    bucket.objects["b/run/a.jpg"] = b""
    assert list(listing("s3://b/run")) == ["a.jpg"]


def test_work_is_done_together_and_the_first_error_raised():
    assert list(together(lambda x: x * x, range(50))) == [x * x for x in range(50)]
    with pytest.raises(ZeroDivisionError):
        list(together(lambda x: 1 // x, [2, 0, 1]))


@pytest.mark.parametrize(
    "uri", ["http://h/a/..%2F..%2Fevil.jpg", "http://h/%2Fetc%2Fx.jpg", "s3://b/x/..", "http://h/%2e%2e"]
)
def test_a_name_that_leads_out_of_a_folder_is_refused(uri):
    with pytest.raises(StorageError, match="can lie in no folder"):
        split(uri)


@pytest.mark.parametrize("behind", ["?name=a.jpg", "#a", "?"])
def test_an_address_with_a_query_is_refused_and_a_key_may_look_like_one(behind):
    with pytest.raises(StorageError, match=r'^https://h/x/a.jpg: has a "\?" or "#" behind it'):
        split(f"https://h/x/a.jpg{behind}")
    assert split(f"s3://b/x/a.jpg{behind}") == ("s3://b/x", f"a.jpg{behind}")
