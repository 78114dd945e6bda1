"""The parts of a page, on figures that are given."""

import json

import pytest
import torch

from campus_seg.config import load_config
from campus_seg.evaluation.report_sections import best_iteration, figures_section, kept_iteration, training_section
from campus_seg.evaluation.run_files import RunFiles


def analysis(chosen_on="campus_val", **thresholds):
    """Cars and dogs, and a class without an object; rows are labels, columns what they are found as."""
    names = ["car", "dog", "bus"]
    matrix = [[6, 1, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0], [4, 1, 0, 0]]
    kept = {"reason": None, "objects": 1, "figures": {"segm": {}, "bbox": {}}, "quality": {}}
    return {
        **{"figures": {}, "accuracy": {}, "confusion": {"matrix": matrix}},
        "thresholds": {"chosen_on": chosen_on, "by_class": {name: thresholds.get(name, 0.5) for name in names}},
        "by_class": [{"name": name, "best": {"threshold": thresholds.get(name)}, **kept} for name in names],
    }


def test_precision_and_recall_of_a_class():
    """Of 12 found as cars 6 are, of 8 cars 6 are found: F1 2 * 6 / 20; no dog is right."""
    rows = figures_section(analysis(), None)["rows"]
    assert [(row["precision"], row["recall"], row["f1"]) for row in rows] == [
        *((0.5, 0.75, 0.6), (0, 0, 0), (None, None, None))
    ]


def test_classes_without_a_threshold_of_their_own_are_known():
    validation = analysis(car=0.3, dog=0.5)
    shown = figures_section(analysis(car=0.3, dog=0.5), validation)
    assert (shown["chosen"], shown["fell_back"]) == (True, ["bus"])
    shown = figures_section(analysis(chosen_on=""), None)
    assert (shown["chosen"], shown["fell_back"]) == (False, [])
    shown = figures_section(analysis(chosen_on="", car=0.3), validation)  # evaluated before the validation photos
    assert (shown["chosen"], shown["fell_back"]) == (False, [])


@pytest.fixture
def run(tmp_path):
    lines = [{"iteration": 19, "lr": 1e-3, "total_loss": 2.0}, {"iteration": 19, "campus_val/segm/AP": 9.0}]
    lines += [
        {"iteration": 39, "lr": 1e-4, "total_loss": 1.0, "time": 0.5},
        {"iteration": 39, "campus_val/segm/AP": 3.0},
    ]
    (tmp_path / "metrics.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "classes.json").write_text("[]")
    return tmp_path


def test_the_best_iteration_is_that_of_the_model_that_was_kept(run):
    """Whatever the figures say: it may have been chosen by another metric, or while that one was undefined."""
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [])
    best = run / "model_best.pth"
    assert training_section(RunFiles(run), cfg)["best"] == 19
    torch.save({"model": {"weight": torch.ones(2)}, "iteration": 39}, best)
    section = training_section(RunFiles(run), cfg)
    assert section["best"] == 39 and "The best model is of iteration 39." in section["losses"].alt
    assert (section["iterations"], section["minutes"], section["step"]) == (40, 0, 0.5)
    best.write_bytes(b"cut off")
    assert kept_iteration(best) is None


@pytest.mark.parametrize(
    "metric, values, best",
    [
        ("segm/AP", {9: {"campus_val/segm/AP": 3.0}, 19: {"campus_val/segm/AP": 5.0}}, 19),
        ("segm/AP", {9: {"campus_val/segm/AP": 5.0}, 19: {"campus_val/segm/AP": 5.0}}, 9),  # the first of equal ones
        ("val/total_loss", {9: {"val/total_loss": 3.0}, 19: {"val/total_loss": 5.0}}, 9),
        ("bbox/AP", {9: {"campus_val/segm/AP": 3.0}}, None),
    ],
)
def test_the_best_iteration(metric, values, best):
    assert best_iteration([{"iteration": i, **line} for i, line in values.items()], metric) == best
