"""Detectron2's DefaultTrainer with this project's data, evaluator and weights."""

import contextlib
import logging
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import build_detection_train_loader, get_detection_dataset_dicts
from detectron2.engine import DefaultTrainer, HookBase, TrainerBase, hooks
from detectron2.evaluation import COCOEvaluator
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, EventWriter, JSONWriter, TensorboardXWriter
from torch import nn

from campus_seg.atomic_writes import enough_room
from campus_seg.config import on_cpu
from campus_seg.data.datasets import dataset_name
from campus_seg.data.loading import ReadAhead, build_test_loader
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.sampler import EpochDataset, EpochSampler, repeat_factors, upright_photos
from campus_seg.engine.best import BestModel
from campus_seg.engine.checkpoints import Checkpoints
from campus_seg.engine.evaluation import Evaluation, FinalEvaluation, Writers, evaluating
from campus_seg.engine.guard import NamedBatches, clear_failures
from campus_seg.engine.mixed_precision import steps_of
from campus_seg.engine.optimizer import build_optimizer, hyperparameters, set_hyperparameters
from campus_seg.engine.plot import LossPlot
from campus_seg.engine.progress import progress_bar
from campus_seg.engine.replicas import check_same_weights, replicate, share_buffers
from campus_seg.engine.schedule import build_scheduler
from campus_seg.engine.stopping import StopRequest, shield_workers
from campus_seg.environment import keep_memory
from campus_seg.errors import spared
from campus_seg.evaluation.evaluator import build_evaluator, inference_folder, without_nan, write_metrics
from campus_seg.evaluation.run_analysis import ANALYSIS_FILE, write_analyses
from campus_seg.metrics_file import METRICS_FILE, read_metrics
from campus_seg.modeling.checkpoint import CampusCheckpointer
from campus_seg.modeling.cpu_training import quicken
from campus_seg.modeling.weights import Transfer, load_weights, transfer
from campus_seg.storage import is_uri

logger = logging.getLogger(__name__)


class TrainingOver(BaseException):
    """Ends a training in good order; no Exception, which Detectron2 would log as a failure."""


class Trainer(DefaultTrainer):
    """Trains and evaluates a Mask R-CNN on the datasets of `campus_seg.data.datasets`."""

    def __init__(self, cfg: CfgNode):
        """Sets up a run as DefaultTrainer does, whose own way knows neither several processes nor AMP on a CPU."""
        TrainerBase.__init__(self)
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        self._trainer = steps_of(cfg)(replicate(model), self.build_train_loader(cfg), optimizer)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """The model, told in one line and not layer by layer."""
        model = build_model(cfg)
        if on_cpu(cfg):
            keep_memory()
            model = quicken(model)
        millions = sum(p.numel() for p in model.parameters()) / 1e6
        logger.info(f"Model: {cfg.MODEL.BACKBONE.NAME}, {millions:.1f} million parameters, on {cfg.MODEL.DEVICE}")
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """See campus_seg.engine.optimizer."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer):
        """Detectron2's, see campus_seg.engine.schedule."""
        return build_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode, start_iter: int = 0):
        """Endless batches of augmented photos with their instances, from those of iteration `start_iter` on."""
        dicts = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
        batch = cfg.SOLVER.IMS_PER_BATCH
        sampler = EpochSampler(
            len(dicts),
            max(cfg.SEED, 0),
            start=start_iter * batch,
            repeats=repeat_factors(cfg, dicts),
            upright=upright_photos(cfg, dicts),
            batch=batch,
        )
        dataset = EpochDataset(dicts, sampler.copies)
        if any(is_uri(photo["file_name"]) for photo in dicts):
            dataset, sampler = ReadAhead(dataset, sampler, batch // comm.get_world_size()), None
        loader = build_detection_train_loader(
            dataset,
            mapper=CampusMapper(cfg, is_train=True),
            sampler=sampler,
            total_batch_size=batch,
            aspect_ratio_grouping=False,  # the sampler does it
            num_workers=cfg.DATALOADER.NUM_WORKERS,
            # Its iterator draws one random number as it is made, which a run that goes on has drawn long ago.
            seed=max(cfg.SEED, 0) if start_iter else None,
        )
        return NamedBatches(shield_workers(loader))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str):
        """One pass over a dataset, resized as in training and not augmented."""
        mapper = CampusMapper(cfg, is_train=False)
        return shield_workers(build_test_loader(cfg, dataset_name, mapper))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str, *, keep_files: bool = True) -> COCOEvaluator:
        """See campus_seg.evaluation."""
        return build_evaluator(cfg, dataset_name, keep_files=keep_files)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators=None) -> OrderedDict:
        """Evaluates on every dataset of `cfg.DATASETS.TEST` and writes each one's metrics.json and analysis.json.

        Whatever is wrong with an analysis, the run has its model and its figures: it goes on without.

        Args:
            cfg: MODEL.WEIGHTS is the model's file, or empty where it has none.
            model: to evaluate.
            evaluators: one for each dataset; None = those of `build_evaluator`.

        Returns:
            Dataset -> COCOEvaluator's results, also where there is a single dataset; without the figures that have
            no ground truth to stand on, which the writers would put down as NaN.

        Raises:
            TrainingError: too little memory.
        """
        results = OrderedDict()
        for i, name in enumerate(cfg.DATASETS.TEST):
            one = cfg.clone()
            one.defrost()
            one.DATASETS.TEST = (name,)
            with evaluating(name, cfg):
                results[name] = super().test(one, model, evaluators[i : i + 1] if evaluators else None)
            if comm.is_main_process():
                write_metrics(cfg, name, results[name])
                results[name] = without_nan(results[name])
        # Evaluators of others need not leave predictions, and an analysis is about masks.
        if comm.is_main_process() and not evaluators and cfg.MODEL.MASK_ON:
            with spared("analysis", logger):
                write_analyses(cfg, cfg.MODEL.WEIGHTS)
        return results

    def build_hooks(self) -> list[HookBase]:
        """Detectron2's hooks, in the order that a resume needs, and this project's.

        A checkpoint comes last of what is done in a step, so that it, and metrics.json beside it, know of an
        evaluation in that step.
        """
        cfg, model = self.cfg, self._trainer.model
        self.checkpointer = CampusCheckpointer(
            model, cfg.OUTPUT_DIR, classes=cfg.CAMPUS.CLASSES, trainer=weakref.proxy(self)
        )
        steps = [hooks.IterationTimer(), hooks.LRScheduler()]
        if cfg.DATASETS.TEST:
            steps.append(Evaluation(cfg))
        self._best = BestModel(self.checkpointer, cfg, dataset_name("val"))
        steps.append(self._best)
        if comm.is_main_process():
            steps.append(Writers(20, cfg.TEST.EVAL_PERIOD))
        steps.append(LossPlot(cfg.OUTPUT_DIR, period=200, best=self._best))
        steps.extend(progress_bar(self.max_iter))
        self._stop = StopRequest()
        self._checkpoints = Checkpoints(self.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD, self._stop)
        steps.append(self._checkpoints)
        if cfg.DATASETS.TEST:
            steps.append(FinalEvaluation())
        return steps

    def build_writers(self) -> list[EventWriter]:
        """Detectron2's writers; TensorBoard forgets what an interrupted run drew and metrics.json no longer has.

        That is what came after the iteration restored, and what was written as the run stopped.
        """
        output_dir, metrics = self.cfg.OUTPUT_DIR, Path(self.cfg.OUTPUT_DIR, METRICS_FILE)
        kept = [line["iteration"] for line in read_metrics(metrics)] if metrics.is_file() else [self.start_iter - 1]
        return [
            CommonMetricPrinter(self.max_iter),
            JSONWriter(str(metrics)),
            TensorboardXWriter(output_dir, purge_step=max(kept, default=-1) + 1),
        ]

    def before_step(self) -> None:
        """Ends the training where a hook has set `max_iter` to what is done, after all hooks of that step."""
        if self.iter >= self.max_iter:
            raise TrainingOver
        super().before_step()

    def run_step(self) -> None:
        """One step; losses that are no numbers and too little memory end in an error that names the way out."""
        with clear_failures(f"iteration {self.iter}", self.data_loader, self.cfg):
            super().run_step()

    def train(self) -> OrderedDict | None:
        """Trains, to the end or until a hook says that it is over, and evaluates the best model.

        Raises:
            Stopped: a signal asked for it, and everything is saved.
            OutputError: the disk is full.
        """
        with (
            enough_room(self.cfg.OUTPUT_DIR, "--resume goes on"),
            self._stop.watching(),
            contextlib.suppress(TrainingOver),
        ):
            return super().train()
        return None

    def evaluate_best(self) -> None:
        """Evaluates the best model, or the last one where none was chosen, and says which and why."""
        cfg = self.cfg.clone()
        cfg.defrost()
        cfg.MODEL.WEIGHTS = ""
        if self._best.best.iteration is not None:
            cfg.MODEL.WEIGHTS = str(self._best.path)
            comm.synchronize()  # the main process may still be writing it
            load_weights(self._trainer.model, str(self._best.path), self.cfg.CAMPUS.CLASSES)
            check_same_weights(self._trainer.model, str(self._best.path))
        share_buffers(self._trainer.model)
        self._last_eval_results = self.test(cfg, self._trainer.model)
        task = "segm" if cfg.MODEL.MASK_ON else "bbox"
        precision = {name: result.get(task, {}).get("AP") for name, result in self._last_eval_results.items()}
        shown = ", ".join(f"{name} {'undefined' if ap is None else f'{ap:.1f}'}" for name, ap in precision.items())
        logger.info(f"The model evaluated is {self._best.verdict()}. Its {task}/AP: {shown}")

    def start_from(self, checkpoint: dict[str, Any]) -> Transfer:
        """Begins a new training from a checkpoint of any classes; says, and returns, what was taken over."""
        report = transfer(self._trainer.model, checkpoint, self.cfg.CAMPUS.CLASSES)
        report.log(self.cfg.MODEL.WEIGHTS)
        return report

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a checkpoint's; one of a training without mixed precision has no scale for the gradients."""
        scaler = getattr(self._trainer, "grad_scaler", None)
        if scaler:
            state = {**state, "_trainer": {"grad_scaler": scaler.state_dict(), **state["_trainer"]}}
        super().load_state_dict(state)

    def resume_or_load(self, resume: bool = True) -> None:
        """Goes on from the newest whole checkpoint with the photos that come next, at the config's rates."""
        groups = hyperparameters(self._trainer.optimizer)
        super().resume_or_load(resume)
        if self.start_iter:
            set_hyperparameters(self._trainer.optimizer, self.scheduler, groups)
            self._checkpoints.restore_metrics(self.start_iter - 1)
            self._trainer.reset_data_loader(lambda: self.build_train_loader(self.cfg, self.start_iter))


def evaluate(cfg: CfgNode, place: str = "") -> OrderedDict:
    """Evaluates the model in `cfg.MODEL.WEIGHTS`.

    Args:
        cfg: the run's.
        place: what OUTPUT_DIR is called, a URI for example; "" as in the config.

    Raises:
        WeightsError: they are not of this model and these classes.
        TrainingError: too little memory.
        OutputError: the disk is full.
    """
    model = Trainer.build_model(cfg)
    logger.info(f"Evaluating {cfg.MODEL.WEIGHTS} on {', '.join(cfg.DATASETS.TEST) or 'nothing: no such photos'}")
    load_weights(model, cfg.MODEL.WEIGHTS, cfg.CAMPUS.CLASSES)
    check_same_weights(model, cfg.MODEL.WEIGHTS)
    with enough_room(cfg.OUTPUT_DIR, "the same command evaluates again"):
        results = Trainer.test(cfg, model)
    analysed = all((inference_folder(cfg.OUTPUT_DIR, name) / ANALYSIS_FILE).is_file() for name in results)
    files = "metrics.json and analysis.json" if analysed else "metrics.json"
    logger.info(f"Done: the figures lie in {place or cfg.OUTPUT_DIR}/{inference_folder('', '<dataset>')}/{files}")
    return results
