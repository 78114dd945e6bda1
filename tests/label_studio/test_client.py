"""Tasks page by page, and photos wherever they are."""

import base64

import numpy as np
import pytest
from drawn import encode
from fake_label_studio import PERSONAL, SHORT, timeout_for

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio import client as module
from campus_seg.label_studio.connection import TRIES
from campus_seg.photos import PhotoError

PHOTO = encode(np.zeros((6, 8, 3), np.uint8))
CHANGED = "Wed, 25 Nov 2026 08:00:00 GMT"
AT = 1795593600.0  # the same, in seconds since 1970


def test_tasks_come_page_by_page(label_studio, client, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    for number in range(5):
        label_studio.add_photo(f"{number}.jpg", PHOTO)
    label_studio.tasks[1]["total_annotations"] = 1
    label_studio.tasks[2]["cancelled_annotations"] = 1
    tasks = client().tasks()
    assert [task.id for task in tasks] == [1, 2, 3, 4, 5]
    assert [task.unlabelled for task in tasks] == [True, False, False, True, True]
    assert label_studio.count("GET", "/api/tasks") == 3


def test_a_server_that_gives_fewer_tasks_than_it_was_asked_for(label_studio, client):
    for number in range(5):
        label_studio.add_photo(f"{number}.jpg", PHOTO)
    label_studio.page_size_max = 2
    assert [task.id for task in client().tasks()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kept", [2, 3])
def test_tasks_that_are_removed_meanwhile(kept, label_studio, client, monkeypatch):
    """The second page is no longer there, or has nothing new."""
    for number in range(4):
        label_studio.add_photo(f"{number}.jpg", PHOTO)
    label_studio.page_size_max = 2
    mine = client()
    answer = label_studio.answer

    def removing(method, path, query, body):
        given = answer(method, path, query, body)
        label_studio.tasks = label_studio.tasks[-kept:] if query["page"] == ["1"] else label_studio.tasks
        return given

    monkeypatch.setattr(label_studio, "answer", removing)
    assert [task.id for task in mine.tasks()] == ([1, 2] if kept == 2 else [1, 2, 4])


def test_no_tasks(label_studio, client):
    assert client().tasks() == []


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/upload/1/a%20%C3%BC.jpg", "/data/upload/1/a%20%C3%BC.jpg"),
        ("/data/local-files/?d=a/b.jpg", "/data/local-files/?d=a/b.jpg"),
        (
            "s3://bucket/a b.jpg",
            "/tasks/7/resolve/?fileuri=" + base64.urlsafe_b64encode(b"s3://bucket/a b.jpg").decode(),
        ),
        ("http://other:80/a.jpg?x=1", "http://other:80/a.jpg?x=1"),
        ("HTTP://other/a.jpg", "HTTP://other/a.jpg"),
        ("HOST/data/upload/1/a.jpg", "/data/upload/1/a.jpg"),
        ("HOST", "/"),
    ],
)
def test_where_a_photo_is_asked_for(address, path, label_studio, client):
    mine = client()
    assert mine._photo_path(address.replace("HOST", label_studio.url), 7) == path


def test_a_server_below_a_path_of_its_host(label_studio, client):
    mine = client()
    host = label_studio.url
    mine.connection.url += "/studio"
    for address in ("/studio/data/a.jpg?x=1", "/data/a.jpg?x=1", f"{host}/studio/data/a.jpg?x=1"):
        assert mine._photo_path(address, 7) == "/data/a.jpg?x=1"
    for address in (f"{host}/data/a.jpg", f"{host}/studio2/a.jpg"):  # another program's, which gets no token
        assert mine._photo_path(address, 7) == address


def test_a_photo(label_studio, client):
    task = label_studio.add_photo("a.jpg", PHOTO)
    assert client().photo(task["data"]["image"], 1) == (PHOTO, None)


@pytest.mark.parametrize(
    ("headers", "known", "same"),
    [
        ({"Last-Modified": CHANGED}, {"modified": AT, "size": len(PHOTO)}, True),
        ({"Last-Modified": CHANGED}, {"modified": AT + 1, "size": len(PHOTO)}, False),
        ({}, {"modified": AT, "size": len(PHOTO)}, True),
        ({}, {"modified": AT, "size": len(PHOTO) + 1}, False),
        ({"Last-Modified": "once"}, {"modified": AT, "size": len(PHOTO)}, True),
    ],
)
def test_a_photo_that_the_caller_has(headers, known, same, label_studio, client):
    label_studio.files["/p.jpg"] = (PHOTO, headers)
    fetched = client().photo("/p.jpg", 1, **known)
    assert (fetched is None) == same
    if not same:
        assert fetched == (PHOTO, AT if headers else None)


def test_a_photo_that_is_said_not_to_have_changed_to_one_who_has_none(label_studio, client):
    label_studio.faults["/p.jpg"] = [304, 304]
    with pytest.raises(PhotoError, match="no image"):
        client().photo("/p.jpg", 1)
    assert client().photo("/p.jpg", 1, size=9) is None


@pytest.mark.parametrize(
    "address",
    [
        *("/absent.jpg", "C:/a.jpg", "data:image/png;base64,AAAA", "/page", "/cut.jpg"),
        *("http://[bad/a.jpg", "http://h:port/a.jpg", f"http://{'a' * 70}.example/a.jpg", "http://*/a.jpg"),
    ],
)
def test_a_photo_that_cannot_be_had_is_no_fault_of_the_others(address, label_studio, client):
    label_studio.files["/page"] = (b"<html>Sorry</html>", {})
    label_studio.files["/cut.jpg"] = (PHOTO[:-20], {})
    with pytest.raises(PhotoError):
        client().photo(address, 1)


@pytest.mark.parametrize("target", ["http://[", "//[::1", "http://h:99999999/x", "file:///etc/passwd", "/round"])
def test_a_redirect_to_no_address(target, label_studio, client):
    label_studio.redirects = {"/round": target}
    with pytest.raises(PhotoError, match="cannot be asked, or sends on to no address"):
        client().photo("/round", 1)


def test_a_buckets_fault_is_no_fault_of_the_server(label_studio, client):
    """Which sends on to the bucket: one that is down, and one that refuses."""
    mine = client(PERSONAL)
    label_studio.redirects = {"/tasks/1/resolve/": "http://127.0.0.1:9/bucket/a.jpg?signature=secret"}
    reason = r"^http://127.0.0.1:9/bucket/a.jpg: cannot be reached \(Connection refused\); see to that server$"
    with pytest.raises(PhotoError, match=reason):
        mine.photo("s3://bucket/a.jpg", 1)
    bucket = label_studio.url.replace("127.0.0.1", "localhost")
    label_studio.redirects = {"/tasks/1/resolve/": f"{bucket}/bucket/a.jpg?signature=secret"}
    with pytest.raises(PhotoError, match=rf"^{bucket}/bucket/a.jpg: refused .401 Unauthorized.; see to that server$"):
        mine.photo("s3://bucket/a.jpg", 1)
    assert label_studio.asked[-1] == ("GET", "/bucket/a.jpg", None)
    assert label_studio.count("POST", "/api/token/refresh/") == 1  # new access would change nothing there


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("fault", ["close", "cut", "stall", 404, 502])
def test_another_servers_faults_have_no_advice_for_label_studios_and_show_no_password(fault, own, label_studio, client):
    mine = client(timeout=timeout_for(fault))
    other = label_studio.url.replace("//127.0.0.1", "//me:secret@127.0.0.1" if own else "//me:secret@localhost")
    label_studio.faults["/a.jpg"] = [fault] * TRIES
    with pytest.raises((PhotoError, LabelStudioError)) as raised:
        mine.photo(f"{other}/a.jpg?signature=secret", 1)
    said = str(raised.value)
    assert "secret" not in said and "/a.jpg: " in said
    assert own or (isinstance(raised.value, PhotoError) and "--url" not in said and "Sorry" not in said)
    if fault == "cut":
        assert said.endswith("/a.jpg: the answer was cut short; try again")


def test_a_photo_without_end(label_studio, client, monkeypatch):
    mine, impatient = client(), client(timeout=SHORT)
    label_studio.files["/large.jpg"] = (PHOTO + bytes(3_000_000), {})
    assert mine.photo("/large.jpg", 1)
    monkeypatch.setattr(module, "PHOTO_SIZE", 2_000_000)
    with pytest.raises(PhotoError, match="/large.jpg: above 0.002 GB, more than is wanted"):
        mine.photo("/large.jpg", 1)
    monkeypatch.setattr(module, "PHOTO_TIME", 1)
    label_studio.faults["/slow.jpg"] = ["drip"]
    with pytest.raises(PhotoError, match="/slow.jpg: not whole after 0.3 s; set --timeout"):
        impatient.photo("/slow.jpg", 1)
    assert label_studio.count("GET", "/slow.jpg") == 1


@pytest.mark.parametrize(("code", "kind"), [(429, LabelStudioError), (502, LabelStudioError), (500, PhotoError)])
def test_a_server_that_starts_anew_is_no_fault_of_single_photos(code, kind, label_studio, client):
    label_studio.faults["/a.jpg"] = [code] * TRIES
    with pytest.raises(kind, match=f"refused .{code}"):
        client().photo("/a.jpg", 1)


def test_without_a_server_or_a_token_no_photo_can_be_had(label_studio, client):
    mine = client()
    label_studio.faults["/a.jpg"] = ["close"] * 9
    with pytest.raises(LabelStudioError, match="cannot be reached"):
        mine.photo("/a.jpg", 1)
    label_studio.valid = set()
    with pytest.raises(LabelStudioError, match="401"):
        mine.photo("/b.jpg", 1)
