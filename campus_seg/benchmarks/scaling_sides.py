"""The processes of the comparison in `scaling.py`."""

from datetime import timedelta

import cv2
import torch
from detectron2.utils import comm

from campus_seg.benchmarks.scaling import Share
from campus_seg.benchmarks.training_sides import Steps, detectron2_steps, train_config
from campus_seg.engine.trainer import Trainer


def rank(share: Share) -> tuple[str, Steps]:
    """One process of a training, as Detectron2's launch sets it up."""
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{share.meeting}",
        timeout=timedelta(minutes=2),  # after which a process that waits for a failed one ends as well
        rank=share.rank,
        world_size=share.processes,
    )
    comm.create_local_process_group(share.processes)
    cv2.setNumThreads(1)  # it reads the photos itself, with one thread in all
    cfg = train_config(share.work)
    cfg.SOLVER.IMS_PER_BATCH = share.work.batch * share.processes
    return f"{share.rank} of {share.processes}", detectron2_steps(Trainer(cfg)._trainer)


SIDES = {"rank": rank}
