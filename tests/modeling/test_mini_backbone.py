import pytest
import torch
from detectron2.modeling import build_model
from torch.nn import functional as F

from campus_seg.config import load_config
from campus_seg.modeling.mini_backbone import MiniBackbone, ResidualBlock, register_mini_backbone


def test_shapes_and_strides():
    backbone = MiniBackbone(3, channels=[8, 16, 24, 32], blocks=[1, 2, 1, 1], norm="BN")
    outputs = backbone(torch.zeros(2, 3, 64, 96))
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "res2": (2, 8, 16, 24),
        "res3": (2, 16, 8, 12),
        "res4": (2, 24, 4, 6),
        "res5": (2, 32, 2, 3),
    }
    for name, shape in backbone.output_shape().items():
        assert outputs[name].shape[1] == shape.channels
        assert 64 // outputs[name].shape[2] == shape.stride


def test_every_parameter_learns():
    backbone = MiniBackbone(3, channels=[32, 32, 64, 64], blocks=[1, 1, 1, 1], norm="GN")
    sum(x.square().mean() for x in backbone(torch.randn(1, 3, 64, 64)).values()).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_block_of_few_channels_is_that_of_the_paper():
    torch.manual_seed(0)  # where no value is so near 0 that its rounding decides whether it learns
    block = ResidualBlock(8, 8, stride=2, norm="").to(memory_format=torch.channels_last)
    x = torch.randn(4, 8, 48, 48).to(memory_format=torch.channels_last).requires_grad_()
    weights = [block.conv1.weight, block.conv2.weight, block.shortcut.weight]
    gradients = torch.autograd.grad(block(x).square().sum(), [x, *weights])
    x64, first, second, shortcut = exact = [tensor.detach().double().requires_grad_() for tensor in (x, *weights)]
    inner = F.conv2d(x64, first, stride=2, padding=1).relu()
    outputs = (F.conv2d(inner, second, padding=1) + F.conv2d(x64, shortcut, stride=2)).relu()
    for got, expected in zip(gradients, torch.autograd.grad(outputs.square().sum(), exact), strict=True):
        scale = expected.abs().max()
        torch.testing.assert_close(got.double() / scale, expected / scale, rtol=0, atol=1e-5)


def test_four_stages():
    with pytest.raises(ValueError, match="four stages"):
        MiniBackbone(3, channels=[8, 16], blocks=[1, 1], norm="BN")


def test_the_model_of_the_config_has_five_levels():
    register_mini_backbone()
    register_mini_backbone()  # a second call does nothing
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    model = build_model(cfg).eval()
    features = model.backbone(torch.zeros(1, 3, 192, 256))
    assert [tuple(features[f"p{i}"].shape[2:]) for i in range(2, 7)] == [(48, 64), (24, 32), (12, 16), (6, 8), (3, 4)]


@pytest.mark.parametrize("freeze_at, frozen", [(0, ()), (1, ("stem",)), (3, ("stem", "res2", "res3"))])
def test_frozen_stages(freeze_at, frozen):
    """As in Detectron2's ResNet: neither their parameters nor their normalisation learn."""
    register_mini_backbone()
    opts = ["MODEL.BACKBONE.FREEZE_AT", str(freeze_at), "MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.DEVICE", "cpu"]
    backbone = build_model(load_config("mask_rcnn_mini_FPN.yaml", opts)).backbone.bottom_up.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    learning = {name.split(".")[0] for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert learning == {"stem", "res2", "res3", "res4", "res5"} - set(frozen)
    sum(x.square().mean() for x in backbone(torch.randn(2, 3, 64, 64)).values()).backward()
    torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=1.0).step()
    changed = {name.split(".")[0] for name, value in backbone.state_dict().items() if not value.equal(before[name])}
    assert changed == learning
