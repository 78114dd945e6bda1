"""The mini network: a backbone of four small residual stages under FPN, light enough to train from scratch."""

from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, Conv2d, FrozenBatchNorm2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ("res2", "res3", "res4", "res5")  # Detectron2's names for strides 4, 8, 16 and 32


class ResidualBlock(CNNBlockBase):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2015, arXiv:1512.03385, figure 2)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str):
        super().__init__(in_channels, out_channels, stride)
        self.conv1 = conv3x3(in_channels, out_channels, stride, norm)
        self.conv2 = conv3x3(out_channels, out_channels, 1, norm)
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = Conv2d(in_channels, out_channels, 1, bias=False, norm=get_norm(norm, out_channels))
            c2_msra_fill(self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        # Every other place is taken here: of few channels oneDNN's own 1 x 1 convolution with a stride writes where it
        # must not while it trains (https://github.com/uxlfoundation/oneDNN/issues/6035).
        shortcut = x if self.shortcut is None else self.shortcut(x[:, :, :: self.stride, :: self.stride])
        return F.relu_(self.conv2(F.relu_(self.conv1(x))) + shortcut)


class MiniBackbone(Backbone):
    """A stem of stride 2 and four stages, each of which halves the resolution.

    Args:
        in_channels: channels of the input image.
        channels: channels of the four stages; the stem has those of the first.
        blocks: residual blocks in each stage.
        norm: Detectron2's name of the normalisation, for example "BN" or "GN".
        freeze_at: as Detectron2's MODEL.BACKBONE.FREEZE_AT: 0 trains all, 1 freezes the stem, 2 also res2, …
    """

    def __init__(self, in_channels: int, channels: Sequence[int], blocks: Sequence[int], norm: str, freeze_at: int = 0):
        super().__init__()
        if len(channels) != len(STAGES) or len(blocks) != len(STAGES):
            raise ValueError(f"four stages are wanted, got channels {list(channels)} and blocks {list(blocks)}")
        self.stem = conv3x3(in_channels, channels[0], 2, norm)
        previous = channels[0]
        for i, name in enumerate(STAGES):
            stage = []
            for j in range(blocks[i]):
                stage.append(ResidualBlock(previous, channels[i], 2 if j == 0 else 1, norm))
                previous = channels[i]
            self.add_module(name, nn.Sequential(*stage))
        self._out_features = list(STAGES)
        self._out_feature_channels = dict(zip(STAGES, channels, strict=True))
        self._out_feature_strides = {name: 4 * 2**i for i, name in enumerate(STAGES)}
        for name in ("stem", *STAGES)[: max(0, freeze_at)]:
            frozen = getattr(self, name).requires_grad_(False)
            FrozenBatchNorm2d.convert_frozen_batchnorm(frozen)

    @property
    def size_divisibility(self) -> int:
        """Both sides of the input are padded to a multiple of this."""
        return 32

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Maps (N, in_channels, H, W) to one (N, channels[i], H / stride, W / stride) map a stage."""
        outputs = {}
        x = F.relu_(self.stem(image))
        for name in STAGES:
            x = getattr(self, name)(x)
            outputs[name] = x
        return outputs


def conv3x3(in_channels: int, out_channels: int, stride: int, norm: str) -> Conv2d:
    """A 3 x 3 convolution followed by `norm`, initialised for ReLU."""
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=3,
        stride=stride,
        padding=1,
        bias=False,
        norm=get_norm(norm, out_channels),
    )
    c2_msra_fill(conv)
    return conv


def build_mini_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """The mini network under FPN, with p6 for the RPN: for `MODEL.BACKBONE.NAME: build_mini_fpn_backbone`."""
    mini = cfg.CAMPUS.MINI_BACKBONE
    return FPN(
        bottom_up=MiniBackbone(
            input_shape.channels, mini.CHANNELS, mini.BLOCKS, mini.NORM, cfg.MODEL.BACKBONE.FREEZE_AT
        ),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def register_mini_backbone() -> None:
    """Makes the mini network known to Detectron2; a second call does nothing."""
    if build_mini_fpn_backbone.__name__ not in BACKBONE_REGISTRY:
        BACKBONE_REGISTRY.register(build_mini_fpn_backbone)
