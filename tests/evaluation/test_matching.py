"""Who belongs to whom, against a loop over pixels and pairs, and against COCOeval's own matches."""

import contextlib
import copy
import io

import numpy as np
import pytest
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_sets import HEIGHT, WIDTH, random_set

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.matching import NONE, match_photos

SEEDS = range(12)


def pixels(entry, iou_type):
    """An entry's mask, or its box as one."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    shape = entry["segmentation"]
    if iou_type == "bbox":
        x, y, width, height = map(int, entry["bbox"])
        mask[y : y + height, x : x + width] = True
    elif isinstance(shape, list):
        (rle,) = rle_tools.frPyObjects(shape, HEIGHT, WIDTH)
        mask = rle_tools.decode(rle).astype(bool)
    elif isinstance(shape["counts"], list):
        values = np.arange(len(shape["counts"])) % 2 == 1
        mask = np.repeat(values, shape["counts"]).reshape(WIDTH, HEIGHT).T
    else:
        mask = rle_tools.decode(shape).astype(bool)
    return mask


def by_brute_force(truth, predictions, image_id, iou_type, least_iou, least_score):
    """{place of the prediction in the list: annotation id or None}, without those that do not count."""
    known = [a for a in truth["annotations"] if a["image_id"] == image_id]
    found = [(place, p) for place, p in enumerate(predictions) if p["image_id"] == image_id]
    found = [each for each in found if each[1]["score"] >= least_score]
    found.sort(key=lambda each: (-each[1]["score"], each[0]))
    result, free = {}, [a for a in known if not a["iscrowd"]]

    def overlap(prediction, annotation):
        one, other = pixels(prediction, iou_type), pixels(annotation, iou_type)
        whole = one if annotation["iscrowd"] else one | other
        return (one & other).sum() / whole.sum() if whole.any() else 0

    for same in (True, False):
        for place, prediction in found:
            if place in result:
                continue
            best, owner = least_iou, None
            for annotation in free:
                if (annotation["category_id"] == prediction["category_id"]) == same:
                    value = overlap(prediction, annotation)
                    if value >= best:
                        best, owner = value, annotation
            if owner:
                result[place] = owner["id"]
                free = [a for a in free if a["id"] != owner["id"]]
        if same:
            crowds = [a for a in known if a["iscrowd"]]
            lost = [
                place
                for place, p in found
                if place not in result
                and any(a["category_id"] == p["category_id"] and overlap(p, a) >= least_iou for a in crowds)
            ]
            found = [each for each in found if each[0] not in lost]
    return {place: result.get(place) for place, _ in found}


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
            assert known == by_brute_force(truth, predictions, image["id"], iou_type, iou, score)


def test_pairs_of_one_class_are_the_matches_of_cocoeval():
    count = 0
    for seed in SEEDS:
        truth, predictions = random_set(seed * 4 + 1)
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
