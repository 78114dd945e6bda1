"""An export as a whole: classes, ids, and what is refused."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from drawn import draw_export, read_drawn

from campus_seg.errors import ConfigError, ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.report import ImportReport


def test_ids_and_categories(tmp_path):
    export = draw_export(photos=6)
    result = read_drawn(export, tmp_path)
    assert result.classes == ["car", "dog", "person"]
    assert result.report.unused_labels == ["bench"]
    coco = result.to_coco(result.photos, {photo.name: photo.name for photo in result.photos})
    assert [image["id"] for image in coco["images"]] == list(range(1, 7))
    assert [a["id"] for a in coco["annotations"]] == list(range(1, len(export.coco["annotations"]) + 1))
    assert coco["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "person"}]
    labels = {c["id"]: c["name"] for c in export.coco["categories"]}
    names = {c["id"]: c["name"] for c in coco["categories"]}
    for before, after in zip(export.coco["annotations"], coco["annotations"], strict=True):
        assert names[after["category_id"]] == labels[before["category_id"]]
        np.testing.assert_allclose(after["bbox"], before["bbox"], atol=0.01)


def test_categories_are_known_by_name_against_a_frozen_list(tmp_path):
    export = draw_export(photos=6)
    result = read_drawn(export, tmp_path, classes=("person", "tree", "dog", "car"))
    assert result.classes == ["person", "tree", "dog", "car"]
    with pytest.raises(ExportError, match="class 'car' is not one of CAMPUS.CLASSES"):
        read_drawn(export, tmp_path, classes=("person", "dog"))


def cut(path, tmp_path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


BAD = {
    "nothing given": (lambda e, t: "", "CAMPUS.EXPORT"),
    "not there": (lambda e, t: t / "absent.zip", "no such file"),
    "empty file": (lambda e, t: (t / "empty.zip", (t / "empty.zip").touch())[0], "the file is empty"),
    "no zip": (lambda e, t: (t / "x.zip", (t / "x.zip").write_bytes(b"hello"))[0], "cannot be opened as a zip"),
    "cut zip": (lambda e, t: (e.write_zip(t / "x.zip"), cut(t / "x.zip", t))[0], "cannot be opened as a zip"),
    "text": (lambda e, t: (t / "x.json", (t / "x.json").write_text("hello"))[0], "is no JSON"),
    "no coco": (lambda e, t: (t / "x.json", (t / "x.json").write_text('{"a": 1}'))[0], "no labels in it"),
    "a list that is no tasks": (
        lambda e, t: (t / "x.json", (t / "x.json").write_text('[{"id": 1}]'))[0],
        "is other JSON",
    ),
    "empty folder": (lambda e, t: (t / "d", (t / "d").mkdir())[0], "holds no .json"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_no_export(case, tmp_path):
    make, message = BAD[case]
    path = make(draw_export(photos=2), tmp_path)
    with pytest.raises(ExportError, match=message) as error:
        read_export(str(path), ExportOptions())
    assert str(path) in str(error.value)


def no_images(coco):
    coco["images"] = []
    coco["annotations"] = []


@pytest.mark.parametrize(
    "change, message",
    [
        (no_images, "no labelled photo in it"),
        (lambda coco: coco.update(annotations=[]), "not one object"),
        (lambda coco: coco.pop("categories"), "no COCO list of categories"),
        (lambda coco: coco["images"].append("x"), "no COCO list of images"),
        (lambda coco: coco["images"][0].pop("file_name"), "has no file_name"),
        (lambda coco: coco["images"].append(coco["images"][0]), "two images have the id"),
        (lambda coco: coco["categories"].append({"id": 9}), "a category without a name"),
    ],
)
def test_coco_that_cannot_be_used(change, message, tmp_path):
    export = draw_export(photos=2)
    change(export.coco)
    with pytest.raises(ExportError, match=message) as error:
        read_drawn(export, tmp_path)
    assert "export.zip" in str(error.value)


def test_two_labels_of_one_number_are_refused(tmp_path):
    export = draw_export(photos=2)
    export.coco["categories"][2]["id"] = export.coco["categories"][1]["id"]
    with pytest.raises(ExportError, match="car and dog have both the category id 1; give each label another"):
        read_drawn(export, tmp_path)


def test_a_crowd_is_no_object_and_is_named(tmp_path):
    export = draw_export(photos=2)
    crowd = {"image_id": 0, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 9, 9], "id": 77}
    crowd["segmentation"] = {"size": [96, 128], "counts": [0, 96 * 128]}
    export.coco["annotations"].append(crowd)
    report = read_drawn(export, tmp_path).report
    assert [(d["code"], d["annotation"]) for d in report.defects] == [("annotation_unsupported", 77)]
    assert report.counts["objects"] == len(export.coco["annotations"]) - 1


def test_what_brush_to_coco_lacks_is_noted(tmp_path):
    export = draw_export(photos=2)
    for image in export.coco["images"]:
        image["path"] = image["file_name"]
    (note,) = read_drawn(export, tmp_path).report.notes
    assert "part by part and without holes" in note


@pytest.mark.parametrize("background", ["keep", "drop"])
def test_what_coco_cannot_tell_is_noted(background, tmp_path):
    export = draw_export(photos=3)
    assert read_drawn(export, tmp_path, background=background).report.notes == []
    export.coco["annotations"] = [a for a in export.coco["annotations"] if a["image_id"]]
    (note,) = read_drawn(export, tmp_path, background=background).report.notes
    assert "cannot tell a photo without objects from one that nobody labelled" in note


@pytest.mark.parametrize("policy", ["rectangles", "annotators", "background"])
def test_policies_that_do_not_exist(policy):
    with pytest.raises(ConfigError, match=f"CAMPUS.{policy.upper()} 'Drop': choose one of"):
        ExportOptions(**{policy: "Drop"})
    with pytest.raises(ConfigError, match="stands there twice"):
        ExportOptions(classes=("car", "car"))


def test_a_report_takes_no_unknown_code():
    with pytest.raises(ValueError, match="brand_new has no place"):
        ImportReport().defect("brand_new", None, None, "left out")


def test_a_photo_that_vanishes_while_it_is_copied(tmp_path):
    folder = tmp_path / "e"
    with zipfile.ZipFile(draw_export(photos=2).write_zip(tmp_path / "e.zip")) as archive:
        archive.extractall(folder)
    export = read_export(str(folder), ExportOptions())
    (folder / export.photos[1].name).unlink()
    with pytest.raises(ExportError, match="photo_1.jpg: cannot be read"):
        export.place_photos(tmp_path / "out", copy=True)


def test_no_photos_in_it(tmp_path):
    export = draw_export(photos=2)
    export.photos.clear()
    with pytest.raises(ExportError, match="none of its 2 photos is there.*CAMPUS.IMAGE_ROOT"):
        read_drawn(export, tmp_path)


def test_the_room_imports_neither_torch_nor_detectron2():
    modules = "sys, campus_seg.label_studio.export, campus_seg.photos"
    code = f"import {modules}; print({{'torch', 'detectron2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_real_export(real_exports, tmp_path):
    """Every object that the form can carry, its box and area as truth.json has them."""
    result = read_export(str(real_exports / "coco_with_images_host.zip"), ExportOptions())
    truth = json.loads((real_exports / "truth.json").read_text(encoding="utf-8"))["items"]
    left_out = {"unannotated", "skipped"}
    photos = {photo.name.rsplit("-", 1)[-1].rsplit("_", 1)[-1].rsplit(".", 1)[0]: photo for photo in result.photos}
    assert set(photos) == {item["coco"] for item in truth if item["role"] not in left_out}
    matched, missed = 0, []
    for item in truth:
        if item["role"] not in ("polygon", "png", "unicode", "exif6"):
            continue
        photo = photos[item["coco"]]
        assert (photo.width, photo.height) == (item["W"], item["H"])
        for wanted in item["objects"]:
            if wanted["parts"] > 1 or wanted["area"] < 32 * 32:
                continue  # one region a part; and outlines of a few pixels differ by their rounding
            # A ring says nothing of holes, so the area of an object with one comes out larger.
            found = any(
                a.label == wanted["cls"]
                and np.allclose(a.box, wanted["bbox"], atol=3)
                and a.area > 0.9 * wanted["area"]
                for a in photo.annotations
            )
            matched += found
            if not found:
                missed.append((item["coco"], wanted))
    # truth.json has the true masks; a few outlines were drawn coarser than 3 px.
    assert matched > 60 and len(missed) <= 0.03 * matched, missed
    # The newer of the two annotations of this photo has four objects, the older all five.
    assert len(photos["000000000113"].annotations) == 4
