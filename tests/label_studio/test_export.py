import json
import subprocess
import sys
import zipfile
from urllib.parse import unquote

import numpy as np
import pytest
from drawn import add_polygon, draw_export, encode
from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions


def read(export, tmp_path, **options):
    return read_export(str(export.write_zip(tmp_path / "export.zip")), ExportOptions(**options))


def annotations_of(result, name):
    return next(photo for photo in result.photos if photo.name.endswith(name)).annotations


def iou(annotation, mask):
    """Mask IoU of an annotation's polygons, rasterised by pycocotools, with a boolean mask."""
    height, width = mask.shape
    rle = coco_mask.merge(coco_mask.frPyObjects(annotation.segmentation, height, width))
    own = coco_mask.decode(rle).astype(bool)
    return (own & mask).sum() / (own | mask).sum()


def red_square(stored_transpose=None, orientation=1):
    """A 120 x 80 photo as seen, grey with a red 30 x 20 rectangle at (10, 50), stored as `stored_transpose` of it."""
    seen = np.full((80, 120, 3), 128, np.uint8)
    seen[50:70, 10:40] = (220, 0, 0)
    stored = seen if stored_transpose is None else stored_transpose(seen)
    mask = np.zeros((80, 120), bool)
    mask[50:70, 10:40] = True
    return encode(np.ascontiguousarray(stored), ending=".png", orientation=orientation), mask


# What each EXIF orientation does to the photo as seen to give the stored one (the inverse of showing it).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_polygons_and_rectangles_sit_on_the_upright_photo(orientation, tmp_path):
    content, mask = red_square(STORED[orientation], orientation)
    export = draw_export(photos=0)
    export.photos["side.png"] = content
    width, height = (120, 80) if orientation <= 4 else (80, 120)  # the server writes the stored size …
    export.coco["images"] = [{"id": 0, "file_name": "x/side.png", "width": width, "height": height}]
    seen = np.array([[10, 50], [40, 50], [40, 70], [10, 70]])
    squashed = seen / (120, 80) * (width, height)  # … and percentages of the photo as seen times that
    add_polygon(export, 0, "car", squashed.tolist())
    rectangle = add_polygon(export, 0, "dog", seen.tolist())  # but rectangles in the size as seen
    rectangle["segmentation"] = []
    result = read(export, tmp_path)
    photo = result.photos[0]
    assert (photo.width, photo.height) == (120, 80)
    assert [iou(a, mask) for a in photo.annotations] == [1.0, 1.0]
    # The same red pixels are there when the photo is read as the model will read it.
    from campus_seg.photos import read_photo

    folder = tmp_path / "photos"
    placed = result.place_photos(folder)
    image = read_photo(folder / placed[photo.name], "RGB")
    np.testing.assert_array_equal((image == (220, 0, 0)).all(axis=2), mask)
    squashed_codes = [d["code"] for d in result.report.defects if d["code"] == "orientation_squashed"]
    assert len(squashed_codes) == (orientation >= 5)


def test_ids_and_categories(tmp_path):
    export = draw_export(photos=6)
    result = read(export, tmp_path)
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
    result = read(export, tmp_path, classes=("person", "tree", "dog", "car"))
    assert result.classes == ["person", "tree", "dog", "car"]
    with pytest.raises(ExportError, match="class 'car' is not one of CAMPUS.CLASSES"):
        read(export, tmp_path, classes=("person", "dog"))


@pytest.mark.parametrize(
    "policy, objects, action", [("mask", 1, "filled"), ("drop", 0, "dropped"), ("error", None, None)]
)
def test_rectangles(policy, objects, action, tmp_path):
    export = draw_export(photos=3)
    before = len(export.coco["annotations"])
    # Sticks out on the left, as a rotated one flattened to its envelope does.
    add_polygon(export, 0, "car", [[-20, 10], [30, 10], [30, 40], [-20, 40]])["segmentation"] = []
    if policy == "error":
        with pytest.raises(ExportError, match="CAMPUS.RECTANGLES"):
            read(export, tmp_path, rectangles=policy)
        return
    result = read(export, tmp_path, rectangles=policy)
    assert result.report.counts["objects"] == before + objects
    assert result.report.counts["rectangle"] == 1
    assert [d["action"] for d in result.report.defects if d["code"] == "rectangle"] == [action]
    if objects:
        box = annotations_of(result, "photo_0.jpg")[-1]
        assert box.box == [0, 10, 30, 30] and box.area == 900


@pytest.mark.parametrize("policy, label", [("newest", "dog"), ("oldest", "car"), ("error", None)])
def test_second_annotators(policy, label, tmp_path):
    export = draw_export(photos=2)
    export.coco["annotations"] = []
    first = dict(export.coco["images"][0])
    export.coco["images"].append({**first, "id": 9})  # newest first: id 0 is newer than id 9
    add_polygon(export, 0, "dog", [[10, 10], [30, 10], [30, 40]])
    add_polygon(export, 9, "car", [[10, 10], [30, 10], [30, 40]])
    if policy == "error":
        with pytest.raises(ExportError, match="labelled by 2 people"):
            read(export, tmp_path, annotators=policy)
        return
    result = read(export, tmp_path, annotators=policy)
    assert [a.label for a in annotations_of(result, "photo_0.jpg")] == [label]
    assert len(result.photos) == 2
    assert result.report.counts["several_annotators"] == 1


@pytest.mark.parametrize("policy, photos", [("keep", 3), ("drop", 2)])
def test_photos_without_objects(policy, photos, tmp_path):
    export = draw_export(photos=3)
    export.coco["annotations"] = [a for a in export.coco["annotations"] if a["image_id"] != 1]
    result = read(export, tmp_path, background=policy)
    assert len(result.photos) == photos
    assert result.report.counts["photos_without_objects"] == (policy == "keep")


@pytest.mark.parametrize(
    "segmentation, code",
    [
        ([[1, 2, 3]], "annotation_malformed"),
        ([["a", 2, 3, 4]], "annotation_malformed"),
        ("polygon", "annotation_malformed"),
        ([[1.0, 2.0, 3.0, 4.0]], "annotation_degenerate"),
        ([[500, 500, 600, 500, 600, 600]], "annotation_degenerate"),
        ([[-30, 10, 30, 10, 30, 40]], "polygon_clipped"),
        ([[10, 10, 40, 40, 40, 10, 10, 40]], "polygon_repaired"),
        ([[10, 10, 40, 40, 40, 10], [50, 50, 50.5, 50, 50, 50.5]], "annotation_degenerate"),
    ],
)
def test_defects_are_named(segmentation, code, tmp_path):
    export = draw_export(photos=2)
    bad = add_polygon(export, 1, "car", [[1, 1], [9, 1], [9, 9]])
    bad["segmentation"] = segmentation
    result = read(export, tmp_path)
    (defect,) = result.report.defects
    assert (defect["code"], defect["annotation"]) == (code, bad["id"])
    assert defect["photo"].endswith("photo_1.jpg")


def test_strays_are_counted(tmp_path):
    export = draw_export(photos=2)
    add_polygon(export, 77, "car", [[1, 1], [9, 1], [9, 9]])
    add_polygon(export, 1, "car", [[1, 1], [9, 1], [9, 9]])["category_id"] = 99
    counts = read(export, tmp_path).report.counts
    assert (counts["annotation_without_photo"], counts["annotation_without_category"]) == (1, 1)
    assert counts["objects"] == counts["annotations_in_export"] - 2


def test_rle(tmp_path):
    export = draw_export(photos=2)
    mask = np.zeros((96, 128), np.uint8, order="F")
    mask[10:40, 20:60] = 1
    mask[20:30, 30:50] = 0  # a hole
    annotation = add_polygon(export, 0, "dog", [[20, 10], [60, 10], [60, 40]])
    rle = coco_mask.encode(mask)
    annotation["segmentation"] = {"size": [96, 128], "counts": rle["counts"].decode()}
    done = annotations_of(read(export, tmp_path), "photo_0.jpg")[-1]
    assert done.area == mask.sum() == 1000
    assert done.box == [20, 10, 40, 30]
    np.testing.assert_array_equal(coco_mask.decode(done.segmentation), mask)
    # Uncompressed: runs of 0 and 1 in columns; the first run is the zeros before the first one.
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    annotation["segmentation"] = {"size": [96, 128], "counts": np.diff(np.concatenate([[0], edges])).tolist()}
    done = annotations_of(read(export, tmp_path), "photo_0.jpg")[-1]
    np.testing.assert_array_equal(coco_mask.decode(done.segmentation), mask)
    annotation["segmentation"] = {"size": [128, 96], "counts": rle["counts"].decode()}
    assert read(export, tmp_path).report.counts["annotation_malformed"] == 1


@pytest.mark.parametrize(
    "counts", ["\u00fc", "~~~~~", "12", "P1" * 50, [], [5, -5, 96 * 128], [96 * 128, True, -1], [96 * 128 + 1], [9.0]]
)
def test_rles_that_are_none(counts, tmp_path):
    """Of most of them pycocotools would make something, out of chance values."""
    export = draw_export(photos=2)
    bad = add_polygon(export, 0, "dog", [[20, 10], [60, 10], [60, 40]])
    bad["segmentation"] = {"size": [96, 128], "counts": counts}
    (defect,) = read(export, tmp_path).report.defects
    assert (defect["code"], defect["annotation"]) == ("annotation_malformed", bad["id"])


@pytest.mark.parametrize(
    "size, codes",
    [
        ((128, 96), []),
        ((None, None), []),
        ((64, 48), ["size_differs"]),
        ((1280, 960), ["size_differs"]),
        ((50, 37), ["size_differs"]),  # 37.5, rounded
        ((50, 38), ["size_differs"]),
        ((129, 96), ["size_differs"]),
        ((96, 128), ["photo_of_other_shape"]),  # without EXIF this is no photo on its side
        ((128, 128), ["photo_of_other_shape"]),
        ((128, 90), ["photo_of_other_shape"]),
        ((1280, 720), ["photo_of_other_shape"]),
    ],
)
def test_stated_and_true_size(size, codes, tmp_path):
    export = draw_export(photos=2)
    export.coco["images"][1].update(width=size[0], height=size[1])
    export.coco["annotations"] = [a for a in export.coco["annotations"] if a["image_id"] == 0]
    ring = np.array([[16, 12], [64, 12], [64, 48]])
    drawn = ring if size[0] is None else ring * size / (128, 96)
    add_polygon(export, 1, "dog", drawn.tolist())
    result = read(export, tmp_path)
    assert [d["code"] for d in result.report.defects] == codes
    if "photo_of_other_shape" in codes:
        assert len(result.photos) == 1
    else:
        (dog,) = annotations_of(result, "photo_1.jpg")
        np.testing.assert_allclose(dog.segmentation[0], ring.ravel())


def without_category(annotation):
    annotation["category_id"] = 99


def rectangle(annotation):
    annotation["segmentation"] = []


def slip(annotation):
    annotation["segmentation"] = [[1, 1, 2, 2]]


@pytest.mark.parametrize("spoil", [without_category, rectangle, slip])
@pytest.mark.parametrize("background", ["keep", "drop"])
def test_a_photo_that_lost_all_its_annotations_is_no_background(spoil, background, tmp_path):
    export = draw_export(photos=2)
    for annotation in export.coco["annotations"]:
        if annotation["image_id"] == 1:
            spoil(annotation)
    result = read(export, tmp_path, rectangles="drop", background=background)
    assert [photo.name for photo in result.photos] == ["images/00000000-photo_0.jpg"]
    counts = result.report.counts
    assert (counts["photo_emptied"], counts["background_dropped"], counts["photos_without_objects"]) == (1, 0, 0)


def test_an_export_of_dropped_rectangles_has_no_object(tmp_path):
    export = draw_export(photos=2)
    for annotation in export.coco["annotations"]:
        rectangle(annotation)
    with pytest.raises(ExportError, match="not one object"):
        read(export, tmp_path, rectangles="drop")


def test_photos_are_found_by_name(tmp_path):
    export = draw_export(photos=4)
    images, photos = export.coco["images"], export.photos
    images[0]["file_name"] = images[0]["file_name"].replace("/", "\\")
    photos["Süd Übersicht.jpg"] = photos.pop("00000001-photo_1.jpg")
    images[1]["file_name"] = "/data/upload/1/S%C3%BCd%20%C3%9Cbersicht.jpg"  # decoded in the zip
    photos["S%C3%BCd%20Nord.jpg"] = photos.pop("00000002-photo_2.jpg")
    images[2]["file_name"] = "/data/upload/1/S%C3%BCd%20Nord.jpg"  # as it stands in the zip
    del photos["00000003-photo_3.jpg"]
    result = read(export, tmp_path)
    assert sorted(photo.name for photo in result.photos) == [
        "images/00000000-photo_0.jpg",
        "images/S%C3%BCd%20Nord.jpg",
        "images/Süd Übersicht.jpg",
    ]
    assert result.report.counts["photo_missing"] == 1


def one_photo(tmp_path, file_name, *files):
    """Writes an export in a folder, of one photo by the name of `file_name`, which lies there under other names."""
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = file_name
    folder = tmp_path / "folder"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(export.photos["00000000-photo_0.jpg"])
    (folder / "result.json").write_text(json.dumps(export.coco))
    return folder


@pytest.mark.parametrize(
    "file_name, files, found",
    [
        ("images/a.jpg", ["images/a.jpg", "b/images/a.jpg"], "images/a.jpg"),
        ("a.jpg", ["a.jpg", "b/a.jpg"], "a.jpg"),
        (r"..\root\setB\a.jpg", ["setA/a.jpg", "setB/a.jpg"], "setB/a.jpg"),
        ("../root/set%20B/a.jpg", ["set A/a.jpg", "set B/a.jpg"], "set B/a.jpg"),
        ("x/u\u0308.jpg", ["images/\u00fc.jpg"], "images/\u00fc.jpg"),
        ("x/\u00fc.jpg", ["images/u\u0308.jpg"], "images/u\u0308.jpg"),
        ("x/a%20b.jpg", ["images/a b.jpg", "images/a%20b.jpg"], "images/a%20b.jpg"),
        ("upload/1/e65ead5a-IMG.jpg", ["IMG.jpg"], "IMG.jpg"),
        ("IMG.jpg", ["images/e65ead5a-IMG.jpg"], "images/e65ead5a-IMG.jpg"),
        ("images/14b5397c__1ff778fd-IMG.jpg", ["IMG.jpg"], "IMG.jpg"),
        ("images/14b5397c__1ff778fd-IMG.jpg", ["00000000__1ff778fd-IMG.jpg"], "00000000__1ff778fd-IMG.jpg"),
        (
            "upload/1/1ff778fd-S%C3%BCd.jpg",
            ["14b5397c__1ff778fd-S%C3%BCd.jpg", "S\u00fcd.jpg"],
            "14b5397c__1ff778fd-S%C3%BCd.jpg",
        ),
    ],
)
def test_the_closest_name_wins(file_name, files, found, tmp_path):
    folder = one_photo(tmp_path, file_name, *files)
    (photo,) = read_export(str(folder), ExportOptions()).photos
    assert photo.name == found


def test_another_upload_of_a_name_is_another_photo(tmp_path):
    folder = one_photo(tmp_path, "upload/1/aaaaaaaa-IMG.jpg", "images/bbbbbbbb-IMG.jpg")
    with pytest.raises(ExportError, match="none of its 1 photos is there"):
        read_export(str(folder), ExportOptions())


def test_an_ambiguous_name_lists_the_candidates_and_a_way_out(tmp_path):
    folder = one_photo(tmp_path, "../set/a.jpg", "x/set/a.jpg", "y/set/a.jpg", "z/a.jpg")
    with pytest.raises(ExportError, match=r"could be any of x/set/a.jpg, y/set/a.jpg; give CAMPUS.IMAGE_ROOT"):
        read_export(str(folder), ExportOptions())
    (photo,) = read_export(str(folder), ExportOptions(image_root=str(folder / "y/set"))).photos
    assert photo.name == "y/set/a.jpg"


def test_image_root_adds_to_the_photos_of_the_export(tmp_path):
    export = draw_export(photos=4)
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    (root / "images/00000000-photo_0.jpg").write_bytes(b"not this one: the export has its own")
    (root / "images/photo_1.jpg").write_bytes(export.photos.pop("00000001-photo_1.jpg"))
    result = read(export, tmp_path, image_root=str(root))
    assert [photo.name for photo in result.photos] == [
        "images/00000000-photo_0.jpg",
        "images/00000002-photo_2.jpg",
        "images/00000003-photo_3.jpg",
        "images/photo_1.jpg",
    ]
    placed = result.place_photos(tmp_path / "placed")
    assert placed["images/photo_1.jpg"] == str(root / "images/photo_1.jpg")
    assert result.report.counts["photos"] == 4 and not result.report.defects


def test_the_photos_of_the_export_come_first(tmp_path):
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = "00000000-photo_0.jpg"  # as BRUSH_TO_COCO writes it
    (tmp_path / "00000000-photo_0.jpg").write_bytes(b"no photo")
    (photo,) = read(export, tmp_path, image_root=str(tmp_path)).photos
    assert photo.name == "images/00000000-photo_0.jpg"


def test_beside_a_json_lies_what_image_root_lacks(tmp_path):
    folder = one_photo(tmp_path, "upload/1/a.jpg", "a.jpg")
    root = tmp_path / "root"
    root.mkdir()
    assert read_export(str(folder / "result.json"), ExportOptions(image_root=str(root))).photos[0].name == "a.jpg"
    (root / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    result = read_export(str(folder / "result.json"), ExportOptions(image_root=str(root)))
    assert result.index.path(result.photos[0].name) == root / "a.jpg"


def two_of_one_name(tmp_path, *files):
    """Writes an export of setB/IMG.jpg with a dog and setA/IMG.jpg with a car, one photo under the given names."""
    export = draw_export(photos=2)
    export.coco["annotations"] = []
    for i, (part, label) in enumerate([("setB", "dog"), ("setA", "car")]):
        export.coco["images"][i]["file_name"] = f"../root/{part}/IMG.jpg"
        add_polygon(export, i, label, [[10, 10], [30, 10], [30, 40]])
    content = export.photos["00000000-photo_0.jpg"]
    export.photos = dict.fromkeys(files, content)
    return export


def test_labels_of_a_missing_photo_land_on_no_other(tmp_path):
    result = read(two_of_one_name(tmp_path, "setA/IMG.jpg"), tmp_path)
    assert [a.label for a in annotations_of(result, "setA/IMG.jpg")] == ["car"]
    (defect,) = result.report.defects
    assert (defect["code"], defect["photo"]) == ("photo_missing", "../root/setB/IMG.jpg")
    both = read(two_of_one_name(tmp_path, "setA/IMG.jpg", "setB/IMG.jpg"), tmp_path)
    assert [a.label for photo in both.photos for a in photo.annotations] == ["car", "dog"]
    with pytest.raises(ExportError, match=r"both ../root/setB/IMG.jpg and ../root/setA/IMG.jpg lead to it"):
        read(two_of_one_name(tmp_path, "IMG.jpg"), tmp_path)


def test_several_coco_files_are_listed(tmp_path):
    folder = one_photo(tmp_path, "a.jpg", "a.jpg")
    (folder / "old").mkdir()
    (folder / "old/result_coco.json").write_text((folder / "result.json").read_text())
    with pytest.raises(ExportError, match=r"several COCO files \(.*old/result_coco.json, .*folder/result.json\)"):
        read_export(str(folder), ExportOptions())
    assert len(read_export(str(folder / "result.json"), ExportOptions()).photos) == 1


def test_every_photo_is_placed_under_a_name_of_its_own(tmp_path):
    export = draw_export(photos=4)
    names = ["a/2_p.jpg", "b/p.jpg", "c/p.jpg", "d/P.JPG"]
    export.photos = dict(zip(names, export.photos.values(), strict=True))
    for image, name in zip(export.coco["images"], names, strict=True):
        image["file_name"] = f"images/{name}"
    placed = read(export, tmp_path).place_photos(tmp_path / "placed")
    assert {name.casefold() for name in placed.values()} == {"2_p.jpg", "p.jpg", "3_p.jpg", "4_p.jpg"}
    for name, file in placed.items():
        assert (tmp_path / "placed" / file).read_bytes() == export.photos[name.removeprefix("images/")]


def test_folder_zip_and_bare_json_give_the_same(tmp_path):
    export = draw_export(photos=4)
    archive = export.write_zip(tmp_path / "export.zip")
    folder = tmp_path / "folder"
    with zipfile.ZipFile(archive) as z:
        z.extractall(folder)
    by_form = {
        "zip": read_export(str(archive), ExportOptions()),
        "folder": read_export(str(folder), ExportOptions()),
        "json": read_export(str(folder / "result.json"), ExportOptions()),
        "json elsewhere": read_export(str(folder / "result.json"), ExportOptions(image_root=str(folder / "images"))),
    }
    cocos = []
    for form, result in by_form.items():
        target = tmp_path / form
        placed = result.place_photos(target)
        cocos.append(result.to_coco(result.photos, {p.name: p.name.split("/")[-1] for p in result.photos}))
        for photo in result.photos:
            assert (target / placed[photo.name]).read_bytes() == export.photos[photo.name.split("/")[-1]]
    assert all(coco == cocos[0] for coco in cocos)


def test_unreadable_photos_are_left_out_and_named(tmp_path):
    export = draw_export(photos=3)
    export.photos["00000001-photo_1.jpg"] = b"no photo"
    export.photos["00000002-photo_2.jpg"] = export.photos["00000002-photo_2.jpg"][:-500]
    result = read(export, tmp_path)
    assert [photo.name for photo in result.photos] == ["images/00000000-photo_0.jpg"]
    assert [(d["code"], d["photo"]) for d in result.report.defects] == [
        ("photo_unreadable", "images/00000001-photo_1.jpg"),
        ("photo_unreadable", "images/00000002-photo_2.jpg"),
    ]
    assert "cut short" in result.report.defects[1]["action"]


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
    "no coco": (lambda e, t: (t / "x.json", (t / "x.json").write_text('{"a": 1}'))[0], "no COCO in it"),
    "native": (lambda e, t: (t / "x.json", (t / "x.json").write_text('[{"id": 1}]'))[0], "native Label Studio JSON"),
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
        (no_images, "no photo in it"),
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
        read(export, tmp_path)
    assert "export.zip" in str(error.value)


def test_no_photos_in_it(tmp_path):
    export = draw_export(photos=2)
    export.photos.clear()
    with pytest.raises(ExportError, match="none of its 2 photos is there.*CAMPUS.IMAGE_ROOT"):
        read(export, tmp_path)


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


def test_a_real_export_lacking_one_photo_that_lies_in_image_root(real_exports, tmp_path):
    """The server leaves it out of the zip for its name; in the server's own folder the name is not encoded."""
    with zipfile.ZipFile(real_exports / "coco_with_images_host.zip") as archive:
        (name,) = (name for name in archive.namelist() if "__1ff778fd-" in name)
        content = archive.read(name)
    lacking = str(real_exports / "coco_with_images.zip")
    assert read_export(lacking, ExportOptions()).report.counts["photo_missing"] == 1
    upload = unquote(name.partition("__")[2])
    for file in (upload, upload.partition("-")[2]):
        root = tmp_path / file
        root.mkdir()
        (root / file).write_bytes(content)
        counts = read_export(lacking, ExportOptions(image_root=str(root))).report.counts
        assert counts["photo_missing"] == 0
        assert counts["photos"] == len({i["file_name"] for i in coco_of(lacking)["images"]})


def coco_of(archive):
    with zipfile.ZipFile(archive) as z:
        return json.loads(z.read("result.json"))
