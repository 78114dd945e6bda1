"""Confusion and what is found by size, against a loop over pairs."""

from collections import Counter

import pytest
from brute_matching import by_brute_force
from random_sets import random_set

from campus_seg.evaluation.confusion import confusion_matrix, gather_objects
from campus_seg.evaluation.matching import match_photos


@pytest.mark.parametrize("seed", range(1, 25, 2))
def test_against_a_loop(seed):
    truth, predictions = random_set(seed)
    labels = sorted(category["id"] for category in truth["categories"])
    least = {label: 0.2 + 0.1 * place for place, label in enumerate(labels)}
    photos = match_photos(truth, predictions)
    pairings = [photo.pair(least_scores=least) for photo in photos]
    matrix = confusion_matrix(photos, pairings, labels)
    expected, found = Counter(), set()
    for image in truth["images"]:
        pairs = by_brute_force(truth, predictions, image["id"], least)
        of = {owner: place for place, owner in pairs.items() if owner is not None}
        for annotation in truth["annotations"]:
            if annotation["image_id"] == image["id"] and not annotation["iscrowd"]:
                place = of.get(annotation["id"])
                taken_for = "missed" if place is None else predictions[place]["category_id"]
                expected[annotation["category_id"], taken_for] += 1
                if taken_for == annotation["category_id"]:
                    found.add(annotation["id"])
        for place, owner in pairs.items():
            if owner is None:
                expected["background", predictions[place]["category_id"]] += 1
    counted = {
        (row, column): int(matrix[y, x])
        for y, row in enumerate([*labels, "background"])
        for x, column in enumerate([*labels, "missed"])
        if matrix[y, x]
    }
    assert counted == dict(expected)
    objects = gather_objects(photos, pairings)
    known = [a for a in truth["annotations"] if not a["iscrowd"]]
    for label in (None, *labels):
        own = [a for a in known if label in (None, a["category_id"])]
        some = objects if label is None else objects.of(label)
        assert some.share_found() == share([a["id"] in found for a in own])
        areas = {"small": (0, 1024), "medium": (1024, 9216), "large": (9216, 1e9)}
        expected = {
            size: share([a["id"] in found for a in own if low <= a["area"] < high])
            for size, (low, high) in areas.items()
        }
        assert some.by_size() == expected


def share(found):
    return {"objects": len(found), "found": sum(found), "share": sum(found) / len(found) if found else None}
