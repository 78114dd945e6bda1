"""Detectron2's DefaultTrainer with this project's data, evaluator and weights."""

import logging
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader, build_detection_train_loader, get_detection_dataset_dicts
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator
from detectron2.modeling import build_model
from detectron2.solver import get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from detectron2.utils import comm
from torch import nn

from campus_seg.data.mapper import CampusMapper
from campus_seg.data.sampler import EpochDataset, EpochSampler
from campus_seg.engine.hooks import LossPlot
from campus_seg.modeling.weights import CampusCheckpointer, Transfer, load_weights, transfer
from campus_seg.storage import write_json

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """Trains and evaluates a Mask R-CNN on the datasets of `campus_seg.data.datasets`."""

    def __init__(self, cfg: CfgNode):
        super().__init__(cfg)
        self.checkpointer = CampusCheckpointer(
            self._trainer.model, cfg.OUTPUT_DIR, classes=cfg.CAMPUS.CLASSES, trainer=weakref.proxy(self)
        )

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """The model, told in one line and not layer by layer."""
        model = build_model(cfg)
        if cfg.MODEL.DEVICE == "cpu":
            model = model.to(memory_format=torch.channels_last)  # convolutions on CPUs are faster so
        millions = sum(p.numel() for p in model.parameters()) / 1e6
        logger.info(f"Model: {cfg.MODEL.BACKBONE.NAME}, {millions:.1f} million parameters, on {cfg.MODEL.DEVICE}")
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Detectron2's SGD, or AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with the same SOLVER keys."""
        if cfg.CAMPUS.OPTIMIZER == "SGD":
            return super().build_optimizer(cfg, model)
        parameters = get_default_optimizer_params(model, weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM)
        adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
        return adamw(parameters, lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode):
        """Endless batches of augmented photos with their instances."""
        dicts = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
        return build_detection_train_loader(
            EpochDataset(dicts),
            mapper=CampusMapper(cfg, is_train=True),
            sampler=EpochSampler(len(dicts), max(cfg.SEED, 0)),
            total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
            aspect_ratio_grouping=cfg.DATALOADER.ASPECT_RATIO_GROUPING,
            num_workers=cfg.DATALOADER.NUM_WORKERS,
        )

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str):
        """One pass over a dataset, resized as in training and not augmented."""
        return build_detection_test_loader(cfg, dataset_name, mapper=CampusMapper(cfg, is_train=False))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> COCOEvaluator:
        """COCOEvaluator, with its files in OUTPUT_DIR/inference/<dataset>."""
        return COCOEvaluator(
            dataset_name,
            tasks=("bbox", "segm"),  # not guessed from the predictions, of which there may be none
            output_dir=str(inference_folder(cfg, dataset_name)),
            use_fast_impl=False,  # that one needs Detectron2's compiled part
        )

    @classmethod
    def test(cls, cfg: CfgNode, model, evaluators=None) -> OrderedDict:
        """Evaluates on every dataset of `cfg.DATASETS.TEST` and writes each one's metrics.json.

        Returns:
            Dataset -> COCOEvaluator's results, also where there is a single dataset.
        """
        results = OrderedDict()
        for i, name in enumerate(cfg.DATASETS.TEST):
            one = cfg.clone()
            one.defrost()
            one.DATASETS.TEST = (name,)
            results[name] = super().test(one, model, evaluators[i : i + 1] if evaluators else None)
            if comm.is_main_process():
                write_json(inference_folder(cfg, name) / "metrics.json", _without_nan(results[name]))
        return results

    def build_hooks(self) -> list:
        """Detectron2's hooks, and the plot of the losses after the writers that it reads from."""
        hooks = super().build_hooks()
        hooks.append(LossPlot(self.cfg.OUTPUT_DIR, period=200))
        return hooks

    def start_from(self, checkpoint: dict[str, Any]) -> Transfer:
        """Begins a new training from a checkpoint of any classes; says, and returns, what was taken over."""
        report = transfer(self._trainer.model, checkpoint, self.cfg.CAMPUS.CLASSES)
        report.log(self.cfg.MODEL.WEIGHTS)
        return report


def inference_folder(cfg: CfgNode, dataset_name: str) -> Path:
    """Where the results of one dataset lie."""
    return Path(cfg.OUTPUT_DIR, "inference", dataset_name)


def _without_nan(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """COCOEvaluator gives NaN where a class or size has no ground truth; JSON knows null for that."""
    return {task: {k: v if v == v else None for k, v in values.items()} for task, values in results.items()}


def evaluate(cfg: CfgNode) -> OrderedDict:
    """Evaluates the model in `cfg.MODEL.WEIGHTS`.

    Raises:
        WeightsError: they are not of this model and these classes.
    """
    model = Trainer.build_model(cfg)
    load_weights(model, cfg.MODEL.WEIGHTS, cfg.CAMPUS.CLASSES)
    return Trainer.test(cfg, model)
