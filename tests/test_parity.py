"""Our training against stock Detectron2's: where both are asked for the same, the losses are the same."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetMapper, build_detection_train_loader, get_detection_dataset_dicts
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.utils.env import seed_all_rng
from drawn import SMALL_MODEL, draw_export
from small_models import EVERY_PROPOSAL

from campus_seg.config import load_config
from campus_seg.data.datasets import coco_file, register_datasets
from campus_seg.data.geometry import Rings
from campus_seg.data.sampler import EpochSampler
from campus_seg.engine.run import prepare_run
from campus_seg.engine.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, TOLERANCE = 10, 1e-5
LOSSES = ("loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg", "loss_mask")


class PhotoOrder(EpochSampler):
    """The same photos in the same order, for a dataset that knows no epochs."""

    def __iter__(self):
        return (position % self.size for position in super().__iter__())


class StockTrainer(DefaultTrainer):
    """Detectron2's trainer and mapper without an augmentation, given the photos in our order."""

    @classmethod
    def build_train_loader(cls, cfg):
        dicts = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=False)
        return build_detection_train_loader(
            dicts,
            mapper=DatasetMapper(cfg, is_train=True, augmentations=[]),
            sampler=PhotoOrder(len(dicts), cfg.SEED),
            total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
            aspect_ratio_grouping=False,
        )


class Recorder(HookBase):
    """Keeps each step's losses by name."""

    def __init__(self):
        self.losses = []

    def after_step(self):
        latest = self.trainer.storage.latest()
        self.losses.append({name: latest[name][0] for name in LOSSES})


def first_losses(trainer_class, cfg, folder, sharper=25):
    """The losses of the first steps, from the same random state."""
    cfg = cfg.clone()
    cfg.OUTPUT_DIR = str(folder)
    folder.mkdir()
    seed_all_rng(cfg.SEED)
    trainer = trainer_class(cfg)
    # As it starts, the loss of masks is ln 2 whatever the outline; 25 times these weights make it ask for the outline.
    trainer.model.roi_heads.mask_head.predictor.weight.data *= sharper
    recorder = Recorder()
    trainer.register_hooks([recorder])
    trainer.train()
    assert len(recorder.losses) == STEPS
    return recorder.losses


def largest_differences(ours, theirs):
    return {name: max(abs(a[name] - b[name]) for a, b in zip(ours, theirs, strict=True)) for name in LOSSES}


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    """Photos at the model's size, no augmentation, no evaluation; imported and registered."""
    folder = tmp_path_factory.mktemp("parity")
    drawn = draw_export(photos=20, width=96, height=72)
    opts = [
        *SMALL_MODEL,
        *EVERY_PROPOSAL,
        "CAMPUS.AUGMENTATIONS",
        "",
        "CAMPUS.SPLIT",
        "[1.0, 0.0, 0.0]",
        "DATASETS.TEST",
        "()",
    ]
    opts += ["DATALOADER.NUM_WORKERS", "0", "SOLVER.MAX_ITER", str(STEPS), "SOLVER.WARMUP_ITERS", "2"]
    opts += ["CAMPUS.OPTIMIZER", "SGD", "SOLVER.BASE_LR", "0.001"]
    opts += ["CAMPUS.EXPORT", str(drawn.write_zip(folder / "export.zip")), "OUTPUT_DIR", str(folder / "import")]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", opts)
    prepare_run(cfg, given=opts[::2])
    register_datasets(folder / "import", cfg.CAMPUS.CLASSES)
    return cfg


@pytest.fixture(scope="module")
def stock(cfg, tmp_path_factory):
    return first_losses(StockTrainer, cfg, tmp_path_factory.mktemp("stock") / "run")


def test_boxes_are_the_polygons_bounds(cfg):
    """What the comparison stands on: stock Detectron2 takes the boxes as they are written."""
    annotations = json.loads(coco_file(Path(cfg.OUTPUT_DIR), "train").read_text())["annotations"]
    assert len(annotations) > 40
    for annotation in annotations:
        (ring,) = annotation["segmentation"]
        points = np.reshape(ring, (-1, 2))
        np.testing.assert_allclose(annotation["bbox"], [*points.min(axis=0), *np.ptp(points, axis=0)], atol=1e-6)


def test_the_first_losses_are_stock_detectron2s(cfg, stock, tmp_path):
    ours = first_losses(Trainer, cfg, tmp_path / "run")
    differences = largest_differences(ours, stock)
    assert max(differences.values()) < TOLERANCE, differences
    assert len({losses["loss_mask"] for losses in stock}) == STEPS  # and something was learned


@pytest.mark.parametrize(("moved", "shows_in"), [("outlines and boxes", LOSSES), ("outlines alone", ["loss_mask"])])
def test_a_tenth_of_a_pixel_would_show(cfg, stock, tmp_path, monkeypatch, moved, shows_in):
    scaled, objects = Rings.scaled, Rings.objects

    def everything_moved(rings, x, y):
        return Rings(scaled(rings, x, y).points + 0.1, rings.starts, rings.owners)

    def outlines_moved(rings):
        kept, boxes, polygons = objects(rings)
        return kept, boxes, [[ring + 0.1 for ring in parts] for parts in polygons]

    if moved == "outlines alone":
        monkeypatch.setattr(Rings, "objects", outlines_moved)
    else:
        monkeypatch.setattr(Rings, "scaled", everything_moved)
    differences = largest_differences(first_losses(Trainer, cfg, tmp_path / "run"), stock)
    assert min(differences[name] for name in shows_in) > 3 * TOLERANCE, differences


def test_a_new_model_starts_at_the_losses_that_the_page_on_models_says(cfg, tmp_path):
    first = first_losses(Trainer, cfg, tmp_path / "run", sharper=1)[0]
    assert first["loss_rpn_cls"] == pytest.approx(math.log(2), abs=0.02)
    assert first["loss_mask"] == pytest.approx(math.log(2), abs=0.02)
    assert first["loss_cls"] == pytest.approx(math.log(len(cfg.CAMPUS.CLASSES) + 1), abs=0.1)
