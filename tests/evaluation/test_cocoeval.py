"""Both backends against pycocotools as its users call it, on random sets, and where they have to be helped."""

import contextlib
import copy
import io
import itertools

import numpy as np
import pytest
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_sets import random_set

from campus_seg.errors import ConfigError
from campus_seg.evaluation.cocoeval import BACKENDS, SHAPES, check_backend, coco_figures


def by_users(truth, results, task):
    """pycocotools, as its demo and Detectron2 call it: of masks without their boxes."""
    known = COCO()
    with contextlib.redirect_stdout(io.StringIO()):
        known.dataset = copy.deepcopy(truth)
        known.createIndex()
        keys = ("image_id", "category_id", "score", SHAPES[task])
        found = known.loadRes([{key: copy.deepcopy(result[key]) for key in keys} for result in results])
        evaluation = COCOeval(known, found, task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def class_aps(figures):
    """(K, 6): AP of each class, and at IoU 0.5 and 0.75, and by size; -1 where there is no ground truth."""
    precision = figures.eval["precision"][..., -1]  # (T, R, K, A)
    rows = []
    for label in range(precision.shape[2]):
        parts = [precision[:, :, label, 0], precision[0, :, label, 0], precision[5, :, label, 0]]
        parts += [precision[:, :, label, size] for size in (1, 2, 3)]
        rows.append([part[part > -1].mean() if (part > -1).any() else -1 for part in parts])
    return np.array(rows)


@pytest.mark.parametrize("tenth", range(10))
def test_all_figures_are_pycocotools(tenth):
    for seed in range(20 * tenth, 20 * tenth + 20):
        truth, results = random_set(seed)
        assert results
        for annotation in truth["annotations"]:
            annotation["id"] += 1  # pycocotools alone would be wrong about 0, see below
        before = copy.deepcopy((truth, results))
        reference = {task: by_users(truth, results, task) for task in SHAPES}
        for (task, expected), backend in itertools.product(reference.items(), BACKENDS):
            figures = coco_figures(truth, results, task, backend)
            what = f"set {seed}, {task}, {backend}"
            np.testing.assert_allclose(figures.stats, expected.stats, rtol=0, atol=1e-6, err_msg=what)
            np.testing.assert_allclose(class_aps(figures), class_aps(expected), rtol=0, atol=1e-6, err_msg=what)
            for name, values in figures.eval.items():
                np.testing.assert_allclose(values, expected.eval[name], rtol=0, atol=1e-6, err_msg=what)
            assert figures.table.lstrip().startswith("Average Precision")
            assert len(figures.table.splitlines()) == 12
        assert (truth, results) == before


def test_the_random_sets_have_what_they_promise():
    """Or the test above would prove little."""
    stats, many, crowds, empty_classes, empty_photos, ties = [], 0, 0, 0, 0, 0
    for seed in range(200):
        truth, results = random_set(seed)
        stats.append(coco_figures(truth, results, "segm").stats)
        groups = [(r["image_id"], r["category_id"]) for r in results]
        many += max(groups.count(group) for group in set(groups)) > 100
        crowds += any(a["iscrowd"] for a in truth["annotations"])
        empty_classes += len({a["category_id"] for a in truth["annotations"]}) < len(truth["categories"])
        empty_photos += len({a["image_id"] for a in truth["annotations"]}) < len(truth["images"])
        ties += len({r["score"] for r in results}) < len(results)
    assert min(many, crowds, empty_classes, empty_photos, ties) >= 40
    assert all((column > 0).sum() > 30 for column in np.array(stats).T)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_match_with_annotation_0_is_a_match(backend):
    truth, results = random_set(3)
    expected = coco_figures(truth, results, "segm", backend).stats
    for annotation in truth["annotations"]:
        annotation["id"] = len(truth["annotations"]) - annotation["id"]
    assert 0 in [annotation["id"] for annotation in truth["annotations"]]
    assert coco_figures(truth, results, "segm", backend).stats.tolist() == expected.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_are_sized_by_their_own_area(backend):
    """A diagonal of 40 pixels is small, though its box has 1600; no fault of the model among objects of middle size."""
    truth, results = random_set(3)
    (image, *_), (label, *_) = truth["images"], truth["categories"]
    square = [[10, 10, 60, 10, 60, 60, 10, 60]]
    entry = {"image_id": image["id"], "category_id": label["id"]}
    known = {**entry, "id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0, "segmentation": square}
    line = np.zeros((image["height"], image["width"]), np.uint8)
    line[range(70, 110), range(70, 110)] = 1
    flat = line.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    size = [image["height"], image["width"]]
    wrong, right = (
        rle_tools.frPyObjects([{"size": size, "counts": counts}], *size)[0],
        rle_tools.frPyObjects(square, *size)[0],
    )
    results = [
        {**entry, "score": 0.9, "bbox": [70, 70, 40, 40], "segmentation": wrong},
        {**entry, "score": 0.8, "bbox": [10, 10, 50, 50], "segmentation": right},
    ]
    truth["annotations"] = [known]
    stats = coco_figures(truth, results, "segm", backend).stats
    assert stats[[0, 4]] == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("task", SHAPES)
def test_nothing_found_and_nothing_to_find(backend, task):
    truth, results = random_set(3)
    stats = coco_figures(truth, [], task, backend).stats
    assert set(stats) == {0, -1} and stats[0] == 0
    truth["annotations"] = []
    assert set(coco_figures(truth, results, task, backend).stats) == {-1}


def test_an_unknown_backend():
    with pytest.raises(ConfigError, match="CAMPUS.EVALUATION.BACKEND 'fast': choose hotcoco or pycocotools"):
        check_backend("fast")
