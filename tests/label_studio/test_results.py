"""Predictions as the import reads them back, once a person has submitted them."""

import numpy as np
import pytest
from drawn import ellipse_mask
from fake_label_studio import INTERFACE
from pycocotools import mask as coco_mask

from campus_seg.label_studio.interface import Interface
from campus_seg.label_studio.masks import encode_mask, mask_of_rings
from campus_seg.label_studio.raw import RawPhoto
from campus_seg.label_studio.regions import read_regions
from campus_seg.label_studio.results import Found, prediction_regions, prediction_score

WIDTH, HEIGHT = 320, 240
NO_BRUSH = INTERFACE.replace("BrushLabels", "KeyPointLabels")
NO_POLYGON = INTERFACE.replace("PolygonLabels", "KeyPointLabels")


def read_back(masks, xml=INTERFACE):
    """The regions of some (H, W) masks of cars, the shapes that they have, and the masks that the import reads."""
    interface = Interface.parse(xml, "project 1")
    found = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        found.append(Found("car", 0.75, part, columns[0], rows[0]))
    regions = prediction_regions(found, WIDTH, HEIGHT, interface.for_classes(["car"], "project 1"))
    assert interface.faults(regions) == []
    photo, strays = RawPhoto("a.jpg", None, None), []
    read_regions(regions, photo, strays)
    assert (photo.width, photo.height) == (WIDTH, HEIGHT) and {a.label for a in photo.annotations} == {"car"}
    read = [a.rle or mask_of_rings(a.rings, WIDTH, HEIGHT) for a in photo.annotations]
    return regions, read


def ious(masks, read):
    return [coco_mask.iou([rle], [encode_mask(mask)], [False])[0, 0] for rle, mask in zip(read, masks, strict=True)]


def two_parts():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:90, 30:100] = mask[120:200, 200:260] = True
    return mask


SIMPLE, HOLED = ellipse_mask(HEIGHT, WIDTH, (90, 60)), ellipse_mask(HEIGHT, WIDTH, (90, 60), hole=30)


@pytest.mark.parametrize(
    ("mask", "xml", "shapes"),
    [
        (SIMPLE, INTERFACE, ["polygonlabels"]),
        (HOLED, INTERFACE, ["brushlabels"]),
        (two_parts(), INTERFACE, ["polygonlabels"] * 2),
        (SIMPLE, NO_POLYGON, ["brushlabels"]),
        (two_parts(), NO_POLYGON, ["brushlabels"]),
    ],
)
def test_a_mask_there_and_back(mask, xml, shapes):
    regions, read = read_back([mask], xml)
    assert [region["type"] for region in regions] == shapes
    (iou,) = ious([mask], read)
    assert iou >= (0.97 if shapes[0] == "polygonlabels" else 1)


def test_holes_without_a_brush_are_cut_open():
    regions, read = read_back([HOLED], NO_BRUSH)
    assert len(regions) > 1 and {region["type"] for region in regions} == {"polygonlabels"}
    assert ious([HOLED], read)[0] >= 0.97


def test_several_objects_stay_apart():
    masks = [two_parts(), HOLED, SIMPLE, two_parts()]
    regions, read = read_back(masks)
    assert min(ious(masks, read)) >= 0.97
    assert len({region["id"] for region in regions}) == 6
    assert {region["score"] for region in regions} == {0.75}


def test_percentages_are_of_the_photo_as_seen():
    """A box from (32, 60) to (160, 120) in 320 x 240 pixels."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[60:120, 32:160] = True
    (region,), _ = read_back([mask])
    assert {tuple(point) for point in region["value"]["points"]} == {(10, 25), (50, 25), (50, 50), (10, 50)}
    assert (region["original_width"], region["original_height"], region["image_rotation"]) == (320, 240, 0)


def test_the_score_of_a_photo():
    assert prediction_score([0.9, 0.5]) == 0.7 and prediction_score([]) == 0
