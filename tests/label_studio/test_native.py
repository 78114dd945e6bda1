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


CAR = polygon("car", (10, 10), (40, 10), (40, 30))
ONE, TWO = "00000001-photo 1.png", "00000002-photo 2.png"


@pytest.mark.parametrize("upload", ["e65ead5a-tasks.json", "e65ead5a-tasks.csv", "e65ead5a-photos.txt", None])
def test_tasks_that_came_from_a_list_have_their_photos_in_their_data(upload, tmp_path):
    """`file_upload` is then the list, and the same for all of them."""
    data = [{"captured": "2026-01-01T09:30:00.0Z", "image": f"s3://bucket/set #1/{name}"} for name in (ONE, TWO)]
    tasks = [task(i, annotation(i, CAR), file_upload=upload, data=data[i]) for i in (0, 1)]
    result = read(tasks, tmp_path)
    assert [photo.name for photo in result.photos] == [ONE, TWO]
    assert result.report.counts["photo_elsewhere"] == 0  # their upload prefixes tell them


@pytest.mark.parametrize(
    "data, changes",
    [
        ({"left": f"/data/upload/1/{ONE}", "right": f"/data/upload/1/{TWO}"}, {}),
        ({"pages": [f"/data/upload/1/{ONE}", f"/data/upload/1/{TWO}"]}, {"item_index": 1}),
        ({"image": f"/data/upload/1/{ONE}"}, {"to_name": "other"}),
        ({"image": f"/data/upload/1/{ONE}"}, {"item_index": 1}),
    ],
)
def test_a_task_of_several_photos_puts_no_object_on_the_wrong_one(data, changes, tmp_path):
    dog = polygon("dog", (1, 1), (30, 1), (30, 20))
    several = task(3, annotation(3, {"to_name": "image", **CAR}, {"to_name": "image", **dog, **changes}))
    several |= {"file_upload": None, "data": data}
    good = task(5, annotation(5, CAR))
    result = read([several, good], tmp_path)
    assert [photo.name for photo in result.photos] == ["00000005-photo 5.png"]
    (defect,) = result.report.defects
    assert defect["code"] == "task_of_several_photos" and defect["photo"].endswith(ONE)


def test_two_tasks_of_one_photo(tmp_path):
    """The later one counts, unless it was submitted empty: then what is there is kept."""
    dog = polygon("dog", (1, 1), (30, 1), (30, 20))
    one = task(1, annotation(1, CAR, updated="2026-01-01"))
    later = {**task(2, annotation(2, dog, updated="2026-05-05")), "file_upload": ONE}
    for tasks in ([one, later], [later, one]):
        for policy, label in (("newest", "dog"), ("oldest", "car")):
            result = read(tasks, tmp_path, annotators=policy)
            assert [a.label for a in annotations_of(result, ONE)] == [label]
    empty = {**task(2, annotation(2, updated="2026-05-05")), "file_upload": ONE}
    for policy in ("newest", "oldest"):
        assert [a.label for a in annotations_of(read([one, empty], tmp_path, annotators=policy), ONE)] == ["car"]


@pytest.mark.parametrize("times", [(None, "2026-01-01"), ("2026-01-01", "2026-01-01")])
def test_without_a_time_of_change_that_of_creation_or_the_number_counts(times, tmp_path):
    older = {**annotation(9, CAR), "updated_at": times[0], "created_at": "2025-12-31"}
    newer = {**annotation(10, polygon("dog", (1, 1), (30, 1), (30, 20))), "updated_at": times[1]}
    result = read([task(1, newer, older)], tmp_path)
    assert [a.label for a in annotations_of(result, ONE)] == ["dog"]


def test_an_annotation_that_is_left_out_beside_another_is_named(tmp_path):
    broken = {**annotation(3), "result": None}
    tasks = [task(1, annotation(1, CAR), annotation(2, CAR, cancelled=True), broken)]
    defects = read(tasks, tmp_path).report.defects
    assert [(d["code"], d["annotation"]) for d in defects] == [("annotation_skipped", 2), ("annotation_malformed", 3)]


def test_a_photo_inside_the_json_is_none_that_is_found(tmp_path):
    tasks = [
        task(1, annotation(1, CAR)),
        task(2, file_upload=None, data={"image": "data:image/png;base64," + "A" * 999}),
    ]
    (defect,) = read(tasks, tmp_path).report.defects
    assert defect["code"] == "task_without_photo" and len(json.dumps(defect)) < 300


def test_stored_sizes_of_predictions_are_those_of_the_photo_as_seen(tmp_path):
    """Of a photo on its side, polygon and rectangle of the same percentages are the same: no quirk of COCO's here."""
    (tmp_path / "side.png").write_bytes(encode(np.zeros((WIDTH, HEIGHT, 3), np.uint8), ending=".png", orientation=6))
    stored = {"original_width": HEIGHT, "original_height": WIDTH}
    box = {**rectangle("dog", 10, 10, 30, 20), **stored}
    shape = {**polygon("dog", (10, 10), (40, 10), (40, 30), (10, 30)), **stored}
    side = {**task(1, annotation(1, box, shape)), "file_upload": "side.png"}
    first, second = annotations_of(read([side], tmp_path), "side.png")
    np.testing.assert_allclose(first.box, [10, 10, 30, 20])
    np.testing.assert_allclose(second.box, first.box)


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


def test_each_photo_knows_its_task(tmp_path):
    """So that whoever finds a wrong label knows where to put it right."""
    square = polygon("car", (10, 10), (30, 10), (30, 30), (10, 30))
    tasks = [task(2, annotation(1, square)), task(0, annotation(2, square)), task(1, annotation(3, square))]
    tasks[2]["id"] = {"not": "a number"}
    export = read(tasks, tmp_path)
    assert [photo.task for photo in export.photos] == [0, None, 2]
    coco = export.to_coco(export.photos, {photo.name: photo.name for photo in export.photos})
    assert [image.get("task", "none") for image in coco["images"]] == [0, "none", 2]
