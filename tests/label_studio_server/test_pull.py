"""What pull brings from a real server, with either kind of token."""

import pytest
from labelled_photos import INTERFACE
from real_label_studio import TOKEN

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.pull import pull_project

pytestmark = pytest.mark.label_studio


def test_photos_are_the_uploads_bytes_and_are_fetched_once(server, campus, pulled):
    found = {path.name.partition("-")[2]: path.read_bytes() for path in (pulled / "images").rglob("*.jpg")}
    assert list(found.values()).count(b"") == 0 and len(found) == len(campus.photos)
    assert sorted(found.values()) == sorted(campus.photos.values())
    again = pull_project(server.client(campus.number), pulled)
    labelled = len(campus.photos) - len(campus.unlabelled)
    assert (again.fetched, again.kept, again.labelled) == (0, len(campus.photos), labelled)


def test_a_personal_access_token(server, campus, tmp_path):
    assert pull_project(server.client(campus.number, server.personal), tmp_path).fetched == len(campus.photos)


@pytest.mark.parametrize(
    ("token", "project", "reason"),
    [
        ("f" * 40, 1, "refused .401 Unauthorized: Invalid token"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl", 1, "refused .401"),
        (TOKEN, 999, "has no project 999"),
    ],
)
def test_a_wrong_token_and_no_project(token, project, reason, server, campus):
    with pytest.raises(LabelStudioError, match=reason):
        server.client(project, token)


def test_a_photo_that_the_server_has_lost(server, tmp_path):
    number = server.make_project("Lost", INTERFACE)
    for address in ("/data/upload/99/absent.jpg", "http://127.0.0.1:9/a.jpg"):
        server.ask("POST", f"/api/projects/{number}/import", json=[{"image": address}])
    pulled = pull_project(server.client(number), tmp_path)
    assert pulled.tasks == len(pulled.failures) == 2
