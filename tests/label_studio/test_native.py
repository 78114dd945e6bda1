"""Label Studio's own JSON: every kind of region, annotators, skipped and unlabelled tasks."""

import copy
import json
import zipfile

import numpy as np
import pytest
from brush import pack
from drawn import annotations_of, encode
from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions

WIDTH, HEIGHT = 60, 40


def region(kind, label, **value):
    labels = [label] if label else []
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": f"{kind}-{label}", "type": kind, **size, "value": {kind: labels, **value}}


def polygon(label, *points):
    return region("polygonlabels", label, points=[[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points])


def rectangle(label, x, y, width, height, rotation=0):
    percent = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT}
    percent |= {"width": 100 * width / WIDTH, "height": 100 * height / HEIGHT}
    return region("rectanglelabels", label, rotation=rotation, **percent)


def brush(label, mask):
    picture = np.zeros((*mask.shape, 4), np.uint8)
    picture[mask] = (255, 0, 0, 255)
    return region("brushlabels", label, format="rle", rle=pack(picture))


def annotation(number, *regions, updated="2026-01-01", cancelled=False):
    return {"id": number, "result": list(regions), "was_cancelled": cancelled, "updated_at": updated}


def task(number, *annotations, **keys):
    photo = f"{number:08x}-photo {number}.png"
    return {"id": number, "annotations": list(annotations), "data": {"image": "x"}, "file_upload": photo, **keys}


def read(tasks, tmp_path, **options):
    for number in range(6):
        name = f"{number:08x}-photo {number}.png"
        (tmp_path / name).write_bytes(encode(np.full((HEIGHT, WIDTH, 3), 90 + number, np.uint8), ending=".png"))
    (tmp_path / "native.json").write_text(json.dumps(tasks))
    return read_export(str(tmp_path / "native.json"), ExportOptions(**options))


def mask_of(done):
    if isinstance(done.segmentation, dict):
        return coco_mask.decode(done.segmentation).astype(bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(done.segmentation, HEIGHT, WIDTH))).astype(bool)


def test_every_kind_of_region(tmp_path):
    painted = np.zeros((HEIGHT, WIDTH), bool)
    painted[5:20, 5:20] = True
    painted[10:15, 10:15] = False  # a hole
    painted[30:35, 40:50] = True  # and a second part
    regions = [
        polygon("car", (10, 10), (40, 10), (40, 30), (10, 30)),
        brush("dog", painted),
        rectangle("person", 20, 10, 10, 20, rotation=90),
        {"type": "choices", "value": {"choices": ["sunny"]}},
    ]
    result = read([task(1, annotation(1, *regions))], tmp_path)
    car, dog, person = annotations_of(result, "photo 1.png")
    assert (car.label, car.box, car.area) == ("car", [10, 10, 30, 20], 600)
    np.testing.assert_array_equal(mask_of(dog), painted)
    assert dog.area == painted.sum() == 200 + 50
    # Turned clockwise by a quarter about its corner (20, 10): 20 to the left, 10 down.
    np.testing.assert_allclose(person.box, [0, 10, 20, 10], atol=1e-9)
    assert person.area == pytest.approx(200)
    assert result.report.counts["rectangle"] == 1


@pytest.mark.parametrize("policy, label", [("newest", "dog"), ("oldest", "car")])
def test_annotators_by_their_time_and_not_their_place(policy, label, tmp_path):
    shapes = [(10, 10), (40, 10), (40, 30)]
    older = annotation(5, polygon("car", *shapes), updated="2026-01-01T10:00:00Z")
    newer = annotation(4, polygon("dog", *shapes), updated="2026-01-02T09:00:00Z")
    for order in ([older, newer], [newer, older]):
        result = read([task(1, *order)], tmp_path, annotators=policy)
        assert [a.label for a in annotations_of(result, "photo 1.png")] == [label]
        assert result.report.counts["several_annotators"] == 1


def test_empty_skipped_and_unlabelled_are_told_apart(tmp_path):
    car = polygon("car", (10, 10), (40, 10), (40, 30))
    tasks = [task(1, annotation(1, car)), task(2, annotation(2)), task(3, annotation(3, car, cancelled=True)), task(4)]
    tasks.append({"id": 5, "annotations": [annotation(4, car)], "data": {}})
    report = read(tasks, tmp_path).report
    assert (report.counts["photos"], report.counts["photos_without_objects"]) == (2, 1)
    assert [(d["code"], d["photo"]) for d in report.defects] == [
        ("task_skipped", "00000003-photo 3.png"),
        ("task_unlabelled", "00000004-photo 4.png"),
        ("task_without_photo", None),
    ]


@pytest.mark.parametrize(
    "data, found",
    [
        ({"image": "/data/upload/1/00000002-photo%202.png"}, True),
        ({"image": "/data/local-files/?d=campus/00000002-photo 2.png"}, True),
        ({"title": "a", "image": "https://example.org/00000002-photo%202.png?x=1"}, True),  # by name, never fetched
        ({"image": "/data/upload/1/other.png"}, False),
    ],
)
def test_photos_by_their_address(data, found, tmp_path):
    car = polygon("car", (10, 10), (40, 10), (40, 30))
    tasks = [task(1, annotation(1, car)), task(2, annotation(2, car), file_upload=None, data=data)]
    result = read(tasks, tmp_path)
    assert [photo.name[-11:] for photo in result.photos] == ["photo 1.png", "photo 2.png"][: 1 + found]


def spoil(path, value):
    def change(one):
        node = one
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "index, change, code",
    [
        (0, spoil(["value", "points"], "x"), "annotation_malformed"),
        (0, spoil(["value", "points"], []), "annotation_malformed"),
        (0, spoil(["value", "points"], [[1, 2], [3]]), "annotation_malformed"),
        (0, spoil(["value", "points"], [[1, 2], [3, None], [4, 5]]), "annotation_malformed"),
        (0, spoil(["value", "polygonlabels"], []), "annotation_without_category"),
        (0, spoil(["original_width"], None), "annotation_malformed"),
        (0, spoil(["image_rotation"], 90), "annotation_malformed"),
        (0, spoil(["value"], 7), "annotation_without_category"),
        (1, spoil(["value", "width"], "wide"), "annotation_malformed"),
        (2, spoil(["value", "rle"], [1, 2, 3]), "annotation_malformed"),
    ],
)
def test_regions_that_make_no_sense_are_named(index, change, code, tmp_path):
    painted = np.zeros((HEIGHT, WIDTH), bool)
    painted[5:20, 5:20] = True
    regions = [polygon("car", (1, 1), (30, 1), (30, 20)), rectangle("dog", 1, 1, 9, 9), brush("person", painted)]
    regions = copy.deepcopy(regions)
    change(regions[index])
    good = task(2, annotation(2, polygon("car", (1, 1), (30, 1), (30, 20))))
    result = read([task(1, annotation(1, *regions)), good], tmp_path, rectangles="mask")
    assert result.report.counts[code] == 1
    assert result.report.counts["objects"] == 3  # the other two, and that of the second photo


@pytest.mark.parametrize("tasks", [[{"annotations": [], "data": {}}, 3], [{"annotations": 1, "data": {}}]])
def test_tasks_that_are_none(tasks, tmp_path):
    with pytest.raises(ExportError, match="no list of tasks"):
        read(tasks, tmp_path)


def test_a_real_export_has_every_object(real_exports, tmp_path):
    """Each object of each task that was labelled, in the number, with box and area, that truth.json has."""
    with zipfile.ZipFile(real_exports / "coco_with_images_host.zip") as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("images/")])
    result = read_export(str(real_exports / "native.json"), ExportOptions(image_root=str(tmp_path / "images")))
    truth = json.loads((real_exports / "truth.json").read_text(encoding="utf-8"))["items"]
    photos = {photo.name.rsplit("-", 1)[-1].rsplit("_", 1)[-1].rsplit(".", 1)[0]: photo for photo in result.photos}
    wanted = {item["coco"]: item for item in truth if item["role"] not in ("unannotated", "skipped")}
    assert set(photos) == set(wanted)
    brushed = 0
    for name, item in wanted.items():
        if item["role"] != "brush":
            continue
        for thing in item["objects"]:  # drawn to the pixel, holes and parts included
            brushed += any(
                a.label == thing["cls"]
                and np.allclose(a.box, thing["bbox"], atol=1)
                and abs(a.area - thing["area"]) <= 0.01 * thing["area"] + 2
                for a in photos[name].annotations
            )
    assert brushed == sum(len(item["objects"]) for item in truth if item["role"] == "brush") > 10
