"""The file of labels, known by its content, however its JSON was written."""

import json
import zipfile

import pytest
from drawn import draw_export

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions


def write(tmp_path, labels, name="result.json"):
    export = draw_export(photos=2)
    for photo, content in export.photos.items():
        (tmp_path / photo).write_bytes(content)
    (tmp_path / name).write_bytes(labels)
    return tmp_path


@pytest.mark.parametrize("name", ["labels", "result.txt", "RESULT.JSON", "a.b/c"])
@pytest.mark.parametrize("form", ["folder", "bare", "zip"])
def test_labels_are_known_by_their_content(name, form, tmp_path):
    (tmp_path / "e/a.b").mkdir(parents=True)
    folder = write(tmp_path / "e", json.dumps(draw_export(photos=2).coco).encode(), name)
    path = {"folder": folder, "bare": folder / name, "zip": tmp_path / "packed"}[form]
    if form == "zip":  # without its ending
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*"):
                if file.is_file():
                    archive.write(file, file.relative_to(folder))
    root = str(folder) if form == "bare" else ""  # beside it lie no photos where it is in a folder of its own
    assert len(read_export(str(path), ExportOptions(image_root=root)).photos) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_of_json(encoding, tmp_path):
    text = json.dumps(draw_export(photos=2).coco, ensure_ascii=False).replace("car", "Möbel")
    export = read_export(str(write(tmp_path, text.encode(encoding))), ExportOptions())
    assert export.classes == ["dog", "Möbel", "person"] or export.classes == ["dog", "person", "Möbel"]


def test_nan_and_infinity_in_one_annotation_cost_that_one_alone(tmp_path):
    coco = draw_export(photos=2).coco
    for _ in range(4):
        coco["annotations"].append({**coco["annotations"][0], "id": len(coco["annotations"])})
    coco["annotations"] = coco["annotations"][::-1]
    for number, annotation in enumerate(coco["annotations"]):
        annotation["id"], annotation["segmentation"] = number, [list(annotation["segmentation"][0])]
    coco["annotations"][0]["segmentation"][0][3] = float("nan")
    coco["annotations"][1]["segmentation"][0][0] = float("inf")
    coco["annotations"][2]["area"] = float("nan")
    coco["annotations"][3]["segmentation"] = [[10**400] * 6]
    report = read_export(str(write(tmp_path, json.dumps(coco).encode())), ExportOptions()).report
    assert [(d["code"], d["annotation"]) for d in report.defects] == [("annotation_malformed", i) for i in (0, 1, 3)]
    assert report.counts["objects"] == len(coco["annotations"]) - 3


@pytest.mark.parametrize(
    "content, message",
    [
        (b"[" * 100_000, "is no JSON"),
        (b'{"images": [], "annotations": [}', "is no JSON"),
        (
            b'{"images": [{"id": 1, "file_name": "\xff"}], "annotations": [], "categories": []}',
            "no COCO list of images",
        ),
        (
            b'{"images": [{"id": 1, "file_name": "\\ud800"}], "annotations": [], "categories": []}',
            "is no JSON",
        ),
        (b"7", "is other JSON"),
        (b"null", "is other JSON"),
        (b'"text"', "is other JSON"),
        (b'{"images": 1, "annotations": []}', "is other JSON"),
        (b'[{"image": "a.jpg", "id": 1, "annotation_id": 2, "polygon": []}]', "is JSON_MIN"),
    ],
)
def test_what_is_no_file_of_labels(content, message, tmp_path):
    with pytest.raises(ExportError, match=message) as error:
        read_export(str(write(tmp_path, content)), ExportOptions())
    assert "result.json" in str(error.value) and "export" in str(error.value)


def test_a_batch_with_one_rle_reads_the_polygons_beside_it(tmp_path):
    """Outlines of a batch are decoded at once, and one by one where one of them is no outline."""
    coco = draw_export(photos=2).coco
    plain = read_export(str(write(tmp_path, json.dumps(coco).encode())), ExportOptions())
    last = {**coco["annotations"][-1], "id": 99, "segmentation": {"size": [96, 128], "counts": [5000, 50, 7238]}}
    coco["annotations"].append(last)
    mixed = read_export(str(write(tmp_path, json.dumps(coco).encode())), ExportOptions())
    before, after = ([a for photo in e.photos for a in photo.annotations] for e in (plain, mixed))
    assert after[-1].area == 50 and len(after) == len(before) + 1
    assert [(a.label, a.box, a.area, a.segmentation) for a in after[:-1]] == [
        (a.label, a.box, a.area, a.segmentation) for a in before
    ]
