"""TIDE's split, against the paper's definitions in a loop, and against hotcoco's."""

import contextlib
import io
from collections import Counter

import hotcoco
import numpy as np
import pytest
from brute_matching import by_brute_force, overlap
from random_sets import random_set

from campus_seg.evaluation.cocoeval import coco_figures
from campus_seg.evaluation.error_split import KINDS, average_precision, count_errors, error_costs, find_errors
from campus_seg.evaluation.matching import match_photos

SEEDS = [seed for seed in range(60) if seed % 4]


def split(truth, predictions):
    photos = match_photos(truth, predictions)
    pairings = [photo.pair(across_classes=False) for photo in photos]
    errors = [find_errors(photo, pairing) for photo, pairing in zip(photos, pairings, strict=True)]
    return count_errors(photos, errors), error_costs(photos, pairings, errors)


def one_by_one(truth, predictions):
    """{place of the prediction: (kind, id of the object that it is meant for)}, the ids found and those missed."""
    kinds, found, covered = {}, {}, set()
    for image in truth["images"]:
        known = [a for a in truth["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]]
        for place, of in by_brute_force(truth, predictions, image["id"], across=False).items():
            prediction = predictions[place]
            if of is not None:
                kinds[place], found[of] = ("right", of), place
                continue
            overlaps = [(overlap(prediction, a), a) for a in known]
            own = [(value, a["id"]) for value, a in overlaps if a["category_id"] == prediction["category_id"]]
            other = [(value, a["id"]) for value, a in overlaps if a["category_id"] != prediction["category_id"]]
            most, meant = max(own, key=lambda each: each[0], default=(0, None))
            most_other, meant_other = max(other, key=lambda each: each[0], default=(0, None))
            if 0.1 <= most < 0.5:
                kinds[place] = "place", meant
            elif most_other >= 0.5:
                kinds[place] = "class", meant_other
            elif most >= 0.5:
                kinds[place] = "double", None
            elif max(most, most_other) <= 0.1:
                kinds[place] = "background", None
            else:
                kinds[place] = "both", None
            covered.add(kinds[place][1])
    ids = {a["id"] for a in truth["annotations"] if not a["iscrowd"]}
    return kinds, found, ids - set(found) - covered


def precision_of(truth, predictions):
    """AP at IoU 0.5 by COCO's own arithmetic: each detection that is right has its object's mask, no other has any."""
    return coco_figures(truth, predictions, "bbox", "pycocotools").stats[1]


def as_boxes(truth, predictions, kinds, missed, put_right):
    """The set with errors of one kind put right, as boxes that each stand alone, so that COCO's AP can be taken."""
    objects = {a["id"]: a for a in truth["annotations"] if not a["iscrowd"]}
    places = {id: [50.0 * number, 0.0, 10.0, 10.0] for number, id in enumerate(objects)}
    results, best = [], {}
    taken = {of for kind, of in kinds.values() if kind == "right"}
    for place, (kind, of) in kinds.items():
        if kind == put_right and of is not None and of not in taken:
            best[of] = max(best.get(of, place), place, key=lambda each: (predictions[each]["score"], -each))
    for place, (kind, of) in kinds.items():
        label, right = predictions[place]["category_id"], kind == "right"
        if kind == put_right:
            if best.get(of) != place:
                continue
            label, right = objects[of]["category_id"], True
        box = places[of] if right else [50.0 * place, 1000.0, 10.0, 10.0]
        results.append({**predictions[place], "category_id": label, "bbox": box})
    left = [a for id, a in objects.items() if not (put_right == "missed" and id in missed)]
    known = [{**a, "bbox": places[a["id"]], "area": 100.0} for a in left]
    return {**truth, "annotations": known}, results


@pytest.mark.parametrize("seed", SEEDS[:24])
def test_by_the_papers_definitions(seed):
    truth, predictions = random_set(seed)
    counts, costs = split(truth, predictions)
    kinds, _, missed = one_by_one(truth, predictions)
    expected = Counter(
        (predictions[place]["category_id"], kind) for place, (kind, _) in kinds.items() if kind != "right"
    )
    expected += Counter((a["category_id"], "missed") for a in truth["annotations"] if a["id"] in missed)
    assert {(label, kind): n for label, each in counts.items() for kind, n in each.items()} == dict(expected)
    labels = {a["category_id"] for a in truth["annotations"] if not a["iscrowd"]}
    if not labels:
        assert costs is None
        return
    base = precision_of(*as_boxes(truth, predictions, kinds, missed, ""))
    for kind in KINDS:
        changed = as_boxes(truth, predictions, kinds, missed, kind)
        left = {a["category_id"] for a in changed[0]["annotations"]}
        # COCO leaves a class without objects out of the mean; it has no AP, which counts as 0 here.
        better = precision_of(*changed) * len(left) / len(labels) if left else 0
        assert costs[kind] == pytest.approx(max(0, better - base), abs=1e-9), kind


def test_against_hotcoco():
    """It lets errors of place and of class compete for one object, as the paper's program does, and not the paper."""
    compared = 0
    for seed in SEEDS:
        truth, predictions = random_set(seed)
        truth["annotations"] = [a for a in truth["annotations"] if not a["iscrowd"]]
        kinds, _, _ = one_by_one(truth, predictions)
        meant = [{of for kind, of in kinds.values() if kind == each} for each in ("place", "class")]
        if not truth["annotations"] or meant[0] & meant[1]:
            continue
        keys = ("image_id", "category_id", "score", "segmentation")
        with contextlib.redirect_stdout(io.StringIO()):
            known = hotcoco.COCO(truth)
            evaluation = hotcoco.COCOeval(known, known.load_res([{k: p[k] for k in keys} for p in predictions]), "segm")
            evaluation.evaluate()
        expected = evaluation.tide_errors()
        counts, costs = split(truth, predictions)
        names = dict(zip(KINDS, ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"), strict=True))
        assert sum(counts.values(), Counter()) == Counter({kind: expected["counts"][names[kind]] for kind in KINDS})
        assert costs == pytest.approx({kind: expected["delta_ap"][names[kind]] for kind in KINDS}, abs=1e-9)
        compared += 1
    assert compared > 15


@pytest.mark.parametrize(
    "right, objects, expected",
    [
        ([1, 1], 2, 1.0),
        ([], 2, 0.0),
        ([1], 2, 51 / 101),  # recalls of 0.00 … 0.50
        ([0, 1], 1, 0.5),
        ([1, 0, 1], 2, (51 + 50 * 2 / 3) / 101),
        ([1, 1], 0, 0.0),
    ],
)
def test_average_precision(right, objects, expected):
    assert average_precision(np.array(right, bool), objects) == pytest.approx(expected)
