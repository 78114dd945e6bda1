"""A project on the disk: an export that the import takes, only new photos fetched, and nothing half-written."""

import json

import filelock
import numpy as np
import pytest
from drawn import draw_scene, encode

from campus_seg.errors import ConfigError, LabelStudioError
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
    (tmp_path / "project.json").write_text("[]")
    label_studio.faults[where] = [fault] * 4
    with pytest.raises(LabelStudioError, match="cannot be reached|no answer within"):
        pull_project(client(), tmp_path)
    assert (tmp_path / "project.json").read_text() == "[]"
    assert not [name for name in files(tmp_path) if ".part" in name]
    there = len(list((tmp_path / "images").rglob("*.jpg")))
    pulled = pull_project(client(), tmp_path)
    assert (pulled.kept, pulled.fetched) == (there, 4 - there)


def test_what_a_killed_pull_left_is_removed(drawn, client, tmp_path):
    """It would pass for a second file of labels."""
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


def test_photos_that_nothing_tells_apart(drawn, label_studio, client, tmp_path):
    for task, host in zip(label_studio.tasks, ("one", "two"), strict=False):
        task["data"]["image"] = f"http://{host}/a.jpg"
    with pytest.raises(LabelStudioError, match=r"http://one/a.jpg and http://two/a.jpg \(task 2\) have one path"):
        pull_project(client(), tmp_path)


def test_names_that_no_disk_takes_and_photos_within_tasks(drawn, label_studio, client, tmp_path):
    label_studio.tasks[0]["data"]["image"] = f"/data/local-files/?d={'a' * 300}.jpg"
    label_studio.tasks[1]["data"]["image"] = "data:image/png;base64,AAAA"
    pulled = pull_project(client(), tmp_path)
    assert pulled.fetched == 2 and ["too long" in reason for reason in pulled.failures.values()] == [True]
