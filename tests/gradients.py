"""What each of several processes learns from its part of a batch, together with the others and alone."""

import copy
from pathlib import Path

import torch
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from campus_seg.config import load_config
from campus_seg.data.datasets import register_datasets
from campus_seg.engine.trainer import Trainer
from campus_seg.modeling.mini_backbone import register_mini_backbone

PHOTOS = 14  # of each process, in what the loader is asked for


def work(folder: Path, variants: dict[str, list]) -> None:
    """Writes, for every variant of keys, the gradients of one step in `folder`; and which photos come."""
    register_mini_backbone()
    for name, opts in variants.items():
        cfg = load_config(str(folder / "config.yaml"), opts)
        if name == next(iter(variants)):
            register_datasets(Path(cfg.OUTPUT_DIR), cfg.CAMPUS.CLASSES)
        torch.manual_seed(comm.get_rank())  # begins with other weights than the others
        trainer = Trainer(cfg)
        alone = copy.deepcopy(trainer.model.module)
        batch = next(iter(Trainer.build_train_loader(cfg)))
        if name == "background" and not comm.get_rank():
            for photo in batch:
                photo["instances"] = photo["instances"][:0]
        trainer._trainer._data_loader_iter_obj = iter([batch])
        with EventStorage():
            torch.manual_seed(7 + comm.get_rank())  # the same anchors and proposals are drawn
            trainer.run_step()
            torch.manual_seed(7 + comm.get_rank())
            with torch.autocast("cpu", torch.bfloat16, enabled=cfg.SOLVER.AMP.ENABLED):
                losses = alone(batch)
            sum(losses.values()).backward()
        learned = {"together": gradients(trainer.model.module), "alone": gradients(alone)}
        torch.save(learned, folder / f"{name}-{comm.get_rank()}.pth")
        comm.synchronize()
    photos = (photo["file_name"] for batch in Trainer.build_train_loader(cfg) for photo in batch)
    names = [name for name, _ in zip(photos, range(PHOTOS), strict=False)]
    torch.save(names, folder / f"photos-{comm.get_rank()}.pth")


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
