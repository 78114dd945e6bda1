"""The sides of the comparison in `training.py`, each set up in a process of its own."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine import DefaultTrainer
from detectron2.engine.train_loop import SimpleTrainer
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage
from pycocotools import mask as mask_util
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from campus_seg.benchmarks.training import Work
from campus_seg.config import load_config
from campus_seg.data.datasets import dataset_name, fit_config, register_datasets
from campus_seg.data.splits import SPLITS
from campus_seg.engine.mixed_precision import resolve_precision
from campus_seg.engine.trainer import Trainer
from campus_seg.modeling.mini_backbone import register_mini_backbone

Steps = Callable[[int], tuple[float, float]]  # trains so many steps: seconds, and those in which it waited for photos


def train_config(work: Work) -> CfgNode:
    """A CPU side's config, from random weights, on registered photos."""
    torch.set_num_threads(work.threads)
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    logging.getLogger("campus_seg").setLevel(logging.WARNING)
    register_mini_backbone()
    register_datasets(Path(work.folder), work.classes)
    keys = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "DATALOADER.NUM_WORKERS", str(work.workers)]
    cfg = load_config(work.config, [*keys, "OUTPUT_DIR", work.folder, *work.opts])
    fit_config(cfg, work.classes, {split: [] for split in SPLITS})  # nothing is evaluated
    cfg.SOLVER.IMS_PER_BATCH = work.batch
    cfg.SOLVER.WARMUP_ITERS = 0
    cfg.SOLVER.BASE_LR = 1e-4  # as at the end of a schedule: no side's random weights run away within these steps
    seed_all_rng(0)
    return cfg


def ours(work: Work) -> tuple[str, Steps]:
    """This project, as tools/train_net.py does it, in bfloat16 where the processor has it."""
    cfg = train_config(work)
    resolve_precision(cfg, work.opts[::2])
    return f"campus_seg, {'bf16' if cfg.SOLVER.AMP.ENABLED else 'fp32'}", detectron2_steps(Trainer(cfg)._trainer)


def stock(work: Work) -> tuple[str, Steps]:
    """Detectron2's DefaultTrainer with its own mapper, resized as `CAMPUS.RESIZE` fit does; SGD."""
    cfg = train_config(work)
    resize_as_fit(cfg)
    return "Detectron2: DefaultTrainer, DatasetMapper", detectron2_steps(DefaultTrainer(cfg)._trainer)


def resize_as_fit(cfg: CfgNode) -> None:
    """Has Detectron2's own mapper resize as `CAMPUS.RESIZE` fit does."""
    cfg.INPUT.MIN_SIZE_TRAIN = (cfg.CAMPUS.INPUT_SIZE,)
    cfg.INPUT.MAX_SIZE_TRAIN = cfg.CAMPUS.INPUT_SIZE


def detectron2_steps(trainer: SimpleTrainer) -> Steps:
    """Steps of Detectron2's own trainers, which note how long they waited."""
    trainer.model.train()

    def train(steps: int) -> tuple[float, float]:
        with EventStorage(0) as storage:
            began = time.perf_counter()
            for _ in range(steps):
                trainer.run_step()
                storage.step()
            seconds = time.perf_counter() - began
            waits = storage.histories().get("data_time")  # of several processes the first alone keeps them
            return seconds, sum(value for value, _ in waits.values()) if waits else 0.0

    return train


class MaskDataset(Dataset):
    """Photos as torchvision's models take them: planes of RGB in 0 … 1, a mask an object, a flip half of the time."""

    def __init__(self, records: list[dict]):
        self._records = [record for record in records if record["annotations"]]

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        record = self._records[index]
        image = cv2.cvtColor(cv2.imread(record["file_name"]), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        masks, boxes, labels = [], [], []
        for annotation in record["annotations"]:
            outline = annotation["segmentation"]
            if isinstance(outline, list):
                outline = mask_util.merge(mask_util.frPyObjects(outline, height, width))
            mask = mask_util.decode(outline)
            ys, xs = np.nonzero(mask)
            if len(xs):
                masks.append(mask)
                boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
                labels.append(annotation["category_id"] + 1)
        planes, masks, boxes = image.transpose(2, 0, 1), np.stack(masks), np.array(boxes, dtype=np.float32)
        if torch.rand(()) < 0.5:
            planes, masks = planes[:, :, ::-1], masks[:, :, ::-1]
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        planes = torch.from_numpy(np.ascontiguousarray(planes)).float() / 255
        masks = torch.from_numpy(np.ascontiguousarray(masks))
        return planes, {"boxes": torch.from_numpy(boxes), "labels": torch.tensor(labels), "masks": masks}


def photos_and_targets(samples: list[tuple]) -> tuple[tuple, tuple]:
    """A batch as torchvision's models take it."""
    return tuple(zip(*samples, strict=True))


def torchvision(work: Work) -> tuple[str, Steps]:
    """torchvision's model of the same design, with the same stages frozen, in the loop of its own examples."""  # noqa: D403
    cfg = train_config(work)
    # Its norms are frozen, as Detectron2's are.
    trained = 5 - cfg.MODEL.BACKBONE.FREEZE_AT  # of the stem and four stages, counted from the end
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=trained)
    size = cfg.CAMPUS.INPUT_SIZE
    model = MaskRCNN(backbone, len(work.classes) + 1, min_size=size, max_size=size).train()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], cfg.SOLVER.BASE_LR, momentum=0.9, weight_decay=1e-4
    )
    loader = DataLoader(
        MaskDataset(DatasetCatalog.get(dataset_name("train"))),
        work.batch,
        shuffle=True,
        num_workers=work.workers,
        collate_fn=photos_and_targets,
        drop_last=True,
    )

    def endless() -> Iterator[tuple]:
        while True:
            yield from loader

    batches = endless()

    def train(steps: int) -> tuple[float, float]:
        waited = 0.0
        began = time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            images, targets = next(batches)
            waited += time.perf_counter() - asked
            loss = sum(model(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.perf_counter() - began, waited

    return "torchvision: maskrcnn_resnet50_fpn, its own loop", train


SIDES = {
    "ours_mini": ours,
    "ours_mini_bucket": ours,
    "stock_mini": stock,
    "ours_r50": ours,
    "stock_r50": stock,
    "torchvision_r50": torchvision,
}
