"""One run from a config: everything that can be wrong with the input is found before anything is written."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from campus_seg.config import CLASSES_FILE, export_options
from campus_seg.data.datasets import choose_splits, dataset_name, write_datasets
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.splits import SPLITS
from campus_seg.errors import ConfigError
from campus_seg.label_studio.export import Export, read_export
from campus_seg.modeling.weights import read_checkpoint

logger = logging.getLogger(__name__)


def prepare_run(cfg: CfgNode, *, eval_only: bool = False, resume: bool = False) -> dict[str, Any] | None:
    """Checks the whole input, then imports the export into OUTPUT_DIR and fits `cfg` to it.

    Args:
        cfg: not frozen; CLASSES, NUM_CLASSES and DATASETS.TEST are set from the data.
        eval_only: the model is evaluated, not trained.
        resume: a run in OUTPUT_DIR goes on, if there is one.

    Returns:
        The checkpoint to start a new training from; None for training from scratch, going on and evaluating.

    Raises:
        CampusError: bad input; nothing has been written then.
    """
    output_dir = Path(cfg.OUTPUT_DIR)
    begun = (output_dir / "last_checkpoint").is_file()
    if begun and not (resume or eval_only):
        raise ConfigError(f"{output_dir}: holds a trained run already; go on with --resume, or give another OUTPUT_DIR")
    goes_on = eval_only or (resume and begun)
    if goes_on and not cfg.CAMPUS.CLASSES and (output_dir / CLASSES_FILE).is_file():
        cfg.CAMPUS.CLASSES = json.loads((output_dir / CLASSES_FILE).read_text(encoding="utf-8"))
    export = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    splits = choose_splits(
        export,
        list(cfg.CAMPUS.SPLIT),
        cfg.CAMPUS.SPLIT_SEED,
        saved=output_dir / "split.json" if goes_on else None,
    )
    if cfg.CAMPUS.OPTIMIZER not in ("SGD", "AdamW"):
        raise ConfigError(f"CAMPUS.OPTIMIZER {cfg.CAMPUS.OPTIMIZER!r}: choose SGD or AdamW")
    CampusMapper(cfg, is_train=True)  # says what is wrong with sizes and augmentations
    checkpoint = read_checkpoint(cfg.MODEL.WEIGHTS) if cfg.MODEL.WEIGHTS and not goes_on else None
    write_datasets(export, splits, output_dir)
    _fit_config(cfg, export, splits)
    return checkpoint


def _fit_config(cfg: CfgNode, export: Export, splits: dict[str, list[str]]) -> None:
    cfg.CAMPUS.CLASSES = list(export.classes)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(export.classes)
    filled = {dataset_name(split) for split in SPLITS if splits[split]}
    cfg.DATASETS.TEST = tuple(name for name in cfg.DATASETS.TEST if name in filled)


def setup_run(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Detectron2's default_setup: loggers, random seeds, and for a training OUTPUT_DIR/config.yaml.

    Its pages on environment and config go to log.txt alone. An evaluation leaves the run's config.yaml as it is.
    """
    rank = comm.get_rank()
    # Called just as default_setup calls it, which then finds these loggers set up and adds no second handlers.
    loggers = [setup_logger(cfg.OUTPUT_DIR, distributed_rank=rank)]
    loggers += [setup_logger(cfg.OUTPUT_DIR, distributed_rank=rank, name=name) for name in ("fvcore", "campus_seg")]
    if args.eval_only:
        return
    consoles = [handler for each in loggers for handler in each.handlers if handler.stream is sys.stdout]
    for handler in consoles:
        handler.addFilter(_nothing)
    default_setup(cfg, args)
    for handler in consoles:
        handler.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def log_import(output_dir: Path) -> None:
    """Says in a few lines what was imported, from the files that the import left."""
    report = json.loads((output_dir / "import_report.json").read_text(encoding="utf-8"))
    counts = report["counts"]
    logger.info(
        f"Imported {counts['photos']} of {counts['photos_in_export']} photos and {counts['objects']} of "
        f"{counts['annotations_in_export']} annotations; {len(report['defects'])} remarks in "
        f"{output_dir / 'import_report.json'}"
    )
    splits = json.loads((output_dir / "split.json").read_text(encoding="utf-8"))
    logger.info("Photos: " + ", ".join(f"{len(names)} {split}" for split, names in splits.items()))
