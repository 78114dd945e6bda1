"""Whole training steps of quickened models against Detectron2's own: every loss, and the gradient of every parameter.

Nothing may jump with a rounding here: all proposals are taken, and SiLU stands in for ReLU, whose kink lets the
gradient of a single unit through in one model and not in the other. What is left is rounding. The outputs of a
convolution by Winograd are off by about 1e-5, and those of a batch normalisation in channels_last, whose sums PyTorch
adds up one by one in float32, by as much. Through ten of them, that makes some 3e-5.
"""

import copy

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from small_models import EVERY_PROPOSAL
from torch.nn import functional as F

from campus_seg.config import load_config
from campus_seg.modeling import cpu_training, winograd
from campus_seg.modeling.cpu_training import quicken
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.pooler import PyramidPooler

pytestmark = pytest.mark.usefixtures("one_thread")

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4  # of the loss; of the gradient's length, for each parameter
WIDE = max(cpu_training.OUTPUTS[0], cpu_training.WEIGHTS[0])  # channels from which on Winograd's way is taken
SHARED = [
    *("MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.ROI_BOX_HEAD.FC_DIM", "32"),
    *("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "[[1.0]]", "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", "1"),
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", "32", "MODEL.ROI_MASK_HEAD.NUM_CONV", "1", *EVERY_PROPOSAL),
]
MINI = [
    *("CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16, 16, 16]", "MODEL.FPN.OUT_CHANNELS", "16"),
    *("MODEL.ROI_MASK_HEAD.CONV_DIM", "16"),
]
R50 = [
    *("MODEL.RESNETS.STEM_OUT_CHANNELS", "16", "MODEL.RESNETS.RES2_OUT_CHANNELS", "32"),
    *("MODEL.RESNETS.WIDTH_PER_GROUP", "16", "MODEL.FPN.OUT_CHANNELS", str(WIDE)),
    *("MODEL.ROI_MASK_HEAD.CONV_DIM", str(WIDE)),
]


def built(name, opts):
    register_mini_backbone()
    torch.manual_seed(0)
    model = build_model(load_config(name, [*SHARED, *opts]))
    for name, buffer in model.named_buffers():
        if name.endswith("conv3.norm.weight"):
            buffer.fill_(0.2)  # as trained; sixteen blocks of 1 would add up to thousands
    return model


def photos():
    """Two of 128 pixels, one of which is padded, with three objects each."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for height in (128, 112):
        instances = Instances((height, 128))
        boxes = torch.tensor([[4, 4, 122, 110], [60, 30, 110, 100], [20, 64, 44, 100]])
        image = torch.randint(80, (3, height, 128), dtype=torch.uint8, generator=generator)
        masks = torch.zeros(3, height, 128, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.tolist(), strict=True):
            mask[top:bottom, left:right] = True
            mask[top : top + 9, left : left + 12] = False  # no rectangle
            image[:, mask] += 50
        instances.gt_boxes, instances.gt_masks = Boxes(boxes.float()), BitMasks(masks)
        instances.gt_classes = torch.arange(3)
        found.append({"image": image, "instances": instances, "height": height, "width": 128})
    return found


def step(model):
    """Losses by name, and gradients by name; None for what is frozen."""
    torch.manual_seed(7)
    with EventStorage():
        losses = model.train()(photos())
        sum(losses.values()).backward()
    return losses, {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.fixture
def calls(monkeypatch):
    """How often each of the quick ways was taken."""
    counts = {}

    def count(owner, name):
        real, counts[name] = getattr(owner, name), 0

        def counted(*given):
            counts[name] += 1
            return real(*given)

        monkeypatch.setattr(owner, name, counted)

    for name in ("convolve", "input_gradient", "weight_gradient"):
        count(winograd, name)
    count(cpu_training, "gradients_of_places")
    count(PyramidPooler, "forward")
    return counts


@pytest.mark.parametrize(
    "name, opts, wide", [("mask_rcnn_mini_FPN.yaml", MINI, False), ("mask_rcnn_R_50_FPN.yaml", R50, True)]
)
def test_losses_and_gradients_are_detectron2s(name, opts, wide, calls, monkeypatch):
    monkeypatch.setattr(F, "relu", F.silu)
    monkeypatch.setattr(F, "relu_", F.silu)
    model = built(name, opts)
    quick = quicken(copy.deepcopy(model))
    expected_losses, expected = step(model)
    assert not any(calls.values())
    losses, gradients = step(quick)
    assert calls["forward"] == 2 and calls["gradients_of_places"]
    assert all(bool(calls[way]) == wide for way in ("input_gradient", "weight_gradient"))
    assert (calls["convolve"] > calls["input_gradient"]) == wide  # the gradient is a convolution, too

    assert losses.keys() == expected_losses.keys()
    for key, loss in losses.items():
        assert loss.item() == pytest.approx(expected_losses[key].item(), rel=LOSS_TOLERANCE), key
    assert gradients.keys() == expected.keys()
    for key, gradient in expected.items():
        assert (gradients[key] is None) == (gradient is None), key
        if gradient is not None:
            assert (gradients[key] - gradient).norm() <= GRADIENT_TOLERANCE * gradient.norm(), key
    frozen = [key for key, gradient in expected.items() if gradient is None]
    assert all(".stem." in key or ".res2." in key for key in frozen) and bool(frozen) == wide
