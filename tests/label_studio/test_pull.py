"""A project on the disk: an export that the import takes, only new photos fetched, and nothing half-written."""

import errno
import json
from copy import copy
from pathlib import Path

import filelock
import numpy as np
import pytest
from drawn import draw_scene, encode
from fake_label_studio import timeout_for

from campus_seg.errors import ConfigError, LabelStudioError, OutputError
from campus_seg.label_studio.connection import Connection
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.pull import pull_project

CHANGED = "Wed, 25 Nov 2026 08:00:00 GMT"


def annotation(label, ring, width, height):
    """As a person submits it."""
    value = {"points": (np.array(ring) / (width, height) * 100).tolist(), "polygonlabels": [label]}
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    return {"id": label, "type": "polygonlabels", "from_name": "polygon", "to_name": "image", "value": value, **size}


@pytest.fixture
def drawn(label_studio):
    """Four photos, the first three labelled; rings by name."""
    rings = {}
    names = ["1ff778fd-Campus_Süd__a.jpg", "00000000-b.jpg", "00000001-b.jpg", "00000002-c.jpg"]
    for number, name in enumerate(names):
        image, objects = draw_scene(np.random.default_rng(number), 64, 48)
        results = [annotation(label, ring, 64, 48) for label, ring in objects[:1]]
        done = [{"id": number, "result": results, "was_cancelled": False}] if number < 3 else []
        label_studio.add_photo(name, encode(image), annotations=done, total_annotations=len(done))
        rings[name] = objects[0][1]
    return rings


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_pulled_is_an_export(drawn, label_studio, client, tmp_path):
    pulled = pull_project(client(), tmp_path / "new")
    assert (pulled.tasks, pulled.labelled, pulled.fetched, pulled.kept, pulled.failures) == (4, 3, 4, 0, {})
    assert json.loads((tmp_path / "new/project.json").read_bytes()) == label_studio.tasks
    export = read_export(str(tmp_path / "new"), ExportOptions())
    assert [defect["code"] for defect in export.report.defects] == ["task_unlabelled"]
    read = {photo.name.rpartition("/")[2]: photo.annotations[0].rings[0] for photo in export.photos}
    assert set(read) == set(list(drawn)[:3])
    for name, ring in read.items():
        np.testing.assert_allclose(ring, drawn[name], atol=1e-6)


def test_only_new_and_changed_photos_are_fetched_again(drawn, label_studio, client, tmp_path):
    label_studio.files["/data/local-files/"] = (encode(np.zeros((6, 8, 3), np.uint8)), {"Last-Modified": CHANGED})
    label_studio.tasks[3]["data"]["image"] = "/data/local-files/?d=bucket/c.jpg"
    pull_project(client(), tmp_path)
    before = len(label_studio.asked)
    pulled = pull_project(client(), tmp_path)
    assert (pulled.fetched, pulled.kept) == (0, 4)
    photos = [path for _, path, _ in label_studio.asked[before:] if path.startswith("/data/")]
    assert photos == ["/data/local-files/"]  # what was uploaded cannot change
    changed = encode(np.ones((6, 8, 3), np.uint8) * 200)
    label_studio.files["/data/local-files/"] = (changed, {"Last-Modified": CHANGED.replace("08", "09")})
    label_studio.add_photo("00000003-d.jpg", changed)
    pulled = pull_project(client(), tmp_path)
    assert (pulled.fetched, pulled.kept) == (2, 3)
    assert (tmp_path / "images/bucket/c.jpg").read_bytes() == changed


def test_photos_that_cannot_be_had_are_named_and_the_others_come(drawn, label_studio, client, tmp_path):
    missing = label_studio.tasks[1]["data"]["image"]
    del label_studio.files[missing]
    pulled = pull_project(client(), tmp_path)
    assert pulled.fetched == 3 and list(pulled.failures) == [missing]
    assert json.loads((tmp_path / "failures.json").read_text())[0]["file_name"] == missing
    export = read_export(str(tmp_path), ExportOptions())
    assert sorted(defect["code"] for defect in export.report.defects) == ["photo_missing", "task_unlabelled"]


@pytest.mark.parametrize("where", ["/api/projects/1/export", "/data/upload/1/00000001-b.jpg"])
@pytest.mark.parametrize("fault", ["close", "stall"])
def test_a_pull_that_fails_leaves_what_was_there_and_goes_on(where, fault, drawn, label_studio, client, tmp_path):
    label_studio.faults["/api/projects/1/export"] = [400]
    with pytest.raises(LabelStudioError, match="400"):
        pull_project(client(), tmp_path)
    (tmp_path / "project.json").write_text("[]")
    label_studio.faults[where] = [fault] * 4
    with pytest.raises(LabelStudioError, match="cannot be reached|no answer within"):
        pull_project(client(timeout=timeout_for(fault)), tmp_path)
    assert (tmp_path / "project.json").read_text() == "[]"
    assert not [name for name in files(tmp_path) if ".part" in name]
    there = len(list((tmp_path / "images").rglob("*.jpg")))
    pulled = pull_project(client(), tmp_path)
    assert (pulled.kept, pulled.fetched) == (there, 4 - there)


def test_what_a_killed_pull_left_is_removed(drawn, client, tmp_path):
    """It would pass for a second file of labels."""
    pull_project(client(), tmp_path)
    for leftover in (tmp_path / ".12-34.part.json", tmp_path / "images/upload/1/.12-34.part.jpg"):
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.write_text('[{"id": 1, "annotations": [], "data": {}}]')
    pull_project(client(), tmp_path)
    assert not list(tmp_path.rglob("*.part.*"))


def test_two_pulls_do_not_write_at_once(drawn, client, tmp_path):
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(ConfigError, match="another command is writing here"):
        pull_project(client(), tmp_path)


def test_an_export_that_is_cut_is_asked_for_again(drawn, label_studio, client, tmp_path):
    label_studio.faults["/api/projects/1/export"] = ["cut", None]
    assert pull_project(client(), tmp_path).tasks == 4
    label_studio.faults["/api/projects/1/export"] = ["page"]
    with pytest.raises(LabelStudioError, match="its export is no list of tasks"):
        pull_project(client(), tmp_path)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=../../etc/a.jpg", "%2E%2E/%2E%2E/etc/a.jpg"),
        ("/data/local-files/?d=campus set/IMG 1.jpg", "campus set/IMG 1.jpg"),
        ("/data/local-files/?d=a/.b.jpg", "a/%2Eb.jpg"),
        ("/data/local-files/?d=a/b%3Fc.jpg", "a/b%3Fc.jpg"),
        ("/data/local-files/?d=C:%5Ca.jpg", "C%3A/a.jpg"),
    ],
)
def test_names_are_safe_on_any_disk_and_the_import_finds_them(address, name, drawn, label_studio, client, tmp_path):
    label_studio.files["/data/local-files/"] = label_studio.files[label_studio.tasks[0]["data"]["image"]]
    label_studio.tasks[0].update(data={"image": address}, file_upload=None)
    pull_project(client(), tmp_path / "new")
    assert f"images/{name}" in files(tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    export = read_export(str(tmp_path / "new"), ExportOptions())
    assert {photo.name for photo in export.photos} >= {f"images/{name}"}


def test_photos_that_nothing_tells_apart_are_named_and_the_others_come(drawn, label_studio, client, tmp_path):
    addresses = ["http://one/a.jpg", "http://two/a.jpg", "http://three/"]
    for task, address in zip(label_studio.tasks, addresses, strict=False):
        task["data"]["image"] = address
    pulled = pull_project(client(), tmp_path)
    assert pulled.fetched == 1 and list(pulled.failures) == addresses
    assert "has one path with http://two/a.jpg" in pulled.failures["http://one/a.jpg"]
    assert "has no path" in pulled.failures["http://three/"]


def test_paths_that_cannot_both_be_files_or_are_too_long(drawn, label_studio, client, tmp_path):
    photo = label_studio.files[label_studio.tasks[0]["data"]["image"]]
    deep = "/".join(["x" * 200] * 25)
    paths = ["/a.jpg", "/a.jpg/b.jpg", f"/{deep}/c.jpg"]
    for task, path in zip(label_studio.tasks, paths, strict=False):
        task["data"]["image"] = path
        label_studio.files[path] = photo
    pulled = pull_project(client(), tmp_path)
    assert pulled.fetched == 2 and len(pulled.failures) == 2
    assert all("its path cannot be a file's here" in reason for reason in pulled.failures.values())
    assert f"/{deep}/c.jpg" in pulled.failures
    assert (tmp_path / "images/a.jpg").exists() and (tmp_path / "project.json").exists()


def test_a_folder_where_a_photo_was_and_the_other_way_round(drawn, label_studio, client, tmp_path):
    photo = label_studio.files[label_studio.tasks[0]["data"]["image"]]
    for first, then in (("/a.jpg", "/a.jpg/b.jpg"), ("/c/d.jpg", "/c")):
        label_studio.files[first] = label_studio.files[then] = photo
        label_studio.tasks[0]["data"]["image"] = first
        assert pull_project(client(), tmp_path).failures == {}
        label_studio.tasks[0]["data"]["image"] = then
        assert list(pull_project(client(), tmp_path).failures) == [then]


def test_a_full_disk_is_not_one_photos_fault(drawn, client, tmp_path, monkeypatch):
    def full(path, content):
        if path.suffix == ".jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device.*; make room, and the same command goes on"):
        pull_project(client(), tmp_path)
    assert not (tmp_path / "project.json").exists()


def test_a_folder_is_one_projects(drawn, label_studio, client, tmp_path):
    new = tmp_path / "new"
    pull_project(client(), new)
    before = (new / "project.json").read_bytes()
    mine = client()
    for attribute, value in (("project", 2), ("connection", Connection("http://other", "t"))):
        other = copy(mine)
        setattr(other, attribute, value)
        with pytest.raises(ConfigError, match=f"new: holds project 1 of {label_studio.url}; give another --output"):
            pull_project(other, new)
    assert (new / "project.json").read_bytes() == before
    (new / ".label_studio").write_text("{")
    with pytest.raises(ConfigError, match="says no longer which project lies here"):
        pull_project(mine, new)


def test_a_folder_of_other_files_is_left_alone(drawn, client, tmp_path):
    (tmp_path / "project.json").write_text("mine")
    with pytest.raises(ConfigError, match="holds files, and not of an earlier pull; give another --output"):
        pull_project(client(), tmp_path)
    assert files(tmp_path) == {"project.json"}
    (tmp_path / "project.json").unlink()
    assert pull_project(client(), tmp_path).fetched == 4


def test_a_password_in_an_address_is_not_shown(drawn, label_studio, client, tmp_path):
    label_studio.tasks[0]["data"]["image"] = "http://me:secret@127.0.0.1:9/a.jpg?size=1"
    pulled = pull_project(client(), tmp_path)
    assert list(pulled.failures) == ["http://127.0.0.1:9/a.jpg?size=1"]
    assert "secret" not in (tmp_path / "failures.json").read_text() + str(pulled)


def test_a_buckets_fault_costs_its_photos_alone(drawn, label_studio, client, tmp_path):
    label_studio.tasks[0]["data"]["image"] = "s3://bucket/a.jpg"
    label_studio.redirects["/tasks/1/resolve/"] = "http://127.0.0.1:9/bucket/a.jpg"
    pulled = pull_project(client(), tmp_path)
    assert pulled.fetched == 3 and "http://127.0.0.1:9/bucket/a.jpg" in pulled.failures["s3://bucket/a.jpg"]


def test_names_that_no_disk_takes_and_photos_within_tasks(drawn, label_studio, client, tmp_path):
    label_studio.tasks[0]["data"]["image"] = f"/data/local-files/?d={'a' * 300}.jpg"
    label_studio.files["/data/local-files/"] = label_studio.files["/data/upload/1/00000001-b.jpg"]
    label_studio.tasks[1]["data"]["image"] = "data:image/png;base64,AAAA"
    pulled = pull_project(client(), tmp_path)
    assert pulled.fetched == 2 and ["too long" in reason for reason in pulled.failures.values()] == [True]
