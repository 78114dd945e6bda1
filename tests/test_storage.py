import errno
import random

import pytest

from campus_seg import storage
from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage import (
    ATTEMPTS,
    ATTEMPTS_WHERE_CUT,
    checked_uri,
    is_uri,
    join,
    persistent,
    place,
    shown,
    stays_below,
)
from campus_seg.storage_errors import ShortReadError, is_final


@pytest.mark.parametrize("uri", ["s3://b/x", "S3://b", "gs://b/x", "gcs://b", "az://c/x", "abfs://c", "sftp://h/x"])
def test_uris_are_told_from_paths(uri):
    assert is_uri(uri)


@pytest.mark.parametrize(
    "path",
    ["", "a/b.jpg", "C:\\photos", "C:/x", "a:b.jpg", "s3:/b/x", "detectron2://x", "catalog://x", "./s3://b", None],
)
def test_paths_are_no_uris(path, tmp_path):
    assert not is_uri(path) and not is_uri(tmp_path)


def test_where_a_file_lies_by_its_name(tmp_path):
    assert place(tmp_path, "a.jpg") == tmp_path / "a.jpg"
    assert place(tmp_path, "/x/a.jpg").as_posix() == "/x/a.jpg"
    assert place(tmp_path, "s3://b/a.jpg") == "s3://b/a.jpg"


def test_a_uri_is_joined_and_brought_into_one_form():
    assert join("s3://b/x/", "a/b.jpg") == "s3://b/x/a/b.jpg"
    assert checked_uri("S3://Bucket/Photos/") == "s3://Bucket/Photos"
    for uri in ("sftp://me@host:2222/photos", "abfs://c@account.dfs.core.windows.net/x", "https://h/a@b?page=2"):
        assert checked_uri(uri) == uri


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://AKIA:hunter2@b/x", "s3://AKIA@b/x: a password has no place"),
        ("sftp://me:hunter2@host/x", "sftp://me@host/x: a password has no place"),
        ("https://h/x.zip?X-Amz-Expires=9&X-Amz-Signature=hunter2", "https://h/x.zip: is a signed address"),
        ("https://h/x.zip?sig=hunter2", "https://h/x.zip: is a signed address"),
        ("https://h/x.zip?access_token=hunter2", "https://h/x.zip: is a signed address"),
        ("az://c/x?sv=1&sig=hunter2", "az://c/x: is a signed address"),
        ("https://hunter2@h/x.zip", "https://h/x.zip: a password has no place"),
        *(
            (f"https://h/x.zip?a=1{parameter}=hunter2", "https://h/x.zip: is a signed address")
            for parameter in (
                "&key",
                "&AWSAccessKeyId",
                "&access_key",
                "&auth",
                "&Authorization",
                "&jwt",
                ";sig",
                "#token",
            )
        ),
        ("https://h/x.zip#access_token=hunter2", "https://h/x.zip: is a signed address"),
        ("https://h/x.zip?X%2DAmz%2DSignature=hunter2", "https://h/x.zip: is a signed address"),
        ("https://h?token=hunter2", "https://h: is a signed address"),
        ("s3:///x", "s3:///x: names no bucket or host"),
        ("https:///x?token=hunter2", "https:///x: names no bucket or host"),
    ],
)
def test_secrets_in_a_uri_are_refused_and_not_told(uri, told):
    with pytest.raises(StorageError) as raised:
        checked_uri(uri)
    assert str(raised.value).startswith(told)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "uri", ["sftp://me@host/x", "abfs://container@account.dfs.core.windows.net/x", "s3://b/a?.jpg"]
)
def test_names_and_question_marks_that_are_no_secrets_are_taken(uri):
    assert checked_uri(uri) == uri


def test_a_question_mark_is_part_of_a_key_and_begins_an_addresss_query():
    assert shown("s3://b/what?.jpg") == "s3://b/what?.jpg"
    assert checked_uri("s3://b/token?sig=1") == "s3://b/token?sig=1"
    assert shown("https://h/a?b=1") == shown("https://h/a#b") == "https://h/a"
    assert checked_uri("https://h/monkey&key=1.jpg?monkey=1&page=2#top").endswith("#top")


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("a.jpg", True),
        ("x/.hidden/a..jpg", True),
        *((name, False) for name in ("", "/etc/x", "x//a", "../a", "x/../../a", "./a", "x/", "a\0b")),
    ],
)
def test_names_that_lead_out_of_a_folder_are_told(name, below):
    assert stays_below(name) is below


@pytest.mark.parametrize("name", ["h#1.jpg", "q?x.jpg", "a::b.jpg", "x/[1] *.jpg", "100%.jpg", "a//b"])
def test_a_name_is_taken_as_it_is(bucket, name):
    fs, path = storage.filesystem(f"s3://b/{name}")
    assert path == f"b/{name}" and fs is not None
    assert storage.filesystem("s3://b/")[1] == storage.filesystem("s3://b")[1] == "b"


@pytest.mark.parametrize("given", ["abc", "0", "-1", "nan", "inf"])
def test_a_time_limit_that_is_none_is_told_at_once(bucket, monkeypatch, given):
    monkeypatch.setenv(storage.TIMEOUT_KEY, given)
    with pytest.raises(ConfigError, match=f"^CAMPUS_STORAGE_TIMEOUT {given}: is no number of seconds$"):
        persistent("s3://b/x", lambda: storage.filesystem("s3://b/x"))


def test_a_missing_library_is_one_line_with_the_extra(monkeypatch):
    monkeypatch.setitem(storage.LIBRARIES, "s3", ("no_such_library", "s3"))
    with pytest.raises(StorageError, match=r"^s3://b/x: s3:// needs no_such_library: pip install 'campus_seg\[s3\]'$"):
        storage.filesystem("s3://b/x")


class ClientError(Exception):
    """As botocore has it, which is not needed here."""

    def __init__(self, code):
        super().__init__(f"An error occurred ({code}): secret hunter2 at https://user:hunter2@host/x")
        self.response = {"Error": {"Code": code}}


class NoCredentialsError(Exception):
    pass


class EndpointConnectionError(Exception):
    pass


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (caused(FileNotFoundError("x"), ClientError("NoSuchBucket")), "there is no such bucket; create it"),
        (caused(FileNotFoundError("x"), ClientError("NoSuchKey")), "there is no such file or folder"),
        (caused(PermissionError("x"), ClientError("InvalidAccessKeyId")), r"the key is refused \(InvalidAccessKeyId\)"),
        (caused(PermissionError("x"), ClientError("SignatureDoesNotMatch")), "the key is refused .*AWS_SECRET_ACCESS"),
        (caused(PermissionError("x"), ClientError("AccessDenied")), "access is refused; set AWS_ACCESS_KEY_ID"),
        (NoCredentialsError(), "there are no credentials; set AWS_ACCESS_KEY_ID"),
        (EndpointConnectionError(), "the server cannot be reached; .*AWS_ENDPOINT_URL"),
        (TimeoutError(), "the server does not answer; .*CAMPUS_STORAGE_TIMEOUT"),
        (ClientError("Odd"), "ClientError: .*; try again later"),
    ],
)
def test_what_libraries_raise_is_one_line_that_says_what_to_set(error, told, monkeypatch):
    monkeypatch.setattr(storage, "ATTEMPTS", 1)

    def work():
        raise error

    with pytest.raises(StorageError, match=f"^s3://b/x: {told}") as raised:
        persistent("s3://b/x", work)
    assert "\n" not in str(raised.value) and "https://user" not in str(raised.value)


def test_only_a_missing_file_counts_as_missing():
    for code, missing in (("NoSuchKey", True), ("NoSuchBucket", False)):
        with pytest.raises(StorageError) as raised, storage.explained("s3://b/x"):
            raise caused(FileNotFoundError("x"), ClientError(code))
        assert raised.value.missing is missing and not raised.value.refused


@pytest.mark.parametrize("status", [401, 403, 404, 451, 500])
def test_a_refusal_is_told_from_other_answers(status):
    answer = type("ClientResponseError", (Exception,), {"status": status})
    with pytest.raises(StorageError) as raised, storage.explained("https://h/x"):
        raise answer
    assert raised.value.refused is (status in (401, 403, 451)) is ("access is refused" in str(raised.value))
    with pytest.raises(StorageError) as raised, storage.explained("s3://b/x"):
        raise PermissionError("AccessDenied")
    assert raised.value.refused


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (FileNotFoundError("x"), True),
        (PermissionError("x"), True),
        (NoCredentialsError(), True),
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EINVAL, "InvalidArgument"), True),
        (caused(OSError(errno.EINVAL, "x"), ClientError("IncompleteBody")), False),
        (caused(OSError(errno.EINVAL, "x"), ClientError("BadDigest")), False),
        (OSError(errno.EBUSY, "SlowDown"), False),
        (OSError(errno.EREMOTEIO, "InternalError"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (ShortReadError("1 of 2 bytes came"), False),
    ],
)
def test_what_another_attempt_can_change(error, final):
    assert is_final(error) is final


def test_a_passing_fault_is_waited_out_and_a_final_one_is_not(monkeypatch):
    waits, calls = [], []
    monkeypatch.setattr(storage.stopping, "wait", waits.append)

    def work():
        calls.append(1)
        if len(calls) < 4:
            raise ConnectionResetError
        return "done"

    assert persistent("s3://b/x", work) == "done"
    assert len(calls) == 4 and len(waits) == 3
    assert [0.05 * 2**i <= wait <= 0.1 * 2**i for i, wait in enumerate(waits)] == [True] * 3
    calls.clear()
    with pytest.raises(StorageError):
        persistent("s3://b/x", lambda: calls.append(1) or (_ for _ in ()).throw(FileNotFoundError("x")))
    assert len(calls) == 1


@pytest.mark.parametrize(("fault", "attempts"), [(TimeoutError, ATTEMPTS), (ConnectionResetError, ATTEMPTS_WHERE_CUT)])
def test_a_server_that_stays_away_is_given_up(monkeypatch, fault, attempts):
    calls = []
    monkeypatch.setattr(storage.stopping, "wait", lambda seconds: None)

    def work():
        calls.append(1)
        raise fault

    with pytest.raises(StorageError):
        persistent("s3://b/x", work)
    assert len(calls) == attempts


def test_a_command_that_is_to_end_tries_and_waits_no_more():
    calls = []

    def work():
        calls.append(1)
        storage.stopping.set()
        raise ConnectionResetError

    try:
        with pytest.raises(StorageError, match="s3://b/x: ConnectionResetError"):
            persistent("s3://b/x", work)
        with pytest.raises(StorageError, match="s3://b/x: the command was stopped"):
            persistent("s3://b/x", work)
    finally:
        storage.stopping.clear()
    assert len(calls) == 1


def test_faults_draw_nothing_that_a_training_would_have_drawn(monkeypatch):
    monkeypatch.setattr(storage, "FIRST_WAIT", 0.0)
    faults = [ConnectionResetError(), ConnectionResetError()]
    before = random.getstate()
    persistent("s3://b/x", lambda: (_ for _ in ()).throw(faults.pop()) if faults else "done")
    assert random.getstate() == before


def test_what_takes_long_gets_a_second_attempt_and_no_third(monkeypatch):
    times = iter(range(0, 10_000, 200))
    monkeypatch.setattr(storage.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(storage.stopping, "wait", lambda seconds: None)
    calls = []
    with pytest.raises(StorageError, match="does not answer"):
        persistent("s3://b/x", lambda: calls.append(1) or (_ for _ in ()).throw(TimeoutError()))
    assert len(calls) == 2
