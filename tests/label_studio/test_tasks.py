"""Which tasks of a native export wait for a label."""

import json
import zipfile

import pytest

from campus_seg.errors import ExportError
from campus_seg.label_studio.tasks import read_tasks


def region(label):
    points = [[10, 10], [60, 10], [60, 60]]
    size = {"original_width": 60, "original_height": 40, "image_rotation": 0}
    return {"type": "polygonlabels", **size, "value": {"polygonlabels": [label], "points": points}}


def annotation(number, *labels, updated="2026-01-01", cancelled=False):
    result = [region(label) for label in labels]
    return {"id": number, "result": result, "was_cancelled": cancelled, "updated_at": updated}


def task(number, *annotations):
    return {"id": number, "annotations": list(annotations), "data": {"image": f"/data/upload/1/photo_{number}.jpg"}}


def write(folder, *tasks, without=()):
    folder.mkdir(exist_ok=True)
    (folder / "project.json").write_text(json.dumps(tasks))
    for each in tasks:
        if each["id"] not in without:
            (folder / f"photo_{each['id']}.jpg").write_bytes(b"\xff\xd8")  # not opened
    return folder


def test_labelled_and_unlabelled_tasks(tmp_path):
    old, new = annotation(1, "dog"), annotation(2, "car", "car", updated="2026-02-01")
    export = write(
        tmp_path,
        task(3, old, new),  # by two people: the newer one counts
        task(4),
        task(5, annotation(3)),  # nothing is on it, and somebody has said so
        task(6, annotation(4, cancelled=True)),  # skipped
        task(7),
        task(8),
        task(9, annotation(5, "dog")),
        without=(8, 9),
    )
    tasks = read_tasks(str(export))
    path = {number: tmp_path / f"photo_{number}.jpg" for number in range(1, 8)}
    assert [(each.id, each.path, each.labels) for each in tasks.labelled] == [
        (3, path[3], ("car", "car")),
        (5, path[5], ()),
        (9, None, ("dog",)),  # its labels count, whether or not the photo is there
    ]
    assert [(each.id, each.path) for each in tasks.unlabelled] == [(4, path[4]), (7, path[7]), (8, None)]
    assert tasks.missing == ["/data/upload/1/photo_9.jpg", "/data/upload/1/photo_8.jpg"]


def test_photos_that_lie_elsewhere(tmp_path):
    export = write(tmp_path / "export", task(1), without=(1,))
    assert read_tasks(str(export)).missing
    write(tmp_path / "photos", task(1))
    (tmp_path / "photos/project.json").unlink()
    assert [each.id for each in read_tasks(str(export), str(tmp_path / "photos")).unlabelled] == [1]


def test_a_coco_export_does_not_say_it(tmp_path):
    coco = {"images": [], "categories": [], "annotations": [], "info": {}}
    (tmp_path / "result.json").write_text(json.dumps(coco))
    with pytest.raises(ExportError, match="does not say which photos are unlabelled; pull the project"):
        read_tasks(str(tmp_path))


def test_photos_in_an_archive_are_refused(tmp_path):
    folder = write(tmp_path / "export", task(1))
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    with pytest.raises(ExportError, match="photo_1.jpg: lies in an archive; unpack it"):
        read_tasks(str(tmp_path / "e.zip"))
