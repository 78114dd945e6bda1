"""Detectron2's DefaultTrainer with this project's data, evaluator and weights."""

import logging
import weakref
from collections import OrderedDict
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
from campus_seg.evaluation.evaluator import build_evaluator, inference_folder, without_nan, write_metrics
from campus_seg.modeling.weights import CampusCheckpointer, Transfer, load_weights, transfer

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """Trains and evaluates a Mask R-CNN on the datasets of `campus_seg.data.datasets`."""

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
        """Detectron2's SGD, or AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).

        AdamW takes BASE_LR, WEIGHT_DECAY and WEIGHT_DECAY_NORM from `cfg.SOLVER`.
        """
        if cfg.CAMPUS.OPTIMIZER == "SGD":
            return super().build_optimizer(cfg, model)
        parameters = get_default_optimizer_params(model, weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM)
        adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
        return adamw(parameters, lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode, start_iter: int = 0):
        """Endless batches of augmented photos with their instances, from those of iteration `start_iter` on."""
        dicts = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
        sampler = EpochSampler(len(dicts), max(cfg.SEED, 0), start=start_iter * cfg.SOLVER.IMS_PER_BATCH)
        return build_detection_train_loader(
            EpochDataset(dicts),
            mapper=CampusMapper(cfg, is_train=True),
            sampler=sampler,
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
        """See campus_seg.evaluation."""
        return build_evaluator(cfg, dataset_name)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators=None) -> OrderedDict:
        """Evaluates on every dataset of `cfg.DATASETS.TEST` and writes each one's metrics.json.

        Returns:
            Dataset -> COCOEvaluator's results, also where there is a single dataset; without the figures that have
            no ground truth to stand on, which the writers would put down as NaN.
        """
        results = OrderedDict()
        for i, name in enumerate(cfg.DATASETS.TEST):
            one = cfg.clone()
            one.defrost()
            one.DATASETS.TEST = (name,)
            results[name] = super().test(one, model, evaluators[i : i + 1] if evaluators else None)
            if comm.is_main_process():
                write_metrics(cfg, name, results[name])
                results[name] = without_nan(results[name])
        return results

    def build_hooks(self) -> list:
        """Detectron2's hooks, the checkpointer among them replaced, and the plot of what the writers wrote."""
        self.checkpointer = CampusCheckpointer(
            self._trainer.model, self.cfg.OUTPUT_DIR, classes=self.cfg.CAMPUS.CLASSES, trainer=weakref.proxy(self)
        )
        return [*super().build_hooks(), LossPlot(self.cfg.OUTPUT_DIR, period=200)]

    def start_from(self, checkpoint: dict[str, Any]) -> Transfer:
        """Begins a new training from a checkpoint of any classes; says, and returns, what was taken over."""
        report = transfer(self._trainer.model, checkpoint, self.cfg.CAMPUS.CLASSES)
        report.log(self.cfg.MODEL.WEIGHTS)
        return report

    def resume_or_load(self, resume: bool = True) -> None:
        """Goes on from the last checkpoint, with the photos that would have come next."""
        super().resume_or_load(resume)
        if self.start_iter:
            self._trainer.reset_data_loader(lambda: self.build_train_loader(self.cfg, self.start_iter))


def evaluate(cfg: CfgNode) -> OrderedDict:
    """Evaluates the model in `cfg.MODEL.WEIGHTS`.

    Raises:
        WeightsError: they are not of this model and these classes.
    """
    model = Trainer.build_model(cfg)
    logger.info(f"Evaluating {cfg.MODEL.WEIGHTS} on {', '.join(cfg.DATASETS.TEST) or 'nothing: no such photos'}")
    load_weights(model, cfg.MODEL.WEIGHTS, cfg.CAMPUS.CLASSES)
    results = Trainer.test(cfg, model)
    logger.info(f"Done: the figures lie in {inference_folder(cfg, '<dataset>')}/metrics.json")
    return results
