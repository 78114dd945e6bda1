"""Tasks page by page, and photos wherever they are."""

import base64

import numpy as np
import pytest
from drawn import encode

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio import client as module
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
        ("HOST/data/upload/1/a.jpg", "/data/upload/1/a.jpg"),
    ],
)
def test_where_a_photo_is_asked_for(address, path, label_studio, client):
    mine = client()
    assert mine._photo_path(address.replace("HOST", label_studio.url), 7) == path
    mine.connection.url += "/studio"  # a server below a path of its host
    if address.startswith("/"):
        assert mine._photo_path(f"/studio{address}", 7) == path


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


@pytest.mark.parametrize("address", ["/absent.jpg", "C:/a.jpg", "data:image/png;base64,AAAA", "/page", "/cut.jpg"])
def test_a_photo_that_cannot_be_had_is_no_fault_of_the_others(address, label_studio, client):
    label_studio.files["/page"] = (b"<html>Sorry</html>", {})
    label_studio.files["/cut.jpg"] = (PHOTO[:-20], {})
    with pytest.raises(PhotoError):
        client().photo(address, 1)


def test_without_a_server_or_a_token_no_photo_can_be_had(label_studio, client):
    mine = client()
    label_studio.faults["/a.jpg"] = ["close"] * 9
    with pytest.raises(LabelStudioError, match="cannot be reached"):
        mine.photo("/a.jpg", 1)
    label_studio.valid = set()
    with pytest.raises(LabelStudioError, match="401"):
        mine.photo("/b.jpg", 1)
