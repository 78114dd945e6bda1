"""What is made sure of before a run begins: its keys, its training photos, its model."""

import math

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model

from campus_seg.data.datasets import dataset_name
from campus_seg.data.groups import name_pattern
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.sampler import SAMPLERS
from campus_seg.data.splits import SPLITS
from campus_seg.engine.best import check_best_keys
from campus_seg.engine.resume import check_restorable, training_splits
from campus_seg.errors import ConfigError
from campus_seg.evaluation.cocoeval import check_backend
from campus_seg.label_studio.export import Export
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights import load_weights


def check_keys(cfg: CfgNode, eval_only: bool, processes: int) -> None:
    """Makes sure of the keys that need no data.

    Args:
        cfg: the run's.
        eval_only: the model is evaluated, not trained.
        processes: that share each batch out, on all machines.

    Raises:
        ConfigError: one cannot be used.
    """
    batch = cfg.SOLVER.IMS_PER_BATCH
    if batch % processes and not eval_only:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH {batch}: the {processes} processes take equal shares of each batch; give a multiple "
            f"of {processes}, such as {math.ceil(batch / processes) * processes}"
        )
    if cfg.SOLVER.REFERENCE_WORLD_SIZE:
        raise ConfigError(
            f"SOLVER.REFERENCE_WORLD_SIZE {cfg.SOLVER.REFERENCE_WORLD_SIZE}: the batch is what SOLVER.IMS_PER_BATCH "
            "says, whatever the number of processes; set it to 0"
        )
    if cfg.CAMPUS.OPTIMIZER not in ("SGD", "AdamW"):
        raise ConfigError(f"CAMPUS.OPTIMIZER {cfg.CAMPUS.OPTIMIZER!r}: choose SGD or AdamW")
    if cfg.DATALOADER.SAMPLER_TRAIN not in SAMPLERS:
        raise ConfigError(f"DATALOADER.SAMPLER_TRAIN {cfg.DATALOADER.SAMPLER_TRAIN!r}: choose {' or '.join(SAMPLERS)}")
    if eval_only and not cfg.MODEL.WEIGHTS:
        raise ConfigError("MODEL.WEIGHTS is empty: --eval-only wants a run's config.yaml, or the weights with it")
    known = {dataset_name(split) for split in SPLITS}
    unknown = sorted({*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST} - known)
    if unknown:
        raise ConfigError(f"DATASETS: no dataset is called {unknown[0]}; there are {', '.join(sorted(known))}")
    if cfg.TEST.PRECISE_BN.ENABLED and not eval_only:
        raise ConfigError(
            "TEST.PRECISE_BN.ENABLED True: its photos are drawn outside the training's order, which a run that goes on "
            "could not repeat; set it to False"
        )
    check_best_keys(cfg)
    check_backend(cfg.CAMPUS.EVALUATION.BACKEND)
    name_pattern(cfg.CAMPUS.GROUP_BY)
    CampusMapper(cfg, is_train=not eval_only)  # says what is wrong with sizes and augmentations


def check_training_split(cfg: CfgNode, export: Export, splits: dict[str, list[str]]) -> None:
    """Makes sure that there is something to learn from.

    Raises:
        ConfigError: no photo for training holds an object.
    """
    names = {name for split in training_splits(cfg) for name in splits[split]}
    if names and not any(photo.annotations for photo in export.photos if photo.name in names):
        raise ConfigError(
            "no photo for training holds an object: those that do are in others of train, val and test, by "
            f"DATASETS.TRAIN {list(cfg.DATASETS.TRAIN)} and CAMPUS.SPLIT_FILE {cfg.CAMPUS.SPLIT_FILE!r}; label more "
            "photos, or change these"
        )


def check_model(cfg: CfgNode, eval_only: bool, goes_on: bool) -> None:
    """Builds the model once, and makes sure of what it is to load, while nothing is written yet.

    On the CPU: the command of several processes would keep its hold on a GPU that one of them needs.

    Args:
        cfg: the run's.
        eval_only: MODEL.WEIGHTS are evaluated.
        goes_on: a checkpoint in OUTPUT_DIR is gone on from.

    Raises:
        ConfigError: it cannot be built.
        WeightsError: what it is to load is missing, damaged or another model's.
    """
    register_mini_backbone()
    probe = cfg.clone()
    probe.defrost()
    probe.MODEL.DEVICE = "cpu"
    try:
        device = torch.device(cfg.MODEL.DEVICE)
        model = build_model(probe)
    except (KeyError, ValueError, AssertionError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"the model cannot be built ({reason}); check the MODEL and CAMPUS keys") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"MODEL.DEVICE {device}: the number of GPUs here is {torch.cuda.device_count()}; give cpu, or one of them"
        )
    if eval_only:
        load_weights(model, cfg.MODEL.WEIGHTS, cfg.CAMPUS.CLASSES)
    elif goes_on:
        check_restorable(cfg, model)
