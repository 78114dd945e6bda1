"""One photo of an export: orientation, size, policies and defects."""

import numpy as np
import pytest
from drawn import add_polygon, annotations_of, draw_export, encode, read_drawn
from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError


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
    result = read_drawn(export, tmp_path)
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
            read_drawn(export, tmp_path, rectangles=policy)
        return
    result = read_drawn(export, tmp_path, rectangles=policy)
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
            read_drawn(export, tmp_path, annotators=policy)
        return
    result = read_drawn(export, tmp_path, annotators=policy)
    assert [a.label for a in annotations_of(result, "photo_0.jpg")] == [label]
    assert len(result.photos) == 2
    assert result.report.counts["several_annotators"] == 1


@pytest.mark.parametrize("policy, photos", [("keep", 3), ("drop", 2)])
def test_photos_without_objects(policy, photos, tmp_path):
    export = draw_export(photos=3)
    export.coco["annotations"] = [a for a in export.coco["annotations"] if a["image_id"] != 1]
    result = read_drawn(export, tmp_path, background=policy)
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
    result = read_drawn(export, tmp_path)
    (defect,) = result.report.defects
    assert (defect["code"], defect["annotation"]) == (code, bad["id"])
    assert defect["photo"].endswith("photo_1.jpg")


def test_strays_are_counted(tmp_path):
    export = draw_export(photos=2)
    add_polygon(export, 77, "car", [[1, 1], [9, 1], [9, 9]])
    add_polygon(export, 1, "car", [[1, 1], [9, 1], [9, 9]])["category_id"] = 99
    counts = read_drawn(export, tmp_path).report.counts
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
    done = annotations_of(read_drawn(export, tmp_path), "photo_0.jpg")[-1]
    assert done.area == mask.sum() == 1000
    assert done.box == [20, 10, 40, 30]
    np.testing.assert_array_equal(coco_mask.decode(done.segmentation), mask)
    # Uncompressed: runs of 0 and 1 in columns; the first run is the zeros before the first one.
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    annotation["segmentation"] = {"size": [96, 128], "counts": np.diff(np.concatenate([[0], edges])).tolist()}
    done = annotations_of(read_drawn(export, tmp_path), "photo_0.jpg")[-1]
    np.testing.assert_array_equal(coco_mask.decode(done.segmentation), mask)
    annotation["segmentation"] = {"size": [128, 96], "counts": rle["counts"].decode()}
    assert read_drawn(export, tmp_path).report.counts["annotation_malformed"] == 1


@pytest.mark.parametrize(
    "counts", ["\u00fc", "~~~~~", "12", "P1" * 50, [], [5, -5, 96 * 128], [96 * 128, True, -1], [96 * 128 + 1], [9.0]]
)
def test_rles_that_are_none(counts, tmp_path):
    """Of most of them pycocotools would make something, out of chance values."""
    export = draw_export(photos=2)
    bad = add_polygon(export, 0, "dog", [[20, 10], [60, 10], [60, 40]])
    bad["segmentation"] = {"size": [96, 128], "counts": counts}
    (defect,) = read_drawn(export, tmp_path).report.defects
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
    result = read_drawn(export, tmp_path)
    assert [d["code"] for d in result.report.defects] == codes
    if "photo_of_other_shape" in codes:
        assert len(result.photos) == 1
    else:
        (dog,) = annotations_of(result, "photo_1.jpg")
        np.testing.assert_allclose(dog.segmentation[0], ring.ravel())


@pytest.mark.parametrize("size", [10**6, 2**14])
def test_an_rle_of_a_size_that_no_photo_has(size, tmp_path):
    export = draw_export(photos=2)
    export.coco["images"][0].update(width=size, height=size * 3 // 4)
    bad = add_polygon(export, 0, "dog", [[20, 10], [60, 10], [60, 40]])
    bad["segmentation"] = {"size": [size * 3 // 4, size], "counts": [size * (size * 3 // 4)]}
    report = read_drawn(export, tmp_path).report
    code = "annotation_malformed" if size > 2**15 else "annotation_degenerate"
    assert bad["id"] in [d["annotation"] for d in report.defects if d["code"] == code]


def test_an_rle_of_a_photo_that_was_scaled_down(tmp_path):
    export = draw_export(photos=2)
    export.coco["images"][0].update(width=256, height=192)
    mask = np.zeros((192, 256), np.uint8, order="F")
    mask[20:80, 40:120] = 1
    rle = coco_mask.encode(mask)
    added = add_polygon(export, 0, "dog", [[20, 10], [60, 10], [60, 40]])
    added["segmentation"] = {"size": [192, 256], "counts": rle["counts"].decode()}
    done = annotations_of(read_drawn(export, tmp_path), "photo_0.jpg")[-1]
    np.testing.assert_array_equal(coco_mask.decode(done.segmentation), mask[::2, ::2])


def test_an_outline_without_points_is_a_rectangle(tmp_path):
    export = draw_export(photos=2)
    add_polygon(export, 0, "dog", [[20, 10], [60, 10], [60, 40]])["segmentation"] = [[]]
    result = read_drawn(export, tmp_path)
    assert result.report.counts["rectangle"] == 1
    assert annotations_of(result, "photo_0.jpg")[-1].box == [20, 10, 40, 30]


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
    result = read_drawn(export, tmp_path, rectangles="drop", background=background)
    assert [photo.name for photo in result.photos] == ["images/00000000-photo_0.jpg"]
    counts = result.report.counts
    assert (counts["photo_emptied"], counts["background_dropped"], counts["photos_without_objects"]) == (1, 0, 0)


def test_an_export_of_dropped_rectangles_has_no_object(tmp_path):
    export = draw_export(photos=2)
    for annotation in export.coco["annotations"]:
        rectangle(annotation)
    with pytest.raises(ExportError, match="not one object"):
        read_drawn(export, tmp_path, rectangles="drop")


def test_unreadable_photos_are_left_out_and_named(tmp_path):
    export = draw_export(photos=3)
    export.photos["00000001-photo_1.jpg"] = b"no photo"
    export.photos["00000002-photo_2.jpg"] = export.photos["00000002-photo_2.jpg"][:-500]
    result = read_drawn(export, tmp_path)
    assert [photo.name for photo in result.photos] == ["images/00000000-photo_0.jpg"]
    assert [(d["code"], d["photo"]) for d in result.report.defects] == [
        ("photo_unreadable", "images/00000001-photo_1.jpg"),
        ("photo_unreadable", "images/00000002-photo_2.jpg"),
    ]
    assert "cut short" in result.report.defects[1]["action"]
