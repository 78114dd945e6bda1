"""One photo uploaded twice is one photo."""

import json

import pytest
from drawn import add_polygon, draw_export, read_drawn

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions

RING = [[10, 10], [30, 10], [30, 40]]


def twice(labels):
    """An export of two photos whose first is uploaded again as photo_2; labels: image id -> class of its object."""
    export = draw_export(photos=2)
    export.coco["annotations"] = []
    export.photos["00000002-photo_2.jpg"] = export.photos["00000000-photo_0.jpg"]
    export.coco["images"].append({**export.coco["images"][0], "id": 2, "file_name": "x/00000002-photo_2.jpg"})
    for image, label in labels.items():
        add_polygon(export, image, label, RING)
    return export


@pytest.mark.parametrize(
    "labels, policy, kept, label",
    [
        ({0: "car", 2: "dog"}, "newest", "photo_2", "dog"),  # what was uploaded later counts as newer
        ({0: "car", 2: "dog"}, "oldest", "photo_0", "car"),
        ({0: "car"}, "newest", "photo_0", "car"),  # the other one may not be labelled yet
        ({2: "dog"}, "oldest", "photo_2", "dog"),
        ({0: "car"}, "error", "photo_0", "car"),
    ],
)
def test_the_same_photo_under_two_names(labels, policy, kept, label, tmp_path):
    result = read_drawn(twice({1: "person", **labels}), tmp_path, annotators=policy)
    found = {photo.name[-11:-4]: [a.label for a in photo.annotations] for photo in result.photos}
    assert found == {"photo_1": ["person"], kept: [label]}
    (defect,) = result.report.defects
    assert defect["code"] == "photo_twice" and kept not in defect["photo"]
    assert f"{len(labels) - 1} annotations" in defect["action"] and kept in defect["action"]


def test_two_labelled_copies_are_refused_where_that_is_wanted(tmp_path):
    with pytest.raises(ExportError, match=r"photo_0.jpg: is the same photo as .*photo_2.jpg.*CAMPUS.ANNOTATORS"):
        read_drawn(twice({0: "car", 2: "dog"}), tmp_path, annotators="error")


@pytest.mark.parametrize("policy, label", [("newest", "dog"), ("oldest", "car")])
def test_own_json_says_which_was_labelled_later(policy, label, tmp_path):
    photo = draw_export(photos=1).photos.popitem()[1]
    tasks = []
    for number, (name, time) in enumerate({"dog": "2026-02-02", "car": "2026-01-01"}.items()):
        (tmp_path / f"{name}.jpg").write_bytes(photo)
        shape = {"points": [[10, 10], [50, 10], [50, 50]], "polygonlabels": [name]}
        region = {"type": "polygonlabels", "original_width": 128, "original_height": 96, "value": shape}
        annotation = {"id": number, "result": [region], "updated_at": time}
        tasks.append({"data": {}, "file_upload": f"{name}.jpg", "annotations": [annotation]})
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    result = read_export(str(tmp_path / "tasks.json"), ExportOptions(annotators=policy))
    assert [[a.label for a in photo.annotations] for photo in result.photos] == [[label]]


def test_the_oldest_of_copies_is_the_oldest_annotation_of_all(tmp_path):
    photo = draw_export(photos=1).photos.popitem()[1]
    tasks = []
    for name, labels in {"p1": [("cat", "2026-10-10"), ("car", "2026-01-01")], "p2": [("dog", "2026-05-05")]}.items():
        (tmp_path / f"{name}.jpg").write_bytes(photo)
        annotations = []
        for label, time in labels:
            shape = {"points": [[10, 10], [50, 10], [50, 50]], "polygonlabels": [label]}
            region = {"type": "polygonlabels", "original_width": 128, "original_height": 96, "value": shape}
            annotations.append({"id": len(annotations), "result": [region], "updated_at": time})
        tasks.append({"data": {}, "file_upload": f"{name}.jpg", "annotations": annotations})
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    for policy, label in (("oldest", "car"), ("newest", "cat")):
        (kept,) = read_export(str(tmp_path / "tasks.json"), ExportOptions(annotators=policy)).photos
        assert [a.label for a in kept.annotations] == [label]


def test_photos_of_one_size_are_not_taken_for_one(tmp_path):
    export = draw_export(photos=2)
    first, second = export.photos
    size = max(map(len, export.photos.values()))
    export.photos = {name: content.ljust(size, b"\0") for name, content in export.photos.items()}
    result = read_drawn(export, tmp_path)
    assert len(result.photos) == 2 and not result.report.defects
    hashes = result.content_hashes()
    assert len(set(hashes.values())) == 2
    export.photos[second] = export.photos[first]
    assert len(read_drawn(export, tmp_path).photos) == 1


def test_a_photo_is_known_by_its_content_whatever_it_is_called(tmp_path):
    one = read_drawn(draw_export(photos=3), tmp_path).content_hashes()
    renamed = draw_export(photos=3)
    renamed.photos = {f"x{name}": content for name, content in renamed.photos.items()}
    for image in renamed.coco["images"]:
        image["file_name"] = "x" + image["file_name"].rpartition("/")[2]
    other = read_drawn(renamed, tmp_path).content_hashes()
    assert sorted(one.values()) == sorted(other.values()) and set(one) & set(other) == set()
