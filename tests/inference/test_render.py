"""Pictures of objects, against numbers worked out by hand."""

import cv2
import numpy as np
import pytest

from campus_seg.inference import render
from campus_seg.inference.regions import Region
from campus_seg.inference.scene import Scene
from campus_seg.palette import class_colors

RED, BLUE = (250, 10, 20), (0, 120, 240)


def box(x, y, width, height):
    """A filled rectangle."""
    return Region(x, y, np.ones((height, width), bool))


def noise(height, width):
    """(H, W, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(regions, shape):
    """The objects in a photo of `shape`."""
    made = Scene(shape)
    for region in regions:
        made.add(region)
    return made


def overlay(image, regions, labels, colors):
    """`render.overlay` from regions."""
    return render.overlay(image, scene(regions, image.shape[:2]), labels, colors)


def disc(x, y, radius):
    """A filled circle around (x, y)."""
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return Region(x - radius, y - radius, rows**2 + columns**2 <= radius**2)


def test_binary_is_the_union():
    picture = render.binary(scene([box(1, 2, 4, 3), box(3, 3, 4, 3)], (8, 10)).ids)
    assert picture.dtype == np.uint8
    assert picture.shape == (8, 10)
    assert np.unique(picture).tolist() == [0, 255]
    assert (picture == 255).sum() == 12 + 12 - 4  # they share columns 3, 4 of rows 3, 4


def test_the_first_object_lies_in_front():
    regions = [box(3, 3, 4, 3), box(1, 2, 4, 3)]
    ids = scene(regions, (8, 10)).ids
    assert ids.dtype == np.uint16
    assert np.bincount(ids.ravel()).tolist() == [60, 12, 8]
    colored = render.rgb(ids, [RED, BLUE])
    assert colored.dtype == np.uint8
    assert (colored == RED).all(axis=2).sum() == 12
    assert (colored == BLUE).all(axis=2).sum() == 8
    assert (colored == 0).all(axis=2).sum() == 60


def test_a_cutout_is_rgba_and_clear_around_the_object():
    image = noise(9, 12)
    region = Region(2, 3, np.array([[True, False, True]]))
    picture = render.cutout(image, region)
    assert picture.shape == (1, 3, 4)
    assert picture[0, 0].tolist() == [*image[3, 2, ::-1], 255]
    assert picture[0, 1].tolist() == [0, 0, 0, 0]
    assert picture[0, 2].tolist() == [*image[3, 4, ::-1], 255]


def test_pictures_without_objects():
    image = noise(20, 30)
    empty = scene([], (20, 30))
    assert not empty.ids.any()
    assert not render.binary(empty.ids).any()
    assert not render.rgb(empty.ids, []).any()
    picture = render.overlay(image, empty, [], [])
    assert np.array_equal(picture, image)
    assert picture is not image


def test_the_overlay_blends_inside_and_leaves_the_rest():
    image = np.full((200, 300, 3), 100, np.uint8)
    before = image.copy()
    picture = overlay(image, [disc(150, 120, 50)], ["dog 90%"], [RED])
    assert np.array_equal(image, before)
    assert picture.dtype == np.uint8
    # 0.55 * 100 + 0.45 * (20, 10, 250) in BGR
    assert np.abs(picture[120, 150].astype(int) - [64, 60, 168]).max() <= 1
    far = np.ones((200, 300), bool)
    far[45:175, 95:205] = False  # the circle, its line and the label above it
    assert (picture[far] == 100).all()
    edge = picture[120, 198:203].astype(int)
    assert np.abs(edge - RED[::-1]).sum(axis=1).min() < 40  # the outline has the full colour


def test_where_objects_overlap_the_front_one_tints():
    image = np.full((200, 300, 3), 100, np.uint8)
    picture = overlay(image, [box(60, 60, 80, 80), box(60, 60, 200, 100)], ["a", "b"], [RED, BLUE])
    assert np.abs(picture[110, 100].astype(int) - [64, 60, 168]).max() <= 1
    assert np.abs(picture[110, 200].astype(int) - [163, 109, 55]).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3), (16, 16), (240, 320), (3000, 4000)])
def test_overlays_of_every_size(shape):
    height, width = shape
    regions = [box(0, 0, width, height), box(width // 2, height // 2, 1, 1), box(width - 1, 0, 1, height)]
    picture = overlay(noise(*shape), regions, ["fire extinguisher 100%"] * 3, [RED, BLUE, RED])
    assert picture.shape == (height, width, 3)


@pytest.mark.parametrize("shape", [(225, 300), (4500, 6000)])
def test_labels_are_readable_on_small_and_large_photos(shape):
    image = np.full((*shape, 3), 100, np.uint8)
    region = box(shape[1] // 3, shape[0] // 2, shape[1] // 3, shape[0] // 3)
    picture = overlay(image, [region], ["bench 97%"], [(0, 0, 200)])
    above = picture[: region.y - shape[0] // 100]
    rows = np.flatnonzero((above == (200, 0, 0)).all(axis=2).any(axis=1))  # the label's ground
    white = (above > 230).all(axis=2).any(axis=1)
    assert max(11, 0.025 * shape[0]) <= rows.size <= max(20, 0.06 * shape[0])
    assert max(7, 0.012 * shape[0]) <= white.sum()


def test_names_in_any_language_are_drawn():
    image = np.full((100, 300, 3), 100, np.uint8)
    pictures = [overlay(image, [box(50, 60, 60, 30)], [name], [RED]) for name in ("Bücher", "B?cher", "книга")]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_outlines_follow_holes():
    mask = disc(100, 100, 60).mask
    mask[40:81, 40:81] = False
    image = np.full((200, 200, 3), 100, np.uint8)
    picture = overlay(image, [Region(40, 40, mask)], [""], [RED])
    assert np.abs(picture[100, 75:82].astype(int) - RED[::-1]).sum(axis=1).min() < 40
    assert (picture[95:105, 95:105] == 100).all()


def test_pictures_can_be_encoded():
    colors = class_colors(3)
    for picture, kind in [
        (scene([box(0, 0, 2, 2)], (4, 4)).ids, ".png"),
        (render.cutout(noise(4, 4), box(0, 0, 2, 2)), ".png"),
        (overlay(noise(4, 4), [box(0, 0, 2, 2)], ["x"], colors[:1]), ".jpg"),
    ]:
        assert cv2.imencode(kind, picture)[0]
