"""How long and how fast to train: from epochs and shares to the iterations and the learning rate of Detectron2's keys.

The keys of `cfg.CAMPUS` named here are the sources, those of `cfg.SOLVER` and `cfg.TEST` what follows from them. One of
the latter given with the command wins, and its source is switched off, so that a run's config.yaml always agrees with
itself: resolved again for the same photos it stays as it is, for others it fits them.
"""

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.data.build import filter_images_with_only_crowd_annotations
from detectron2.solver import build_lr_scheduler

from campus_seg.config import get_key, set_key
from campus_seg.data.sampler import repeat_factors
from campus_seg.errors import ConfigError

# Key of CAMPUS -> the key that follows from it, and the value of the source that switches it off.
SOURCES = {
    "CAMPUS.EPOCHS": ("SOLVER.MAX_ITER", 0.0),
    "CAMPUS.STEPS": ("SOLVER.STEPS", []),
    "CAMPUS.WARMUP_ITERS": ("SOLVER.WARMUP_ITERS", 0),
    "CAMPUS.EVAL_EPOCHS": ("TEST.EVAL_PERIOD", 0.0),
    "CAMPUS.CHECKPOINT_EPOCHS": ("SOLVER.CHECKPOINT_PERIOD", 0.0),
    "CAMPUS.REFERENCE_BATCH": ("SOLVER.BASE_LR", 0),
}
LONGEST_WARMUP = 5  # a fifth of the run: the rest has to learn at the full rate
FEW_ITERATIONS = 300  # what Detectron2's own tutorial fine-tunes 61 photos for

Remark = tuple[int, str]  # a level of `logging`, and a line


def photos_an_epoch(cfg: CfgNode, training: list[dict]) -> float:
    """Photos that one epoch draws, on average.

    Args:
        cfg: DATALOADER says whether photos without objects count, and how often those of rare classes do.
        training: Detectron2's dataset dicts, of which "annotations" with their "category_id" are needed.
    """
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        training = filter_images_with_only_crowd_annotations(training)
    factors = repeat_factors(cfg, training)
    return len(training) if factors is None else float(factors.sum())


def resolve_schedule(cfg: CfgNode, photos: float, given: Collection[str]) -> list[Remark]:
    """Works out the iterations, in place, for the photos that are there.

    Every period is rounded up, so that at least one whole epoch lies between two evaluations and none is left over.

    Args:
        cfg: not frozen.
        photos: what an epoch draws, see `photos_an_epoch`.
        given: the keys given with the command, which win.

    Returns:
        What to tell the user, a line each.

    Raises:
        ConfigError: no photo, or a value that cannot be.
    """
    if not photos:
        raise ConfigError(
            f"DATASETS.TRAIN {list(cfg.DATASETS.TRAIN)} with DATALOADER.FILTER_EMPTY_ANNOTATIONS "
            f"{cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS} leaves no photo to train on; give DATASETS.TRAIN "
            "\"('campus_train',)\", or label more photos"
        )
    remarks = _scale_learning_rate(cfg, given)
    solver, campus = cfg.SOLVER, cfg.CAMPUS
    for source, (target, off) in SOURCES.items():
        if target in given:
            set_key(cfg, source, off)
    _check(cfg)
    before = {target: get_key(cfg, target) for target, _ in SOURCES.values()}
    solver.MAX_ITER = _iterations(campus.EPOCHS, photos, cfg) or solver.MAX_ITER
    if solver.MAX_ITER < 1:
        raise ConfigError(f"SOLVER.MAX_ITER {solver.MAX_ITER}: nothing to train; give CAMPUS.EPOCHS, or iterations")
    if campus.STEPS:
        steps = sorted({round(share * solver.MAX_ITER) for share in campus.STEPS})
        solver.STEPS = tuple(step for step in steps if 0 < step < solver.MAX_ITER)
    if campus.WARMUP_ITERS:
        solver.WARMUP_ITERS = min(campus.WARMUP_ITERS, solver.MAX_ITER // LONGEST_WARMUP)
    cfg.TEST.EVAL_PERIOD = _iterations(campus.EVAL_EPOCHS, photos, cfg) or cfg.TEST.EVAL_PERIOD
    solver.CHECKPOINT_PERIOD = _iterations(campus.CHECKPOINT_EPOCHS, photos, cfg) or solver.CHECKPOINT_PERIOD
    _check_curve(cfg)
    return [*remarks, *_describe(cfg, photos, before, given)]


def _scale_learning_rate(cfg: CfgNode, given: Collection[str]) -> list[Remark]:
    """Fits BASE_LR to the batch.

    Linearly for SGD (Goyal et al. 2017, arXiv:1706.02677, section 2.1); by the square root for AdamW (Malladi et al.
    2022, arXiv:2205.10287, section 5.2).
    """
    solver, campus = cfg.SOLVER, cfg.CAMPUS
    batch, reference, rate = solver.IMS_PER_BATCH, campus.REFERENCE_BATCH, solver.BASE_LR
    if batch < 1 or reference < 0:
        raise ConfigError(f"SOLVER.IMS_PER_BATCH {batch}, CAMPUS.REFERENCE_BATCH {reference}: give at least 1")
    if "SOLVER.BASE_LR" in given:
        return [(logging.INFO, f"Learning rate: {rate:g}, as given with the command")]
    if not reference or batch == reference:
        return [(logging.INFO, f"Learning rate: {rate:g} for a batch of {batch}, as the config has it")]
    rule, exponent = ("linearly", 1.0) if campus.OPTIMIZER == "SGD" else ("by the square root", 0.5)
    factor = (batch / reference) ** exponent
    solver.BASE_LR = rate * factor
    if "SOLVER.BASE_LR_END" not in given:
        solver.BASE_LR_END *= factor
    campus.REFERENCE_BATCH = batch
    return [
        (
            logging.INFO,
            f"Learning rate: {solver.BASE_LR:g} for a batch of {batch}, scaled {rule} ({campus.OPTIMIZER}) from the "
            f"config's {rate:g} for {reference}; SOLVER.BASE_LR with the command would win",
        )
    ]


def _iterations(epochs: float, photos: float, cfg: CfgNode) -> int:
    # Rounded first, since 0.1 * 30 is a little more than 3.
    return math.ceil(round(epochs * photos / cfg.SOLVER.IMS_PER_BATCH, 6))


def _check(cfg: CfgNode) -> None:
    campus = cfg.CAMPUS
    for key in ("EPOCHS", "WARMUP_ITERS", "EVAL_EPOCHS", "CHECKPOINT_EPOCHS"):
        if not 0 <= campus[key] < math.inf:
            raise ConfigError(f"CAMPUS.{key} {campus[key]}: give a number that is not negative")
    if not all(isinstance(share, int | float) and 0 < share < 1 for share in campus.STEPS):
        raise ConfigError(f"CAMPUS.STEPS {list(campus.STEPS)}: give shares of the run, each between 0 and 1")
    if cfg.SOLVER.BASE_LR < 0:
        raise ConfigError(f"SOLVER.BASE_LR {cfg.SOLVER.BASE_LR}: give a learning rate that is not negative")


def build_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer):
    """Detectron2's learning-rate scheduler, also for a BASE_LR of 0, by which its cosine would divide."""
    if cfg.SOLVER.BASE_LR == 0:
        cfg = cfg.clone()
        cfg.defrost()
        cfg.SOLVER.BASE_LR, cfg.SOLVER.BASE_LR_END = 1.0, 0.0  # a factor: the optimizer's rates are 0 all the same
    return build_lr_scheduler(cfg, optimizer)


def _check_curve(cfg: CfgNode) -> None:
    """Builds the scheduler once, while nothing is written yet."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    try:
        build_scheduler(cfg, optimizer)
    except (ValueError, AssertionError) as error:
        reason = str(error) or "AssertionError"
        raise ConfigError(f"SOLVER: these keys make no learning-rate schedule ({reason}); check them") from None


def _overruled(cfg: CfgNode, before: Mapping[str, Any], given: Collection[str]) -> str:
    """Names the keys that a config file of the user's own sets, for nothing where their sources count."""
    usual = get_cfg()
    lost = [
        f"{target} {before[target]} in the config file, which {source} overrules ({off} there lets it count)"
        for source, (target, off) in SOURCES.items()
        if target != "SOLVER.BASE_LR"  # is scaled, not overruled
        and source not in given
        and before[target] not in (get_key(usual, target), get_key(cfg, target))
    ]
    return f"; not {', nor '.join(lost)}" if lost else ""


def _describe(cfg: CfgNode, photos: float, before: Mapping[str, Any], given: Collection[str]) -> list[Remark]:
    solver, epochs = cfg.SOLVER, cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH / photos
    drops = f", drops at {', '.join(map(str, solver.STEPS))}" if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR" else ""
    evaluation = f"each {cfg.TEST.EVAL_PERIOD}" if cfg.TEST.EVAL_PERIOD else "at the end"
    remarks = [
        (
            logging.INFO,
            f"Schedule: {solver.MAX_ITER} iterations = {epochs:.4g} epochs of {photos:.6g} photos, "
            f"{solver.IMS_PER_BATCH} a batch; {solver.LR_SCHEDULER_NAME} with {solver.WARMUP_ITERS} of warm-up{drops}; "
            f"evaluation {evaluation}, a checkpoint each {solver.CHECKPOINT_PERIOD}{_overruled(cfg, before, given)}",
        )
    ]
    if cfg.CAMPUS.EPOCHS and "CAMPUS.EPOCHS" not in given and solver.MAX_ITER < FEW_ITERATIONS:
        more = math.ceil(FEW_ITERATIONS * cfg.CAMPUS.EPOCHS / solver.MAX_ITER)
        remarks.append(
            (
                logging.WARNING,
                f"CAMPUS.EPOCHS {cfg.CAMPUS.EPOCHS:g} are {solver.MAX_ITER} iterations with so few photos, hardly "
                f"enough to learn; CAMPUS.EPOCHS {more} would be {FEW_ITERATIONS}",
            )
        )
    return remarks
