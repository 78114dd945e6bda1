"""Which photos a URI means; the same as a path does."""

import json
from pathlib import Path

import pytest

from campus_seg.errors import ConfigError, StorageError
from campus_seg.inference import remote_inputs
from campus_seg.inference.inputs import find_photos
from campus_seg.storage_objects import Stat

NAMES = ("a.jpg", "b.png", "walk/c.jpg", "walk/deep/d.jpeg", "notes.txt.bak", "clip.mp4")


@pytest.fixture
def photos(bucket):
    bucket.objects = {f"b/photos/{name}": name.encode() for name in NAMES}
    return bucket


def found(*inputs, output=Path("/nowhere/out")):
    photos = find_photos(inputs, output)
    return {photo.file_name: photo.path for photo in photos.photos}


def test_a_folder_is_searched_with_all_below_it(photos):
    result = find_photos(["s3://b/photos/"], Path("/nowhere/out"))
    assert [(photo.file_name, photo.name, photo.path) for photo in result.photos] == [
        ("a.jpg", "a", "s3://b/photos/a.jpg"),
        ("b.png", "b", "s3://b/photos/b.png"),
        ("walk/c.jpg", "walk/c", "s3://b/photos/walk/c.jpg"),
        ("walk/deep/d.jpeg", "walk/deep/d", "s3://b/photos/walk/deep/d.jpeg"),
    ]
    assert [video.path for video in result.videos] == ["s3://b/photos/clip.mp4"] and result.skipped == 1
    assert all(photo.stamp for photo in result.photos)
    assert photos.calls["get"] == 0


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s3://b/photos/*.jpg", ["a.jpg"]),
        ("s3://b/photos/**/*.jp*g", ["a.jpg", "walk/c.jpg", "walk/deep/d.jpeg"]),
        ("s3://b/photos/walk/?.jpg", ["c.jpg"]),
        ("s3://b/photos/a.jpg", ["a.jpg"]),
    ],
)
def test_files_and_patterns(photos, pattern, names):
    assert list(found(pattern)) == names


@pytest.mark.parametrize("name", ["[1].jpg", "what?.jpg", "star*.jpg"])
def test_a_name_that_is_there_is_no_pattern(photos, name):
    photos.objects |= {f"b/photos/{name}": b"x", "b/photos/1.jpg": b"x", "b/photos/whats.jpg": b"x"}
    photos.objects["b/photos/stars.jpg"] = b"x"
    assert found(f"s3://b/photos/{name}") == {name: f"s3://b/photos/{name}"}


def test_escapes_in_a_web_address_are_no_part_of_a_name(photos, monkeypatch, tmp_path):
    monkeypatch.setattr(remote_inputs, "stat", lambda uri: Stat(1, ""))
    address = "http://h/ph/IMG%201.jpg"
    assert found(address) == {"IMG 1.jpg": address}
    (tmp_path / "coco.json").write_text(json.dumps({"images": [{"file_name": address}]}))
    assert found(str(tmp_path / "coco.json")) == {"IMG 1.jpg": address}


def test_lists_name_photos_beside_them_and_uris(photos, tmp_path):
    photos.objects["b/photos/list.txt"] = b"# chosen\na.jpg\nwalk\ns3://b/photos/b.png\n"
    names = ["a.jpg", "b.png", "walk/c.jpg", "walk/deep/d.jpeg"]
    assert list(found("s3://b/photos/list.txt")) == names
    (tmp_path / "list.txt").write_text("s3://b/photos/a.jpg\n")
    assert found(str(tmp_path / "list.txt")) == {"a.jpg": "s3://b/photos/a.jpg"}


def test_coco_files_name_photos_behind_uris(photos, tmp_path):
    names = ["a.jpg", "walk/c.jpg", "s3://b/photos/b.png"]
    coco = json.dumps({"images": [{"file_name": name} for name in names]})
    photos.objects["b/photos/coco.json"] = coco.encode()
    assert set(found("s3://b/photos/coco.json").values()) == {
        f"s3://b/photos/{n}" for n in ("a.jpg", "walk/c.jpg", "b.png")
    }
    (tmp_path / "coco.json").write_text(json.dumps({"images": [{"file_name": "s3://b/photos/a.jpg"}]}))
    assert list(found(str(tmp_path / "coco.json")).values()) == ["s3://b/photos/a.jpg"]


def test_several_folders_are_told_apart_by_their_names(photos, tmp_path):
    photos.objects["b/other/a.jpg"] = b"a"
    assert set(found("s3://b/photos/a.jpg", "s3://b/other")) == {"other/a.jpg", "photos/a.jpg"}


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://b/photos/*.tif", "no such file or folder"),
        ("s3://b/nothing", "there is no such file or folder"),
        ("s3://b/photos/bad.json", 'no COCO file, which has "images"'),
        ("s3://b/evil", "holds a file named '../../evil.jpg'"),
        ("s3://b/photos/out.json", r"file_name '../x.jpg' lies outside of its folder"),
        ("s3://b/photos/notes.txt.bak", "no photos or videos here"),
    ],
)
def test_what_means_nothing_is_one_line(photos, uri, told):
    photos.objects["b/evil/../../evil.jpg"] = b"x"
    photos.objects["b/photos/bad.json"] = b"[]"
    photos.objects["b/photos/out.json"] = b'{"images": [{"file_name": "../x.jpg"}]}'
    with pytest.raises((ConfigError, StorageError), match=told):
        found(uri)


def test_results_do_not_go_where_photos_are_looked_for(photos):
    for output in ("s3://b/photos", "s3://b/photos/masked"):
        with pytest.raises(ConfigError, match=f"{output}: lies in the photos' folder s3://b/photos"):
            found("s3://b/photos", output=output)
    assert found("s3://b/photos", output="s3://b/photos2")


HOSTILE = {
    "http://h/a/..%2F..%2Fevil.jpg": "is called '../../evil.jpg', which can lie in no folder",
    "https://h/a?X-Amz-Signature=hunter2&name=a.jpg": "^https://h/a: is a signed address",
    "https://h/a.jpg?token=hunter2": "^https://h/a.jpg: is a signed address",
    "https://h/a.jpg?size=2": r'^https://h/a.jpg: has a "\?" or "#" behind it',
}


@pytest.mark.parametrize("uri", HOSTILE)
@pytest.mark.parametrize("way", ["COCO", "remote COCO", "list", "remote list", "typed"])
def test_addresses_that_lead_elsewhere_or_hold_a_secret_are_refused(photos, tmp_path, monkeypatch, way, uri):
    monkeypatch.setattr(remote_inputs, "stat", lambda asked: Stat(1, ""))
    coco = json.dumps({"images": [{"file_name": uri}]})
    (tmp_path / "coco.json").write_text(coco)
    (tmp_path / "list.txt").write_text(uri)
    photos.objects |= {"b/photos/coco.json": coco.encode(), "b/photos/list.txt": uri.encode()}
    given = {
        "COCO": str(tmp_path / "coco.json"),
        "remote COCO": "s3://b/photos/coco.json",
        "list": str(tmp_path / "list.txt"),
        "remote list": "s3://b/photos/list.txt",
        "typed": uri,
    }
    with pytest.raises(StorageError, match=HOSTILE[uri]) as raised:
        found(given[way])
    assert "hunter2" not in str(raised.value)


def test_a_list_behind_a_uri_leads_to_nothing_above_it(photos):
    photos.objects |= {"b/photos/../a.jpg": b"a", "b/photos/list.txt": b"../a.jpg"}
    with pytest.raises(StorageError, match="can lie in no folder"):
        found("s3://b/photos/list.txt")
