"""Regions of Label Studio's own JSON: which are objects, and which belong together."""

import itertools

import numpy as np
import pytest
from brush import pack
from pycocotools import mask as coco_mask

from campus_seg.label_studio.raw import RawPhoto
from campus_seg.label_studio.regions import read_regions

WIDTH, HEIGHT = 100, 50  # so that percent of the width are pixels


def region(key, kind, labels, parent=None, **value):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    parents = {} if parent is None else {"parentID": parent}
    return {"id": key, "type": kind, **size, **parents, "value": {kind: labels, **value}}


def square(key, label, x, y, parent=None):
    """A polygon of 10 x 10 pixels."""
    points = [[x, 2 * y], [x + 10, 2 * y], [x + 10, 2 * y + 20], [x, 2 * y + 20]]
    return region(key, "polygonlabels", [label], parent, points=points)


def painted(key, label, x, y, parent=None):
    """A brush mask of 10 x 10 pixels with a hole of 2 x 2."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[y : y + 10, x : x + 10, 3] = 255
    picture[y + 4 : y + 6, x + 4 : x + 6, 3] = 0
    return region(key, "brushlabels", [label], parent, format="rle", rle=pack(picture))


def read(*regions):
    photo, strays = RawPhoto("a.jpg", None, None), []
    read_regions(list(regions), photo, strays)
    return photo, [(stray.code, stray.id) for stray in strays]


def parts_of(photo):
    return [(a.id, a.label, len(a.rings)) for a in photo.annotations]


def test_polygons_below_one_another_are_parts_of_one_object():
    photo, strays = read(
        square("a", "dog", 0, 0),
        square("b", "dog", 20, 0, parent="a"),
        square("c", "dog", 40, 0, parent="b"),
        square("d", "dog", 60, 0),
    )
    assert parts_of(photo) == [("a", "dog", 3), ("d", "dog", 1)]
    assert [ring.min(axis=0).tolist() for ring in photo.annotations[0].rings] == [[0, 0], [20, 0], [40, 0]]
    assert strays == [("annotation_joined", "b"), ("annotation_joined", "c")]


def test_an_object_of_another_class_below_one_is_its_own():
    photo, strays = read(square("a", "person", 0, 0), square("b", "backpack", 2, 2, parent="a"))
    assert parts_of(photo) == [("a", "person", 1), ("b", "backpack", 1)]
    assert strays == []


def test_polygons_and_brush_masks_together_are_one_mask():
    photo, strays = read(
        painted("b", "dog", 30, 20, parent="a"), square("a", "dog", 0, 0), painted("c", "dog", 60, 30, parent="a")
    )
    (dog,) = photo.annotations
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[0:10, 0:10] = expected[20:30, 30:40] = expected[30:40, 60:70] = True
    expected[24:26, 34:36] = expected[34:36, 64:66] = False  # holes
    np.testing.assert_array_equal(coco_mask.decode(dog.rle), expected)
    assert dog.rings == [] and dog.id == "a"
    assert strays == [("annotation_joined", "b"), ("annotation_joined", "c")]


@pytest.mark.parametrize("parents", [("a", "b"), ("b", "a"), ("c", "a"), ("gone", ""), ("b", "b")])
def test_odd_parents_lose_nothing(parents):
    photo, strays = read(square("a", "dog", 0, 0, parents[0]), square("b", "dog", 20, 0, parents[1]))
    assert sum(len(a.rings) for a in photo.annotations) == 2
    assert len(photo.annotations) + len(strays) == 2


def test_rectangles_and_damaged_parts_stand_alone():
    box = region("r", "rectanglelabels", ["dog"], "a", x=1, y=2, width=3, height=4)
    damaged = region("d", "polygonlabels", ["dog"], "a", points="x")
    photo, strays = read(square("a", "dog", 0, 0), box, damaged, square("e", "dog", 20, 0, parent="d"))
    assert [a.id for a in photo.annotations] == ["a", "r", "d", "e"]
    assert photo.annotations[1].box == [1, 1, 3, 2] and photo.annotations[2].problem
    assert strays == []


def test_shapes_whose_labels_stand_in_a_result_of_their_own():
    bare = {**square("a", "", 0, 0), "type": "polygon"}
    bare["value"].pop("polygonlabels")
    photo, strays = read(bare, {"id": "a", "type": "labels", "value": {"labels": ["dog"]}})
    assert parts_of(photo) == [("a", "dog", 1)] and strays == []
    photo, strays = read(bare, {"id": "other", "type": "labels", "value": {"labels": ["dog"]}})
    assert photo.annotations == [] and strays == [("annotation_without_category", "a")] and photo.labelled


def test_an_ellipse_is_a_polygon():
    photo, _ = read(region("e", "ellipselabels", ["dog"], x=50, y=50, radiusX=20, radiusY=20, rotation=0))
    (ring,) = photo.annotations[0].rings
    # 20 % of 100 pixels across, 20 % of 50 pixels down.
    np.testing.assert_allclose(np.concatenate([ring.min(axis=0), ring.max(axis=0)]), [30, 15, 70, 35], atol=0.05)
    photo, _ = read(region("e", "ellipselabels", ["dog"], x=50, y=50, radiusX=None, radiusY=20))
    assert "radii" in photo.annotations[0].problem


def test_of_several_labels_the_first_counts_and_is_named():
    two = square("a", "dog", 0, 0)
    two["value"]["polygonlabels"] = [" dog ", "cat"]
    photo, strays = read(two)
    assert parts_of(photo) == [("a", "dog", 1)]
    assert strays == [("annotation_of_several_classes", "a")]


def test_two_labels_of_one_region_are_several():
    bare = {**square("a", "", 0, 0), "type": "polygon"}
    marks = [{"id": "a", "type": "labels", "value": {"labels": [name]}} for name in ("car", "red")]
    photo, strays = read(bare, *marks)
    assert parts_of(photo) == [("a", "car", 1)] and strays == [("annotation_of_several_classes", "a")]


def test_a_region_stated_in_another_size_is_brought_to_the_first_ones():
    small = {"original_width": WIDTH // 2, "original_height": HEIGHT // 2}
    other = [{**square("b", "dog", 20, 20), **small}, {**painted("c", "dog", 60, 30), **small}]
    half = np.zeros((HEIGHT // 2, WIDTH // 2, 4), np.uint8)
    half[10:20, 30:40, 3] = 255
    other[1]["value"]["rle"] = pack(half)
    box = {**region("r", "rectanglelabels", ["dog"], x=10, y=20, width=30, height=40), **small}
    photo, _ = read(square("a", "dog", 0, 0), *other, box)
    assert (photo.width, photo.height) == (WIDTH, HEIGHT)
    assert photo.annotations[1].rings[0].tolist() == [[20, 20], [30, 20], [30, 30], [20, 30]]
    expected = half[..., 3].repeat(2, axis=0).repeat(2, axis=1) > 0
    np.testing.assert_array_equal(coco_mask.decode(photo.annotations[2].rle), expected)
    assert photo.annotations[3].box == [10, 10, 30, 20]


@pytest.mark.parametrize("kind", ["keypointlabels", "keypoint", "vectorlabels", "superpixellabels"])
def test_what_has_no_mask_is_named(kind):
    photo, strays = read(region("k", kind, ["dog"], x=1, y=2, width=1))
    assert photo.annotations == [] and photo.labelled
    assert strays == [("annotation_unsupported", "k")]


@pytest.mark.parametrize("noise", [[None], [7], [{"type": None}], [{"type": "choices"}], [{"type": ["x"]}], [{}]])
def test_what_is_no_region_is_passed_over(noise):
    photo, strays = read(*noise, square("a", "dog", 0, 0))
    assert parts_of(photo) == [("a", "dog", 1)] and strays == []


def test_the_order_of_regions_does_not_matter():
    regions = [square("a", "dog", 0, 0), square("b", "dog", 20, 0, parent="a"), square("c", "dog", 40, 0, parent="b")]
    for order in itertools.permutations(regions):
        photo, _ = read(*order)
        assert parts_of(photo) == [("a", "dog", 3)]
