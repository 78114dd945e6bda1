import os
import signal

import cv2
import pytest
import torch

from campus_seg.config import load_config
from campus_seg.engine.guard import NamedBatches, clear_failures, enough_memory
from campus_seg.errors import TrainingError


def batches_of(*batches):
    return NamedBatches([[{"file_name": name} for name in batch] for batch in batches])


def test_the_names_are_those_of_the_batch_given_last():
    batches = batches_of(["a.jpg", "b.jpg"], ["c.jpg"])
    assert batches.file_names == []
    names = []
    for batch in batches:
        names.append(list(batches.file_names))
        assert [photo["file_name"] for photo in batch] == names[-1]
    assert names == [["a.jpg", "b.jpg"], ["c.jpg"]]


def failing(error):
    batches = batches_of(["a.jpg", "b.jpg"])
    next(iter(batches))
    with clear_failures("iteration 7", batches, load_config("mask_rcnn_mini_FPN.yaml", ["MODEL.DEVICE", "cpu"])):
        raise error


def test_losses_that_are_no_numbers():
    with pytest.raises(TrainingError) as failed:
        failing(FloatingPointError("Loss became infinite or NaN at iteration=7!\nloss_dict = {'loss_cls': nan}"))
    assert str(failed.value) == (
        "iteration 7: the losses are no numbers any more (loss_dict = {'loss_cls': nan}); the photos are a.jpg, b.jpg; "
        "look at their labels, or lower SOLVER.BASE_LR (0.002); earlier checkpoints are kept"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to …"),
        MemoryError(),
        cv2.error("OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"),
    ],
)
def test_too_little_memory(error):
    with pytest.raises(TrainingError) as failed:
        failing(error)
    assert str(failed.value) == (
        "iteration 7: out of memory on cpu; lower SOLVER.IMS_PER_BATCH (4) or CAMPUS.INPUT_SIZE (256)"
    )


@pytest.mark.parametrize(
    "said, end",
    [
        ("(pid 7) is killed by signal: Segmentation fault. ", "was killed (signal: Segmentation fault)"),
        (
            "(pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared "
            "memory. Please try to raise your shared memory limit.",
            "was killed (signal: Bus error)",
        ),
        ("(pid(s) 7, 8) exited unexpectedly", "ended unexpectedly"),
    ],
)
def test_a_worker_that_is_gone(said, end):
    """Why, is not known."""
    with pytest.raises(TrainingError) as failed:
        failing(RuntimeError(f"DataLoader worker {said}"))
    assert str(failed.value) == (
        f"iteration 7: a loader worker {end}, often for want of memory; lower DATALOADER.NUM_WORKERS (2), 0 does "
        "without them"
    )


class Killed(torch.utils.data.Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, i):
        if torch.utils.data.get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_really_is_gone():
    loader = torch.utils.data.DataLoader(Killed(), num_workers=1)
    cfg = load_config("mask_rcnn_mini_FPN.yaml")
    with pytest.raises(TrainingError, match="a loader worker was killed .signal: Killed"), enough_memory("x", cfg):
        next(iter(loader))


def test_memory_that_there_really_is_not():
    batches = batches_of(["a.jpg"])
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["MODEL.DEVICE", "cpu"])
    with pytest.raises(TrainingError, match="out of memory"), clear_failures("trial", batches, cfg):
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="a bug"):
        failing(RuntimeError("a bug"))
    with pytest.raises(KeyError):
        failing(KeyError("a bug"))
