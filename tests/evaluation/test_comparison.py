"""The bootstrap over photos: its AP is pycocotools', also of photos drawn twice, and it tells luck from progress."""

import contextlib
import copy
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_sets import random_set

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.comparison import BootstrapAP, compare
from campus_seg.evaluation.matching import match_photos


def pycocotools_ap(truth, predictions):
    """Category id -> mask AP of 0 … 100, of the classes that have an object."""
    truth = copy.deepcopy(truth)
    for number, annotation in enumerate(truth["annotations"], start=1):
        annotation["id"] = number  # 0 would mean "no match"
    known = COCO()
    known.dataset = truth
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        found = known.loadRes([{key: p[key] for key in p if key != "bbox"} for p in copy.deepcopy(predictions)])
        evaluation = COCOeval(known, found, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    means = 100 * precision.mean(axis=(0, 1))
    return {category: ap for category, ap in zip(evaluation.params.catIds, means, strict=True) if ap >= 0}


def drawn(truth, predictions, counts):
    """The set with each photo as often as it is drawn, under ids that keep COCO's order."""
    order = sorted(range(len(counts)), key=lambda place: truth["images"][place]["id"])
    again = {"images": [], "annotations": [], "categories": truth["categories"]}
    results = []
    for place in order:
        image = truth["images"][place]
        for _ in range(counts[place]):
            number = len(again["images"]) + 1
            again["images"].append({**image, "id": number})
            for entries, into in ((truth["annotations"], again["annotations"]), (predictions, results)):
                into += [{**entry, "image_id": number} for entry in entries if entry["image_id"] == image["id"]]
    return again, results


@pytest.mark.parametrize("seed", range(12))
def test_ap_of_a_draw_is_that_of_pycocotools(seed):
    truth, predictions = random_set(seed, most_photos=6)
    count = len(truth["images"])
    everyone = np.ones((1, count), int)
    (by_class,) = (model := BootstrapAP(match_photos(truth, predictions))).by_class(everyone)
    assert dict(zip(model.classes, by_class.tolist(), strict=True)) == pytest.approx(pycocotools_ap(truth, predictions))
    rng = np.random.default_rng(seed)
    for entry in predictions:  # weights cannot have the order that equal scores have in a set with copies
        entry["score"] = float(rng.random())
    model = BootstrapAP(match_photos(truth, predictions))
    draws = np.concatenate([everyone, [np.arange(count) % 3, np.arange(count)[::-1] % 2 + 1]])
    for counts, by_class in zip(draws, model.by_class(draws), strict=True):
        again, results = drawn(truth, predictions, counts)
        if not results:
            continue
        expected = pycocotools_ap(again, results)
        for category, ap in zip(model.classes, by_class, strict=True):
            np.testing.assert_allclose(ap, expected.get(category, np.nan), atol=1e-9)


def walk(seed, photos=60):
    """A set of its own: three classes, four objects a photo, and finds of which some are right."""
    rng = np.random.default_rng(seed)
    truth = {"images": [], "annotations": [], "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)]}
    for number in range(1, photos + 1):
        truth["images"].append({"id": number, "file_name": f"{number}.jpg", "width": 200, "height": 60})
        for column in range(4):
            box = [50 * column + 5, 10, 36, 36]
            entry = {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": int(rng.integers(1, 4))}
            truth["annotations"].append({**entry, "bbox": box, "area": 36 * 36, "iscrowd": 0})
    return truth


def finds(truth, seed, share):
    """A share of the objects, each a few pixels off, and one find of nothing a photo."""
    rng = np.random.default_rng(seed)
    results = []
    for annotation in truth["annotations"]:
        if rng.random() < share:
            box = (np.array(annotation["bbox"]) + rng.normal(0, 2, 4)).tolist()
            entry = {"image_id": annotation["image_id"], "category_id": annotation["category_id"]}
            results.append({**entry, "bbox": box, "score": float(rng.beta(5, 2))})
    for image in truth["images"]:
        results.append({"image_id": image["id"], "category_id": 1, "bbox": [0, 0, 9, 9], "score": float(rng.random())})
    return results


def difference(truth, first, second, **options):
    return compare(*(match_photos(truth, results, "bbox") for results in (first, second)), **options)


def test_a_model_is_as_good_as_itself_and_every_comparison_comes_out_the_same():
    truth = walk(0)
    first = finds(truth, 1, 0.7)
    overall, by_class = difference(truth, first, first)
    assert (overall.value, overall.low, overall.high) == (0, 0, 0)
    assert overall.verdict == "no difference"
    assert set(by_class) == {1, 2, 3} and not any(each.exceeds_noise for each in [overall, *by_class.values()])
    second = finds(truth, 2, 0.7)
    assert difference(truth, first, second) == difference(truth, first, second)
    assert difference(truth, first, second) != difference(truth, first, second, seed=1)


def test_progress_is_told_from_luck():
    """Of models that are equally good, one in twenty comparisons says otherwise; of far better ones none says less."""
    said = []
    for seed in range(20):
        truth = walk(seed)
        said.append(difference(truth, finds(truth, 1000 + seed, 0.7), finds(truth, 2000 + seed, 0.7), draws=100)[0])
    assert sum(each.exceeds_noise for each in said) <= 4
    assert sum(each.value > 0 for each in said) in range(5, 16)  # neither side has an advantage
    for seed in range(5):
        truth = walk(seed)
        overall, _ = difference(truth, finds(truth, 1000 + seed, 0.5), finds(truth, 2000 + seed, 0.9), draws=100)
        assert overall.exceeds_noise and overall.value > 15


def test_one_photo_of_many_makes_no_progress_beyond_noise():
    """All that the second finds more is in one photo: in a draw in three (1 / e) it is not even there."""
    truth = walk(3)
    first = [p for p in finds(truth, 1, 1.0) if p["image_id"] != 7]
    overall, _ = difference(truth, first, finds(truth, 1, 1.0))
    assert overall.value > 0 and not overall.exceeds_noise
    assert overall.low == 0


@pytest.mark.parametrize("photos", [1, 2, 3, 4, 8])
def test_a_class_in_few_photos_is_no_progress(photos):
    """A draw may be without it, and then shows no difference; in fewer than five photos nothing can be said."""
    truth = walk(4)
    rare = {"category_id": 9, "bbox": [160, 50, 8, 8]}
    truth["categories"].append({"id": 9, "name": "rare"})
    first = finds(truth, 1, 0.7)
    second = list(first)
    for image in truth["images"][:photos]:
        number = len(truth["annotations"]) + 1
        truth["annotations"].append({**rare, "id": number, "image_id": image["id"], "area": 64, "iscrowd": 0})
        second.append({**rare, "image_id": image["id"], "score": 0.9})
    _, by_class = difference(truth, first, second)
    assert (by_class[9].value, by_class[9].photos) == (100, photos)
    assert by_class[9].exceeds_noise == (photos >= 5)
    assert by_class[9].verdict == ("better" if photos >= 5 else f"too few photos to tell ({photos})")
    if photos <= 3:  # in a draw in twenty, and more, there is none of them
        assert by_class[9].low == 0


def test_photos_without_an_object_are_none_to_judge_by():
    truth = walk(5, photos=4)
    truth["images"] += [{"id": n, "file_name": f"{n}.jpg", "width": 200, "height": 60} for n in range(5, 100)]
    overall, _ = difference(truth, finds(truth, 1, 0.2), finds(truth, 2, 1.0))
    assert overall.photos == 4 and overall.value > 20 and not overall.exceeds_noise


@pytest.mark.parametrize("photos", [0, 3])
def test_without_objects_nothing_can_be_said(photos):
    truth = walk(0, photos)
    truth["annotations"] = []
    with pytest.raises(EvaluationError, match="no photo with an object that both models were evaluated on"):
        difference(truth, [], [])
