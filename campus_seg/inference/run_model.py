"""A run's model, and which of its objects count, as the arguments of a command say."""

import argparse

from detectron2.config import CfgNode

from campus_seg.config import load_config, run_folder, use_run_weights
from campus_seg.evaluation.thresholds import DEFAULT, THRESHOLDS_FILE, read_thresholds
from campus_seg.inference.model_arguments import AUTO
from campus_seg.inference.predictor import Predictor
from campus_seg.inference.selection import Selection
from campus_seg.modeling.weights_file import file_digest
from campus_seg.storage_objects import local_folder

THRESHOLD_KEY = "MODEL.ROI_HEADS.SCORE_THRESH_TEST"


def load_run_model(args: argparse.Namespace) -> tuple[CfgNode, Predictor, Selection]:
    """The frozen config, the model ready to predict, and what is wanted of it.

    Args:
        args: with the arguments of model_arguments.py.

    Raises:
        ConfigError: one of them cannot be used.
        WeightsError: the model cannot be loaded.
    """
    cfg = load_config(args.config_file, args.opts)
    use_run_weights(cfg, args.config_file, args.opts)
    selection = chosen_objects(args, cfg)
    if THRESHOLD_KEY not in args.opts[::2]:
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = selection.least
    cfg.freeze()
    return cfg, Predictor(cfg), selection


def chosen_objects(args: argparse.Namespace, cfg: CfgNode) -> Selection:
    """Which objects count; where the config's own key is given, that is the threshold."""
    thresholds = {"": DEFAULT, **dict(args.confidence_threshold)}
    least = thresholds.pop("")
    if THRESHOLD_KEY in args.opts[::2]:
        least = 0.0
    elif least == AUTO:
        with local_folder(run_folder(args.config_file), THRESHOLDS_FILE) as folder:
            best = read_thresholds(folder, file_digest(cfg.MODEL.WEIGHTS), cfg.CAMPUS.CLASSES)
        least = DEFAULT
        thresholds = {**{name: value for name, value in best.items() if value is not None}, **thresholds}
    return Selection(least, thresholds, tuple(args.classes), args.min_area)
