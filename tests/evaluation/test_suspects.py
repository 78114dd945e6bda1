"""Suspected labels: each kind on a photo worked out by hand, and faults planted among a simulated detector's finds."""

import numpy as np
import pytest
from planted import is_planted, plant_faults
from pycocotools import mask as rle_tools
from rectangles import HEIGHT, NAMES, WIDTH, coco, found, label, ring

from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.suspects import find_suspects


def told(truth, *finds):
    """(suspicion, words) of all suspects, in the list's order."""
    photos = find_suspects(match_photos(truth, finds))
    return [(round(one.suspicion, 3), one.say(NAMES)) for photo in photos for one in photo.suspects]


LABEL = label(7, 1, 10, 10, 40, 40)


@pytest.mark.parametrize(
    "labels, finds, expected",
    [
        ([LABEL], [found(1, 0.9, 10, 10, 40, 40)], []),
        ([LABEL], [found(1, 0.9, 14, 10, 40, 40)], []),  # a model's own inaccuracy: IoU 36 / 44
        ([], [found(2, 0.9, 10, 10, 40, 40)], [(0.9, "dog found where nothing is labelled (90 %)")]),
        ([], [found(2, 0.4, 10, 10, 40, 40)], []),  # not sure enough
        # Of two at one place the surer one; the other class is told of nowhere.
        (
            [],
            [found(2, 0.9, 10, 10, 40, 40), found(1, 0.8, 12, 10, 40, 40)],
            [(0.9, "dog found where nothing is labelled (90 %)")],
        ),
        ([LABEL], [found(2, 0.9, 10, 10, 40, 40)], [(0.9, "labelled car, found as dog (90 %)")]),
        # 0.9 against 0.3 for what the label says.
        (
            [LABEL],
            [found(2, 0.9, 10, 10, 40, 40), found(1, 0.3, 10, 10, 40, 40)],
            [(0.6, "labelled car, found as dog (90 %)")],
        ),
        ([LABEL], [found(2, 0.9, 10, 10, 40, 40), found(1, 0.8, 10, 10, 40, 40)], []),
        # A dog that is labelled, too: two objects, one before the other.
        ([LABEL, label(8, 2, 10, 10, 40, 40)], [found(2, 0.9, 10, 10, 40, 40), found(1, 0.3, 10, 10, 40, 40)], []),
        # A quarter of each in common: IoU 20 * 20 / (2 * 1600 - 400) = 1 / 7, so 0.98 * 6 / 7.
        ([LABEL], [found(1, 0.98, 30, 30, 40, 40)], [(0.84, "the label car lies beside what is found (98 %)")]),
        # Part of a car that is found as a whole.
        ([LABEL], [found(1, 0.95, 10, 10, 40, 40), found(1, 0.9, 10, 10, 40, 10)], []),
        # In a crowd of dogs, whose members have no label of their own.
        ([label(7, 2, 0, 0, 100, 100, crowd=1)], [found(2, 0.9, 10, 10, 40, 40)], []),
    ],
)
def test_what_is_suspected_on_a_photo(labels, finds, expected):
    assert told(coco(*labels), *finds) == expected


def test_a_thin_object_of_which_the_mask_is_off_by_its_width_lies_where_it_should():
    """A frame around a box: masks have nothing in common, boxes nearly all."""
    shape = rle_tools.frPyObjects([ring(12, 12, 36, 36)], HEIGHT, WIDTH)[0]
    frame = rle_tools.decode(rle_tools.frPyObjects([ring(10, 10, 40, 40)], HEIGHT, WIDTH)[0]) - rle_tools.decode(shape)
    truth = coco({**LABEL, "segmentation": rle_tools.encode(np.asfortranarray(frame))})
    assert told(truth, {**found(1, 0.99, 12, 12, 36, 36), "segmentation": shape}) == []


def test_a_label_that_is_never_found_is_suspicious_where_nearly_all_others_of_its_class_are():
    """Of 72 cars 71 are found: missed are (1 + 1) / (72 + 2), so 0.02 / (0.02 + 0.98 * 2 / 74) = 0.430."""
    labels = [label(i, 1, 10, 10, 40, 40, image=i) for i in range(1, 73)]
    finds = [found(1, 0.9, 10, 10, 40, 40, image=i) for i in range(1, 72)]
    truth = coco(*labels, images=72)
    assert told(truth, *finds) == [(0.43, "nothing found at the label car")]
    assert len(told(truth, *finds[:59])) == 13  # (13 + 1) / (72 + 2) = 0.19
    assert told(truth, *finds[:58]) == []  # 15 / 74 = 0.203: the model does not know them well enough


def test_what_is_never_found_comes_after_all_else():
    """However suspicious: 0.02 / (0.02 + 0.98 * 2 / 202) = 0.673, and a dog found with 0.6 comes first."""
    labels = [label(i, 1, 10, 10, 40, 40, image=i) for i in range(1, 201)]
    finds = [found(1, 0.9, 10, 10, 40, 40, image=i) for i in range(2, 201)]
    finds += [found(2, 0.6, 100, 10, 40, 40, image=200)]
    assert told(coco(*labels, images=200), *finds) == [
        (0.6, "dog found where nothing is labelled (60 %)"),
        (0.673, "nothing found at the label car"),
    ]


def test_a_thin_label_whose_box_is_found_counts_as_found():
    """Frames of which the masks have nothing in common with what is found; one of 20 has no find at all: 2 / 22."""
    outside, inside = ([ring(*box)] for box in ((10, 10, 40, 40), (12, 12, 36, 36)))
    whole, hole = (rle_tools.decode(rle_tools.frPyObjects(shape, HEIGHT, WIDTH)[0]) for shape in (outside, inside))
    frame = rle_tools.encode(np.asfortranarray(whole - hole))
    labels = [{**label(i, 1, 10, 10, 40, 40, image=i), "segmentation": frame} for i in range(1, 21)]
    finds = [found(1, 0.9, 12, 12, 36, 36, image=i) for i in range(1, 20)]
    assert told(coco(*labels, images=20), *finds) == [(0.183, "nothing found at the label car")]


def test_the_list_is_by_photo_and_names_task_and_label():
    labels = [label(4, 1, 10, 10, 40, 40, image=2), label(5, 3, 100, 10, 40, 40, image=2)]
    finds = [found(2, 0.6, 10, 10, 40, 40, image=1), found(2, 0.8, 10, 10, 40, 40, image=2)]
    finds += [found(1, 0.7, 104, 10, 40, 40, image=2)]
    photos = find_suspects(match_photos(coco(*labels, images=2, task=31), finds))
    assert [photo.as_dict(NAMES) for photo in photos] == [
        {
            "file_name": "2.jpg",
            "task": 31,
            "suspects": [
                {
                    **{"kind": "class", "suspicion": 0.8, "found": "dog", "score": 0.8, "label": "car"},
                    **{"annotation": 4, "bbox": [10, 10, 40, 40]},
                },
                {
                    **{"kind": "class", "suspicion": 0.7, "found": "car", "score": 0.7, "label": "person"},
                    **{"annotation": 5, "bbox": [100, 10, 44, 40]},  # around both
                },
            ],
        },
        {
            "file_name": "1.jpg",
            "task": 31,
            "suspects": [
                {
                    **{"kind": "missing", "suspicion": 0.6, "found": "dog", "score": 0.6, "label": None},
                    **{"annotation": None, "bbox": [10, 10, 40, 40]},
                }
            ],
        },
    ]


def drawn_labels(rng, photos=60):
    """Five objects a photo, side by side."""
    labels = []
    for image in range(1, photos + 1):
        for column in range(5):
            width, height = rng.integers(20, 36, 2).tolist()
            box = (40 * column + 2, int(rng.integers(5, 60)), width, height)
            labels.append(label(len(labels) + 1, int(rng.integers(1, 4)), *box, image=image))
    return coco(*labels, images=photos)


def simulated_finds(rng, truth):
    """What a middling model finds: of the objects 92 %, of these 4 % as another class, and things that are not there.

    Scores are mostly high for objects and low for what is none; edges are off by some pixels.
    """
    finds = []
    for annotation in truth["annotations"]:
        box = (np.array(annotation["bbox"]) + rng.normal(0, 1.2, 4)).tolist()
        category = annotation["category_id"] if rng.random() < 0.96 else int(rng.integers(1, 4))
        if rng.random() < 0.92:
            finds.append(found(category, float(rng.beta(6, 1)), *box, image=annotation["image_id"]))
    for image in truth["images"]:
        for _ in range(rng.poisson(1)):
            x, y = rng.uniform(0, (160, 60)).tolist()
            finds.append(found(int(rng.integers(1, 4)), float(rng.beta(1, 4)), x, y, 30, 30, image=image["id"]))
    return finds


@pytest.mark.parametrize("seed", range(3))
def test_planted_faults_come_first(seed):
    """The same faults by the model that `make demo` trains: tests/test_demo_model.py."""
    rng = np.random.default_rng(seed)
    truth = drawn_labels(rng)
    finds = simulated_finds(rng, truth)
    faulty, faults = plant_faults(truth, seed)
    assert len(faults) == 3 * 15 and len(faulty["annotations"]) == len(truth["annotations"]) - 15
    photos = find_suspects(match_photos(faulty, finds))
    suspects = [(one, photo.photo.image["id"]) for photo in photos for one in photo.suspects]
    first = [is_planted(one, image_id, faults) for one, image_id in suspects[:20]]
    assert len(first) == 20 and np.mean(first) >= 0.7
    without = find_suspects(match_photos(truth, finds))  # what is told of sound labels is less, and less suspicious
    assert sum(len(photo.suspects) for photo in without) < 0.6 * len(suspects)
