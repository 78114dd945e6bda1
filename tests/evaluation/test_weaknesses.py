"""The weakest classes and the reasons, on analyses whose figures are given."""

import copy

import pytest

from campus_seg.evaluation.suspects import Suspect, SuspectPhoto
from campus_seg.evaluation.weaknesses import weakest_classes

NAMES = ["car", "dog", "person"]
LEARNED = {"car": 200, "dog": 200, "person": 200}


def analysis(**aps):
    """100 objects of each class, all found but one in ten, well outlined."""
    matrix = [[90 if row == column else 0 for column in range(3)] + [10] for row in range(3)] + [[0, 0, 0, 0]]
    by_class = [
        {
            "name": name,
            "objects": 100,
            "figures": {"segm": {"AP": aps.get(name, 50.0)}},
            "sizes": {"small": {"objects": 0}},
            "at_thresholds": {"share": 0.9},
            "quality": {"iou": 0.85},
        }
        for name in NAMES
    ]
    confusion = {"rows": [*NAMES, "background"], "columns": [*NAMES, "missed"], "matrix": matrix}
    return {"classes": NAMES, "by_class": by_class, "confusion": confusion}


def of_car(figures, **changes):
    changed = copy.deepcopy(figures)
    changed["by_class"][0].update(changes)
    return changed


def suspects(count, category=1, kind="place"):
    label = {"category_id": category, "bbox": [0, 0, 1, 1], "id": 1}
    return [SuspectPhoto(None, [Suspect(kind, 0.9, None, label)] * count)]


def test_the_weakest_come_first_and_those_without_objects_not_at_all():
    figures = analysis(car=40.0, dog=None, person=30.0)
    weakest = weakest_classes(figures, LEARNED, [])
    assert [(weak.name, weak.ap) for weak in weakest] == [("person", 30.0), ("car", 40.0)]
    assert weakest_classes(figures, LEARNED, [], most=1) == weakest[:1]
    assert weakest[0].reasons == ["no single reason stands out"]
    figures = analysis(car=0.0, dog=0.0, person=0.0)
    figures["by_class"][1]["objects"] = 300  # of equal ones that with most to lose
    assert [weak.name for weak in weakest_classes(figures, LEARNED, [])] == ["dog", "car", "person"]


@pytest.mark.parametrize(
    "changes, learned, found, reason",
    [
        ({}, {**LEARNED, "car": 12}, [], "few objects to learn from (12)"),
        ({}, dict.fromkeys(NAMES, 12), [], "few objects to learn from (12)"),  # that all have as few helps none
        ({}, dict.fromkeys(NAMES, 20), [], "no single reason stands out"),
        ({}, {**LEARNED, "car": 40}, [], "few objects to learn from (40)"),
        ({}, {"car": 40, "dog": 60, "person": 60}, [], "no single reason stands out"),
        ({"sizes": {"small": {"objects": 60}}}, LEARNED, [], "small objects (60\xa0% below 32 x 32 pixels)"),
        ({"at_thresholds": {"share": 0.6}}, LEARNED, [], "missed or taken for something else (40\xa0%)"),
        ({"quality": {"iou": 0.6}}, LEARNED, [], "loose outlines (mean IoU 0.60 where found)"),
        ({"quality": {"iou": None}}, LEARNED, [], "no single reason stands out"),
        ({}, LEARNED, suspects(20), "suspected label errors (20)"),
        ({}, LEARNED, suspects(20, category=2), "no single reason stands out"),  # of another class
        ({}, LEARNED, suspects(20, kind="unseen"), "no single reason stands out"),  # what it misses is no label's fault
        ({"objects": 8}, LEARNED, [], "only 8 to judge by"),
    ],
)
def test_reasons(changes, learned, found, reason):
    figures = of_car(analysis(car=10.0), **changes)
    assert weakest_classes(figures, learned, found, most=1)[0].reasons == [reason]


def test_what_a_class_is_confused_with():
    figures = analysis(car=10.0)
    figures["confusion"]["matrix"][0] = [60, 5, 25, 10]
    assert weakest_classes(figures, LEARNED, [], most=1)[0].reasons == ["confused with person (25\xa0%)"]


def test_a_class_may_be_called_missed():
    figures = analysis(dog=10.0)
    figures["classes"] = figures["confusion"]["rows"][:3] = figures["confusion"]["columns"][:3] = ["missed", *NAMES[1:]]
    figures["confusion"]["matrix"][1] = [25, 60, 5, 10]
    assert weakest_classes(figures, LEARNED, [], most=1)[0].reasons == ["confused with missed (25\xa0%)"]
    figures["confusion"]["matrix"][1] = [5, 60, 0, 35]
    assert weakest_classes(figures, LEARNED, [], most=1)[0].reasons == ["no single reason stands out"]
