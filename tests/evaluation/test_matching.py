"""Who belongs to whom, against a loop over pixels and pairs, and against COCOeval's own matches."""

import contextlib
import copy
import io

import numpy as np
import pytest
from brute_matching import by_brute_force
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import encode
from random_sets import random_set

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.cocoeval import coco_figures
from campus_seg.evaluation.matching import NONE, match_photos

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_pairs_are_those_of_a_loop_over_pixels(seed, iou_type):
    truth, predictions = random_set(seed * 4 + 1)
    places = {id(prediction): place for place, prediction in enumerate(predictions)}
    for photo, image in zip(match_photos(truth, predictions, iou_type), truth["images"], strict=True):
        assert photo.image is image
        for iou, score in ((0.5, 0.0), (0.3, 0.4)):
            pairing = photo.pair(iou, dict.fromkeys([c["id"] for c in truth["categories"]], score))
            of = pairing.object_of
            known = {
                places[id(detection)]: photo.objects[of[d]]["id"] if of[d] != NONE else None
                for d, detection in enumerate(photo.detections)
                if pairing.counts[d]
            }
            assert known == by_brute_force(truth, predictions, image["id"], score, iou=iou, iou_type=iou_type)


def test_pairs_of_one_class_are_the_matches_of_cocoeval():
    count = 0
    for seed in (*(seed * 4 + 1 for seed in SEEDS), 4, 8, 12):  # the last have more than 100 detections of a class
        truth, predictions = random_set(seed)
        for annotation in truth["annotations"]:
            annotation["id"] += 1  # with pycocotools, a match with 0 is none
        known = COCO()
        known.dataset = truth
        with contextlib.redirect_stdout(io.StringIO()):
            known.createIndex()
            evaluation = COCOeval(known, known.loadRes(copy.deepcopy(predictions)), "segm")
            evaluation.evaluate()
        expected = set()
        for image in evaluation.evalImgs:
            if image and image["aRng"] == evaluation.params.areaRng[0]:
                matches = zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True)
                expected |= {(found - 1, int(of)) for found, of, ignored in matches if of and not ignored}
        places = {id(prediction): place for place, prediction in enumerate(predictions)}
        pairs = {
            (places[id(photo.detections[found])], photo.objects[of]["id"])
            for photo in match_photos(truth, predictions)
            for found, of in photo.pair(across_classes=False).pairs.tolist()
        }
        assert pairs == expected
        count += len(pairs)
    assert count > 30


def test_a_detection_after_the_surest_hundred_of_its_class_finds_nothing():
    """As with COCOeval; one of another class does, however unsure."""
    truth, predictions = random_set(1)
    image, entry = truth["images"][0], predictions[0]
    shape = {"image_id": image["id"], "segmentation": entry["segmentation"], "bbox": entry["bbox"]}
    truth["categories"] = [{"id": label, "name": str(label)} for label in (1, 2)]
    truth["annotations"] = [{**shape, "id": n, "category_id": n, "area": 99.0, "iscrowd": 0} for n in (1, 2)]
    aside = {"size": shape["segmentation"]["size"], "counts": encode(np.zeros((120, 150), np.uint8, "F"))["counts"]}
    found = [{**shape, "category_id": label, "score": 0.1} for label in (1, 2)]
    for wrong, pairs in ((100, [2]), (99, [1, 2])):
        others = [{**shape, "segmentation": aside, "category_id": 1, "score": 0.9}] * wrong
        (photo,) = (each for each in match_photos(truth, [*found, *others]) if each.image is image)
        places = photo.pair().pairs[:, 1].tolist()
        assert sorted(photo.objects[place]["id"] for place in places) == pairs
        stats = coco_figures(truth, [*found, *others], "segm").eval["precision"][0, :, :, 0, -1].mean(axis=0)
        assert (stats > 0).tolist() == [1 in pairs, True]


def test_a_photo_without_anything_is_there():
    truth, _ = random_set(1)
    truth["annotations"] = []
    photos = match_photos(truth, [])
    assert [photo.image for photo in photos] == truth["images"]
    pairing = photos[0].pair()
    assert pairing.pairs.shape == (0, 2) and photos[0].ious.shape == (0, 0)
    assert pairing.detection_of(0).shape == (0,)


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_predictions_of_other_photos_or_classes(key):
    truth, predictions = random_set(1)
    predictions[0][key] = 5000
    with pytest.raises(EvaluationError, match=f"{key} 5000"):
        match_photos(truth, predictions)
