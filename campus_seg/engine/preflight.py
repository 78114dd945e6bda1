"""What is looked at before the first step: how much there is of each class, and whether one step works at all."""

import contextlib
import json
import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import get_detection_dataset_dicts
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from tabulate import tabulate
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from campus_seg.data.datasets import coco_file
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.resize import resized_shape
from campus_seg.data.splits import SPLITS
from campus_seg.engine.guard import NamedBatches, clear_failures
from campus_seg.engine.losses import undisturbed
from campus_seg.errors import ConfigError

logger = logging.getLogger(__name__)

MISFIT = ("size", "shape", "dimension", "channels")  # of torch's RuntimeErrors, those that keys can cause
USE = {"val": "no figures tell the best model", "test": "no figures judge the model"}


def log_counts(output_dir: Path, training: Sequence[str]) -> None:
    """Tells photos and objects by class and split, and warns of what is missing.

    Args:
        output_dir: a run's folder, with its import.
        training: the splits that are trained on.
    """
    splits = {split: json.loads(coco_file(output_dir, split).read_text(encoding="utf-8")) for split in SPLITS}
    logger.info("Photos and objects:\n" + count_table(splits))
    objects = Counter(annotation["category_id"] for split in training for annotation in splits[split]["annotations"])
    for category in splits["train"]["categories"]:
        if not objects[category["id"]]:
            logger.warning(
                f"No training photo holds {category['name']}: the model cannot learn this class; label more of it, or "
                "draw another split with CAMPUS.SPLIT_SEED"
            )
    for split, lack in USE.items():
        if not splits[split]["images"]:
            logger.warning(f"There is no {split} photo: {lack}; label more, or set CAMPUS.SPLIT")


def count_table(splits: Mapping[str, dict[str, Any]]) -> str:
    """A line a class: the photos of each split that hold it, and its objects there.

    Args:
        splits: split -> its COCO dict; the categories are the same in all.
    """
    rows = []
    for category in splits["train"]["categories"]:
        row = [category["name"]]
        for coco in splits.values():
            images = [a["image_id"] for a in coco["annotations"] if a["category_id"] == category["id"]]
            row += [len(set(images)), len(images)]
        rows.append(row)
    total, background = ["all photos"], ["photos without objects"]
    for coco in splits.values():
        labelled = {annotation["image_id"] for annotation in coco["annotations"]}
        total += [len(coco["images"]), len(coco["annotations"])]
        background += [len(coco["images"]) - len(labelled), 0]
    headers = ["class", *(f"{split} {what}" for split in splits for what in ("photos", "objects"))]
    return tabulate([*rows, background, total], headers=headers, tablefmt="pipe")


def dry_run(model: nn.Module, cfg: CfgNode) -> None:
    """One step forward and back on the hardest batch, so that too little memory and wrong shapes show at once.

    Nothing of it stays: a training goes the same way, bit for bit, as without.

    Args:
        model: as the trainer has it, in training mode.
        cfg: the run's config; the training photos are registered.

    Raises:
        TrainingError: too little memory, or losses that are no numbers.
        ConfigError: the model cannot take these photos.
    """
    dicts = get_detection_dataset_dicts(
        cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS, check_consistency=False
    )
    photos = hardest_batch(dicts, cfg, max(1, cfg.SOLVER.IMS_PER_BATCH // comm.get_world_size()))
    mapper = CampusMapper(cfg, is_train=True)
    model = model.module if isinstance(model, DistributedDataParallel) else model  # its gradients stay unshared
    batches = NamedBatches([photos])
    with clear_failures("the trial step before training", batches, cfg), nothing_stays(model), EventStorage(1):
        batch = [mapper.map_photo(photo) for photo in next(iter(batches))]
        try:
            with torch.autocast(torch.device(cfg.MODEL.DEVICE).type, enabled=cfg.SOLVER.AMP.ENABLED):
                losses = model(batch)
            total = sum(losses.values())
            if not torch.isfinite(total):
                named = {name: loss.item() for name, loss in losses.items()}
                raise FloatingPointError(f"losses = {named}")
            total.backward()
        except (ValueError, AssertionError, IndexError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not any(word in str(error).lower() for word in MISFIT):
                raise
            logger.debug("The trial step failed:", exc_info=True)
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ConfigError(
                f"the model cannot take the training photos ({reason}); check the MODEL and CAMPUS keys"
            ) from error


def hardest_batch(dicts: list[dict], cfg: CfgNode, size: int) -> list[dict]:
    """The photos that need most memory together.

    A batch is padded to its widest and its highest photo, so these two come first; then those with the most objects.

    Args:
        dicts: Detectron2's dataset dicts, at least one.
        cfg: gives the size that the model sees.
        size: photos in the batch. Where there are fewer, they come again.
    """
    shapes = [resized_shape(d["height"], d["width"], cfg.CAMPUS.INPUT_SIZE, cfg.CAMPUS.RESIZE) for d in dicts]
    objects = [len(d["annotations"]) for d in dicts]
    everything = range(len(dicts))
    widest = max(everything, key=lambda i: (shapes[i][1], shapes[i][0], objects[i]))
    highest = max(everything, key=lambda i: (shapes[i], objects[i]))
    crowded = sorted(everything, key=lambda i: -objects[i])
    order = list(dict.fromkeys([widest, highest, *crowded]))
    return [dicts[order[i % len(order)]] for i in range(size)]


@contextlib.contextmanager
def nothing_stays(model: nn.Module) -> Iterator[None]:
    """Puts back, at its end, a model's buffers and every random state, and takes its gradients away."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    python, numpy = random.getstate(), np.random.get_state()
    with undisturbed(model):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            model.zero_grad(set_to_none=True)
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
