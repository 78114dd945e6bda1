"""One run from a config: what can be wrong with the input is found before anything is written."""

import argparse
import logging
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger

from campus_seg.atomic_writes import check_output_folder, remove_leftovers, replacing
from campus_seg.config import CONFIG_FILE, SPLIT_FILE, export_options
from campus_seg.data.datasets import REPORT_FILE, choose_splits, dataset_name, fit_config, write_datasets
from campus_seg.data.split_file import read_split
from campus_seg.data.splits import SPLITS
from campus_seg.engine.best import BEST_FILE
from campus_seg.engine.mixed_precision import resolve_precision
from campus_seg.engine.preflight import log_counts
from campus_seg.engine.resume import (
    keep_keys,
    read_json,
    take_earlier_import,
    training_splits,
)
from campus_seg.engine.run_checks import check_keys, check_model, check_training_split
from campus_seg.engine.schedule import Remark, photos_an_epoch, resolve_schedule
from campus_seg.errors import ConfigError
from campus_seg.evaluation.evaluator import inference_folder
from campus_seg.evaluation.thresholds import THRESHOLDS_FILE
from campus_seg.label_studio.export import Export, read_export
from campus_seg.metrics_file import METRICS_FILE
from campus_seg.modeling.checkpoint import checkpoint_files, is_checkpoint
from campus_seg.modeling.weights_file import read_checkpoint
from campus_seg.storage_cache import local_path

logger = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """What a run starts with.

    Attributes:
        starts: whether a new training starts from MODEL.WEIGHTS, which each process reads by itself: a checkpoint
            is too large to be handed on.
        remarks: for the log, which is not open yet.
    """

    starts: bool = False
    remarks: Sequence[Remark] = ()


def prepare_run(
    cfg: CfgNode,
    *,
    given: Collection[str] = (),
    eval_only: bool = False,
    resume: bool = False,
    processes: int = 1,
) -> Prepared:
    """Checks the whole input, then imports the export into OUTPUT_DIR and fits `cfg` to it.

    A run that goes on, or is evaluated in its own folder, keeps what it imported: the export is not read again.

    Args:
        cfg: not frozen; CLASSES, NUM_CLASSES, DATASETS.TEST and the schedule are set from the data.
        given: the keys given with the command, which win.
        eval_only: the model is evaluated, not trained.
        resume: a run in OUTPUT_DIR goes on, if there is one.
        processes: that share each batch out, on all machines.

    Raises:
        CampusError: bad input; nothing has been written then.
    """
    output_dir = Path(cfg.OUTPUT_DIR)
    check_output_folder(output_dir)
    begun = bool(checkpoint_files(output_dir))
    if begun and not (resume or eval_only):
        check_not_begun(output_dir, (path.name for path in output_dir.iterdir()))
    goes_on = begun and resume and not eval_only
    remarks = keep_keys(cfg, output_dir, given) if goes_on else []
    check_keys(cfg, eval_only, processes)
    if (goes_on or eval_only) and (output_dir / REPORT_FILE).is_file():
        training = take_earlier_import(cfg, output_dir)
        if not eval_only:
            remarks += _fit_schedule(cfg, training, given, begins=not goes_on)
        check_model(cfg, eval_only, goes_on)
        if goes_on:
            remove_leftovers(output_dir)
        return Prepared(remarks=remarks)
    own_split = str(output_dir / SPLIT_FILE) if goes_on and (output_dir / SPLIT_FILE).is_file() else ""
    split_file = cfg.CAMPUS.SPLIT_FILE or own_split
    earlier = read_split(local_path(split_file)) if split_file else {}
    export = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    splits = choose_splits(export, list(cfg.CAMPUS.SPLIT), cfg.CAMPUS.SPLIT_SEED, earlier, cfg.CAMPUS.GROUP_BY)
    fit_config(cfg, export.classes, splits)
    starts = False
    if not eval_only:
        check_training_split(cfg, export, splits)
        remarks += _fit_schedule(cfg, _training_photos(cfg, export, splits), given, begins=not goes_on)
        starts = bool(cfg.MODEL.WEIGHTS) and not goes_on
    if starts:
        read_checkpoint(cfg.MODEL.WEIGHTS)  # fetches it, once for all processes, and says what is wrong with it
    check_model(cfg, eval_only, goes_on)
    if not (eval_only or goes_on):
        remarks += resolve_precision(cfg, given)
    if not eval_only:
        remove_leftovers(output_dir)
    write_datasets(export, splits, output_dir, cfg.CAMPUS.EXPORT, earlier)
    if not (eval_only or goes_on):
        _forget_earlier(output_dir)
    return Prepared(starts, remarks)


def check_not_begun(place: Path | str, names: Iterable[str]) -> None:
    """Makes sure that a new run overwrites none.

    Args:
        place: OUTPUT_DIR, a path or a URI.
        names: of the files in it.

    Raises:
        ConfigError: one of them says that a run has begun there.
    """
    if any(map(is_checkpoint, names)):
        raise ConfigError(f"{place}: holds a trained run already; go on with --resume, or give another OUTPUT_DIR")


def _forget_earlier(output_dir: Path) -> None:
    """Removes what is not this run's: of one that stopped before its first checkpoint, or of other weights' figures."""
    names = METRICS_FILE, BEST_FILE, THRESHOLDS_FILE
    evaluations = [path for split in SPLITS for path in inference_folder(output_dir, dataset_name(split)).glob("*")]
    for path in (*(output_dir / name for name in names), *evaluations):
        if path.is_file():
            path.unlink()


def _training_photos(cfg: CfgNode, export: Export, splits: dict[str, list[str]]) -> list[dict]:
    """The training photos of an export that is not written yet, as `photos_an_epoch` takes them."""
    names = {name for split in training_splits(cfg) for name in splits[split]}
    return [
        {"annotations": [{"category_id": annotation.label} for annotation in photo.annotations]}
        for photo in export.photos
        if photo.name in names
    ]


def _fit_schedule(cfg: CfgNode, training: list[dict], given: Collection[str], *, begins: bool) -> list[Remark]:
    """Works out how long and how fast to train."""
    remarks = resolve_schedule(cfg, photos_an_epoch(cfg, training), given)
    if cfg.MODEL.BACKBONE.FREEZE_AT and begins and not cfg.MODEL.WEIGHTS:
        remarks.append(
            (
                logging.WARNING,
                f"MODEL.BACKBONE.FREEZE_AT {cfg.MODEL.BACKBONE.FREEZE_AT} freezes stages that know nothing, since "
                "MODEL.WEIGHTS is empty; set it to 0",
            )
        )
    return remarks


def setup_run(cfg: CfgNode, args: argparse.Namespace) -> None:
    """What Detectron2's default_setup does but for config.yaml: loggers and random seeds.

    The pages on environment and config go to log.txt alone.
    """
    rank = comm.get_rank()
    loggers = [setup_logger(cfg.OUTPUT_DIR, distributed_rank=rank)]
    loggers += [setup_logger(cfg.OUTPUT_DIR, distributed_rank=rank, name=name) for name in ("fvcore", "campus_seg")]
    consoles = [handler for each in loggers for handler in each.handlers if handler.stream is sys.stdout]
    for handler in consoles:
        handler.addFilter(_no_traceback)
    if args.eval_only:
        return
    for handler in consoles:
        handler.addFilter(_nothing)
    logger.info(f"Command line: {args}\nEnvironment:\n{collect_env_info()}\nConfig:\n{cfg.dump()}")
    for handler in consoles:
        handler.removeFilter(_nothing)
    seed_all_rng(cfg.SEED + rank if cfg.SEED >= 0 else None)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK


def write_config(cfg: CfgNode, output_dir: str) -> None:
    """Writes OUTPUT_DIR/config.yaml, whole or not at all, with OUTPUT_DIR as the command had it, a URI for example.

    When nothing is left that could refuse the command: until then the file is that of the run as it was.
    """
    if comm.is_main_process():
        with replacing(Path(cfg.OUTPUT_DIR, CONFIG_FILE), durable=True) as temporary:
            saved = cfg.clone()
            saved.defrost()
            saved.OUTPUT_DIR = output_dir
            temporary.write_text(saved.dump(), encoding="utf-8")


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _no_traceback(record: logging.LogRecord) -> bool:
    """Detectron2 logs what ends a training, which then ends the command as well and is told there."""
    return not record.exc_info


def log_import(cfg: CfgNode, place: str = "") -> None:
    """Says in a few lines what was imported, from the files that the import left in OUTPUT_DIR.

    Args:
        cfg: the run's.
        place: what OUTPUT_DIR is called, a URI for example; "" as in the config.
    """
    output_dir = Path(cfg.OUTPUT_DIR)
    report = read_json(output_dir / REPORT_FILE)
    counts = report["counts"]
    logger.info(
        f"{counts['photos']} of {counts['photos_in_export']} photos and {counts['objects']} of "
        f"{counts['annotations_in_export']} annotations imported; {len(report['defects'])} remarks in "
        f"{place or output_dir}/{REPORT_FILE}"
    )
    if "photos_in_earlier_split" in counts:
        logger.info(f"{counts['photos_in_earlier_split']} of them stay where an earlier run's split.json has them")
    largest = counts.get("largest_photo_group", 1)
    if 1 < largest > counts["photos"] / 2:
        logger.warning(
            f"{largest} of the photos are one group by CAMPUS.GROUP_BY and lie in one split; choose a pattern that "
            "parts them, or '' for none"
        )
    log_counts(output_dir, training_splits(cfg))
