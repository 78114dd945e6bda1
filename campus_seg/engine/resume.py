"""A run that goes on: what it keeps, and whether its checkpoint fits, found out before anything is written."""

import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from torch import nn

from campus_seg.config import CLASSES_FILE, CONFIG_FILE, get_key, load_config, set_key
from campus_seg.data.datasets import REPORT_FILE, coco_file, dataset_name, fit_config, image_folder
from campus_seg.data.splits import SPLITS
from campus_seg.engine.optimizer import build_optimizer, check_state
from campus_seg.engine.schedule import SOURCES, Remark
from campus_seg.errors import ConfigError
from campus_seg.modeling.checkpoint import check_weights, latest_checkpoint
from campus_seg.storage import base_name, is_uri, shown

# What a run was trained and judged by, beside all of SOLVER and the sources of the schedule.
KEPT = (
    *("SEED", "CAMPUS.OPTIMIZER", "CAMPUS.PRECISION", "CAMPUS.BEST_METRIC", "CAMPUS.PATIENCE", "TEST.EVAL_PERIOD"),
    *("MODEL.BACKBONE.FREEZE_AT", "DATALOADER.SAMPLER_TRAIN", "DATALOADER.REPEAT_THRESHOLD"),
    *("DATALOADER.REPEAT_SQRT", "DATALOADER.FILTER_EMPTY_ANNOTATIONS", "DATALOADER.ASPECT_RATIO_GROUPING"),
)


def keep_keys(cfg: CfgNode, output_dir: Path, given: Collection[str]) -> list[Remark]:
    """Takes over, in place, the keys of the run in a folder that its training depends on.

    Args:
        cfg: not frozen.
        output_dir: the run's, with its config.yaml.
        given: the keys given with the command, which win.

    Returns:
        What to tell the user, a line each.

    Raises:
        ConfigError: another batch; the run's iterations, and the photos it has seen, are counted in its own.
    """
    path = output_dir / CONFIG_FILE
    if not path.is_file():
        return []
    earlier = load_config(str(path))
    batch = earlier.SOLVER.IMS_PER_BATCH
    if "SOLVER.IMS_PER_BATCH" in given and batch != cfg.SOLVER.IMS_PER_BATCH:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH}: a run that goes on keeps its batch of {batch}; to begin "
            "anew from its weights give them with MODEL.WEIGHTS, and another OUTPUT_DIR"
        )
    # A source given with the command makes its key anew, and a key so given switches its source off.
    anew = {key for source, (target, _) in SOURCES.items() if {source, target} & {*given} for key in (source, target)}
    if "CAMPUS.REFERENCE_BATCH" in given:
        anew.add("SOLVER.BASE_LR_END")  # is scaled with BASE_LR
    follows = {target for source, (target, off) in SOURCES.items() if get_key(earlier, source) != off}
    changed = []
    for key in dict.fromkeys([*KEPT, *SOURCES, *_keys(earlier.SOLVER, "SOLVER")]):
        if key in given or key in anew:
            continue
        if get_key(cfg, key) != get_key(earlier, key) and key not in follows:
            changed.append(f"{key} {get_key(earlier, key)}")
        set_key(cfg, key, get_key(earlier, key))
    kept = f"Kept from the run, whatever the config file says: {', '.join(changed)}; given with the command, a key wins"
    return [(logging.INFO, kept)] if changed else []


def _keys(node: CfgNode, name: str) -> list[str]:
    return [
        key
        for part, value in node.items()
        for key in (_keys(value, f"{name}.{part}") if isinstance(value, CfgNode) else [f"{name}.{part}"])
    ]


def check_restorable(cfg: CfgNode, model: nn.Module) -> None:
    """Makes sure that a run can go on from the newest whole checkpoint in OUTPUT_DIR by these keys.

    Args:
        cfg: the run's, with what the command changes.
        model: by that config; it is not changed.

    Raises:
        WeightsError: no checkpoint is whole, or it is of other classes or another model.
        ConfigError: its optimizer is another one.
    """
    found = latest_checkpoint(Path(cfg.OUTPUT_DIR), cfg.CAMPUS.CLASSES)
    if found:
        check_weights(model, found)
        check_state(build_optimizer(cfg, model), found.checkpoint["trainer"]["_trainer"]["optimizer"], found.path)


def take_earlier_import(cfg: CfgNode, output_dir: Path) -> list[dict]:
    """Fits `cfg` to what lies in OUTPUT_DIR/import; it must be of the same export and the same classes.

    Returns:
        The training photos, as `photos_an_epoch` takes them.
    """
    report = read_json(output_dir / REPORT_FILE)
    given, earlier = cfg.CAMPUS.EXPORT, report.get("export", "")
    if given and base_name(given) != base_name(earlier):
        raise ConfigError(
            f"{output_dir}: was imported from {shown(earlier)}; for {shown(given)} give another OUTPUT_DIR"
        )
    classes = read_json(output_dir / CLASSES_FILE)
    if cfg.CAMPUS.CLASSES and list(cfg.CAMPUS.CLASSES) != classes:
        raise ConfigError(
            f"{output_dir}: trained for the classes {classes}, CAMPUS.CLASSES says {list(cfg.CAMPUS.CLASSES)}; "
            "their order is frozen with the run"
        )
    imported = {split: read_json(coco_file(output_dir, split)) for split in SPLITS}
    photos = {split: [image["file_name"] for image in coco.get("images", [])] for split, coco in imported.items()}
    fit_config(cfg, classes, photos)
    _check_photos(output_dir, [name for names in photos.values() for name in names])
    training = []
    for split in training_splits(cfg):
        annotations = {image["id"]: [] for image in imported[split]["images"]}
        for annotation in imported[split]["annotations"]:
            annotations[annotation["image_id"]].append(annotation)
        training += [{"annotations": each} for each in annotations.values()]
    return training


def training_splits(cfg: CfgNode) -> list[str]:
    """The splits that are trained on, by DATASETS.TRAIN."""
    return [split for split in SPLITS if dataset_name(split) in cfg.DATASETS.TRAIN]


def _check_photos(output_dir: Path, names: list[str]) -> None:
    """The photos of an import that was no zip lie elsewhere, and may have been moved since.

    Those behind URIs are not asked for one by one: whoever reads one says what is wrong with it.
    """
    folder = image_folder(output_dir)
    gone = [name for name in names if not is_uri(name) and not (folder / name).is_file()]
    if gone:
        raise ConfigError(
            f"{folder / gone[0]}: is gone, and {len(gone) - 1} more of the run's {len(names)} photos; put "
            "them back where they were, or start a new run elsewhere"
        )


def read_json(path: Path) -> Any:
    """A file that a run left.

    Raises:
        ConfigError: it is gone or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); start a new run elsewhere") from None
