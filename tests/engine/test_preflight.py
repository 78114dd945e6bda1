import copy
import logging
import random

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from drawn import SMALL_MODEL, draw_export, read_drawn

from campus_seg.config import load_config
from campus_seg.data.datasets import register_datasets, write_datasets
from campus_seg.data.mapper import CampusMapper
from campus_seg.engine.preflight import count_table, dry_run, hardest_batch, log_counts, nothing_stays
from campus_seg.errors import ConfigError, TrainingError
from campus_seg.modeling.mini_backbone import register_mini_backbone


def coco(photos, *annotations):
    """A COCO dict of so many photos and (image id, category id) pairs; the classes are car and dog."""
    return {
        "images": [{"id": i} for i in range(1, photos + 1)],
        "annotations": [{"image_id": image, "category_id": category} for image, category in annotations],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}],
    }


def test_photos_and_objects_by_class_and_split():
    splits = {"train": coco(4, (1, 1), (1, 1), (2, 1), (2, 2)), "val": coco(1, (1, 1)), "test": coco(0)}
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in count_table(splits).splitlines()]
    assert lines[0] == ["class", *(f"{s} {what}" for s in ("train", "val", "test") for what in ("photos", "objects"))]
    assert lines[2:] == [
        ["car", "2", "3", "1", "1", "0", "0"],
        ["dog", "1", "1", "0", "0", "0", "0"],
        ["photos without objects", "2", "0", "0", "0", "0", "0"],
        ["all photos", "4", "4", "1", "1", "0", "0"],
    ]


@pytest.fixture
def said():
    """(level, line) of what the module says."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    logger = logging.getLogger("campus_seg.engine.preflight")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_what_is_missing_is_said_loudly(tmp_path, said):
    drawn = draw_export(photos=3)
    export = read_drawn(drawn, tmp_path, classes=("car", "dog", "person", "bench"))
    names = [photo.name for photo in export.photos]
    write_datasets(export, {"train": names[:1], "val": names[1:], "test": []}, tmp_path)
    there = {annotation.label for annotation in export.photos[0].annotations}
    log_counts(tmp_path, ["train"])
    warnings = [line for level, line in said if level == "WARNING"]
    missing = [name for name in ("car", "dog", "person", "bench") if name not in there]
    assert "bench" in missing
    assert [line.partition(":")[0] for line in warnings] == [
        *(f"No training photo holds {name}" for name in missing),
        "There is no test photo",
    ]
    said.clear()
    log_counts(tmp_path, ["val"])
    there = {annotation.label for photo in export.photos[1:] for annotation in photo.annotations}
    missing = [name for name in ("car", "dog", "person", "bench") if name not in there]
    assert [line.partition(":")[0] for level, line in said if level == "WARNING"] == [
        *(f"No training photo holds {name}" for name in missing),
        "There is no test photo",
    ]
    said.clear()
    write_datasets(export, {"train": names, "val": [], "test": []}, tmp_path)
    log_counts(tmp_path, ["train"])
    assert [line.partition(":")[0] for level, line in said if level == "WARNING"] == [
        "No training photo holds bench",
        "There is no val photo",
        "There is no test photo",
    ]


@pytest.mark.parametrize(
    "mode, size, expected", [("fit", 4, "cdab"), ("fit", 2, "cd"), ("stretch", 2, "ab"), ("fit", 6, "cdabcd")]
)
def test_the_hardest_batch(mode, size, expected):
    """Seen at 100 pixels, c is the widest and highest of the wide, d is 100 high; a has the most objects, then b."""
    shapes = {"a": (100, 200, 9), "b": (100, 200, 5), "c": (180, 200, 0), "d": (200, 100, 1)}
    dicts = [{"n": n, "height": h, "width": w, "annotations": [{}] * k} for n, (h, w, k) in shapes.items()]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.INPUT_SIZE", "100", "CAMPUS.RESIZE", mode])
    assert "".join(photo["n"] for photo in hardest_batch(dicts, cfg, size)) == expected


@pytest.fixture
def registered(tmp_path):
    """Four drawn photos as campus_train; a model for them in training mode, and its config."""
    export = read_drawn(draw_export(photos=4), tmp_path)
    write_datasets(export, {"train": [photo.name for photo in export.photos], "val": [], "test": []}, tmp_path)
    register_datasets(tmp_path, export.classes)
    register_mini_backbone()
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*SMALL_MODEL, "MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    torch.manual_seed(0)
    return build_model(cfg).train(), cfg


def random_states():
    return [torch.get_rng_state().numpy().tobytes(), str(random.getstate()), str(np.random.get_state())]


def test_nothing_of_the_dry_run_stays(registered):
    model, cfg = registered
    untouched = copy.deepcopy(model)
    states = random_states()
    dry_run(model, cfg)
    assert random_states() == states
    before, after = untouched.state_dict(), model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any("running_mean" in name for name in before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    # The next step goes the same way.
    photo = CampusMapper(cfg, is_train=True)(DatasetCatalog.get("campus_train")[0])
    losses = []
    for each in (untouched, model):
        torch.manual_seed(1)
        with EventStorage(0):
            losses.append({name: loss.item() for name, loss in each([photo]).items()})
    assert losses[0] == losses[1]


def test_a_failure_inside_leaves_nothing_either(registered):
    model, _ = registered
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = random_states()
    with pytest.raises(KeyError), nothing_stays(model):
        for buffer in model.buffers():
            buffer.add_(1)
        torch.rand(1), random.random(), np.random.rand()
        raise KeyError
    assert random_states() == states
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def breaking(error):
    def forward(*args):
        raise error

    return forward


@pytest.mark.parametrize(
    "error, expected, message",
    [
        (torch.OutOfMemoryError("CUDA out of memory."), TrainingError, "the trial step before training: out of memory"),
        (FloatingPointError("Predicted boxes contain Inf"), TrainingError, "no numbers any more .*photo_0.jpg"),
        (
            RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
            ConfigError,
            "cannot take the training photos .mat1",
        ),
        (RuntimeError("a bug"), RuntimeError, "^a bug$"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(error, expected, message, registered, monkeypatch):
    model, cfg = registered
    monkeypatch.setattr(model.backbone, "forward", breaking(error))
    with pytest.raises(expected, match=message):
        dry_run(model, cfg)


def test_losses_that_are_no_numbers_are_found(registered, monkeypatch):
    model, cfg = registered
    losses = model.roi_heads.forward

    def broken(*args):
        proposals, given = losses(*args)
        return proposals, {**given, "loss_mask": given["loss_mask"] * float("inf")}

    monkeypatch.setattr(model.roi_heads, "forward", broken)
    with pytest.raises(TrainingError, match="the losses are no numbers any more .*'loss_mask': inf.*photo_0.jpg"):
        dry_run(model, cfg)
