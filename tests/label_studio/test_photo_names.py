"""Where photos are to lie: names that every system takes, and one photo for each."""

import pytest

from campus_seg.label_studio.index import given_name, photo_path
from campus_seg.label_studio.photo_names import photo_names


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/1/a%20%C3%BC.jpg", "upload/1/a ü.jpg"),
        ("https://host/x//y/a.jpg?size=9", "x/y/a.jpg"),
        ("s3://bucket/CON/aux.jpg", "bucket/%43ON/%61ux.jpg"),
        ("s3://b/nul", "b/%6Eul"),
        ("s3://b/Com1.tar.gz", "b/%43om1.tar.gz"),
        ("s3://b/lpt¹ .jpg", "b/%6Cpt¹ .jpg"),
        ("s3://b/console/auxiliary.jpg", "b/console/auxiliary.jpg"),
        ("s3://b/com/com10.jpg", "b/com/com10.jpg"),
        ("s3://b/..", "b/%2E%2E"),
    ],
)
def test_names_for_any_disk(address, name):
    assert photo_names([address]) == ({address: f"images/{name}"}, {})
    assert given_name(name) == given_name(photo_path(address))


@pytest.mark.parametrize("address", ["http://host/", "http://host/?id=1", "/data/", "s3://"])
def test_no_name(address):
    names, reasons = photo_names([address, "http://host/a.jpg"])
    assert names == {"http://host/a.jpg": "images/a.jpg"}
    assert list(reasons) == [address] and "its address has no path" in reasons[address]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("http://host/p?id=1", "http://host/p?id=2"),
        ("http://me:secret@one/a.jpg", "http://me:secret@two/a.jpg"),
        ("http://host/A.jpg", "http://host/a.jpg"),
        ("http://host/X/a.jpg", "http://host/x/a.jpg"),
        ("s3://b/\u00fc.jpg", "s3://b/u\u0308.jpg"),
    ],
)
def test_photos_of_one_name(one, two):
    names, reasons = photo_names([one, two, "http://host/b.jpg"])
    assert names == {"http://host/b.jpg": "images/b.jpg"}
    assert set(reasons) == {one, two}
    assert f"has one path with {two.replace('me:secret@', '')}, by which" in reasons[one]
    assert f"has one path with {one.replace('me:secret@', '')}, by which" in reasons[two]
