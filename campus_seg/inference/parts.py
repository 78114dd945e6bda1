"""The three parts of Mask R-CNN that cost the time, cut out of Detectron2's model and put back computed otherwise.

An engine is a way to compute these parts. All between them stays Detectron2's own: anchors, proposals, non-maximum
suppression, the choice of detections, and the box predictor in float32, so that scores and boxes stay comparable.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.modeling import FPN, Backbone, GeneralizedRCNN, StandardROIHeads
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import FastRCNNConvFCHead, MaskRCNNConvUpsampleHead
from detectron2.modeling.roi_heads.mask_head import BaseMaskRCNNHead
from torch import Tensor, nn

from campus_seg.modeling.pooler import FloatPooler, PyramidPooler

Compute = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Parts:
    """The three parts, as modules (of `parts_of`) or as what an engine made of them.

    Attributes:
        pyramid: backbone and RPN head, see `Pyramid`.
        box_head: see `BoxHead`.
        mask_head: see `MaskHead`.
    """

    pyramid: Compute
    box_head: Compute
    mask_head: Compute


class Pyramid(nn.Module):
    """Backbone, FPN and RPN head.

    Maps (N, 3, H, W) float32, normalised and padded, to the L levels' features (N, h, w, C), then their objectness
    logits (N, h, w, A), then their anchor deltas (N, h, w, 4 A).
    """

    def __init__(self, model: GeneralizedRCNN):
        super().__init__()
        self.backbone = model.backbone
        self.rpn_head = model.proposal_generator.rpn_head
        self.levels = model.proposal_generator.in_features
        self.channels = model.backbone.output_shape()[self.levels[0]].channels

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # noqa: D102
        features = self.backbone(images)
        features = [features[name] for name in self.levels]
        logits, deltas = self.rpn_head(features)
        return tuple(x.permute(0, 2, 3, 1) for x in (*features, *logits, *deltas))


class BoxHead(nn.Module):
    """Maps the features of boxes (M, h, w, C) to (M, D), from which classes and boxes are predicted."""

    def __init__(self, pooler: ROIPooler, head: nn.Module):
        super().__init__()
        self.bins = pooler.output_size  # (h, w)
        self.head = head
        self.flat = isinstance(head[0], nn.Flatten)
        if self.flat:  # its first layer takes the features in the order in which they lie, without a copy
            first = head[1]
            weight = first.weight.data.unflatten(1, (-1, *self.bins)).permute(0, 2, 3, 1).flatten(1)
            first.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:  # noqa: D102
        return (self.head(features if self.flat else features.permute(0, 3, 1, 2)),)


class MaskHead(nn.Module):
    """Maps the features of boxes (M, h, w, C) to mask logits (M, K, 2 h, 2 w) of K classes."""

    def __init__(self, pooler: ROIPooler, head: BaseMaskRCNNHead):
        super().__init__()
        self.bins = pooler.output_size  # (h, w)
        self.head = head

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:  # noqa: D102
        return (self.head.layers(features.permute(0, 3, 1, 2)),)


def reason_against_parts(model: nn.Module) -> str:
    """Why a model cannot be taken apart by `parts_of`; "" where it can."""
    # Subclasses may do otherwise, so the classes have to be these.
    if type(model) is not GeneralizedRCNN or type(model.proposal_generator) is not RPN:
        return "it is no GeneralizedRCNN with an RPN"
    heads = model.roi_heads
    standard = (StandardROIHeads, FastRCNNConvFCHead, MaskRCNNConvUpsampleHead)
    if tuple(map(type, (heads, heads.box_head, heads.mask_head))) != standard or not heads.box_head.fcs:
        return "its ROI heads are not the standard ones"
    if heads.keypoint_on:
        return "it has a keypoint head"
    if type(model.backbone) is not FPN or not set(heads.in_features) <= set(model.proposal_generator.in_features):
        return "its RPN does not look at every level of an FPN"
    if not all(map(PyramidPooler.fits, (heads.box_pooler, heads.mask_pooler))):
        return "it pools by other means than ROIAlignV2"
    return ""


def parts_of(model: GeneralizedRCNN) -> Parts:
    """Takes a model's parts out, as modules that compute what it computed; the model itself then does so no more."""
    fold_norms(model)
    heads = model.roi_heads
    return Parts(
        Pyramid(model).eval(),
        BoxHead(heads.box_pooler, heads.box_head).eval(),
        MaskHead(heads.mask_pooler, heads.mask_head).eval(),
    )


def fold_norms(model: nn.Module) -> None:
    """Lets Detectron2's convolutions do what the normalisation behind them does, in place.

    In evaluation a batch norm multiplies a channel by w / sqrt(variance + eps) and adds a constant.
    """
    for layer in model.modules():
        if isinstance(layer, Conv2d) and isinstance(layer.norm, (FrozenBatchNorm2d, nn.BatchNorm2d)):
            norm, layer.norm = layer.norm, None
            scale = (norm.running_var.double() + norm.eps).rsqrt() * norm.weight.double()
            bias = -norm.running_mean.double() if layer.bias is None else layer.bias.double() - norm.running_mean
            weight = layer.weight.double() * scale.reshape(-1, 1, 1, 1)
            layer.weight = nn.Parameter(weight.float(), requires_grad=False)
            layer.bias = nn.Parameter((bias * scale + norm.bias.double()).float(), requires_grad=False)


def replace_parts(model: GeneralizedRCNN, parts: Parts) -> None:
    """Lets a model compute its parts by `parts`, in place; its own are gone, and their memory with them."""
    heads = model.roi_heads
    model.backbone = _Backbone(model, parts.pyramid)
    model.proposal_generator.rpn_head = _RPNHead(model.backbone)
    if model.device.type == "cpu":
        heads.box_pooler = PyramidPooler(heads.box_pooler)
        heads.mask_pooler = PyramidPooler(heads.mask_pooler)
    else:
        heads.box_pooler = FloatPooler(heads.box_pooler)
        heads.mask_pooler = FloatPooler(heads.mask_pooler)
    heads.box_head = _BoxHead(parts.box_head, heads.box_head.output_shape.channels)
    heads.mask_head = _MaskHead(parts.mask_head, heads.mask_head.predictor.out_channels)
    model.computed_parts = parts
    model.eval()


def release_memory(model: nn.Module) -> None:
    """Frees what a model's parts keep for the next photo, where they can; it comes again, for some milliseconds."""
    parts: Parts | None = getattr(model, "computed_parts", None)
    for part in (parts.pyramid, parts.box_head, parts.mask_head) if parts else ():
        if hasattr(part, "release_memory"):
            part.release_memory()


class _Backbone(Backbone):
    """Gives the features of a pyramid, and keeps what its RPN head said of them for `_RPNHead`."""

    def __init__(self, model: GeneralizedRCNN, pyramid: Compute):
        super().__init__()
        self._names = list(model.proposal_generator.in_features)
        self._shapes = {name: model.backbone.output_shape()[name] for name in self._names}
        self._divisibility = model.backbone.size_divisibility
        self._constraints = model.backbone.padding_constraints
        self._pyramid = pyramid
        self.rpn_outputs: tuple[list[Tensor], list[Tensor]] = ([], [])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs = [x.permute(0, 3, 1, 2) for x in self._pyramid(images.contiguous())]
        count = len(self._names)
        self.rpn_outputs = ([x.float() for x in outputs[count:-count]], [x.float() for x in outputs[-count:]])
        return dict(zip(self._names, outputs[:count], strict=True))

    @property
    def size_divisibility(self) -> int:
        return self._divisibility

    @property
    def padding_constraints(self) -> dict[str, int]:
        return self._constraints

    def output_shape(self) -> dict:
        return self._shapes


class _RPNHead(nn.Module):
    def __init__(self, backbone: _Backbone):
        super().__init__()
        self._outputs_of = [backbone]  # in a list, or the backbone would count as part of the head

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return self._outputs_of[0].rpn_outputs


class _BoxHead(nn.Module):
    def __init__(self, compute: Compute, channels: int):
        super().__init__()
        self._compute = compute
        self._channels = channels

    def forward(self, features: Tensor) -> Tensor:
        if not len(features):
            return torch.zeros(0, self._channels, device=features.device)
        return self._compute(features.permute(0, 2, 3, 1).contiguous())[0].float()


class _MaskHead(BaseMaskRCNNHead):
    def __init__(self, compute: Compute, classes: int):
        super().__init__()
        self._compute = compute
        self._classes = classes

    def layers(self, x: Tensor) -> Tensor:
        if not len(x):
            return torch.zeros(0, self._classes, 2 * x.shape[2], 2 * x.shape[3], device=x.device)
        return self._compute(x.permute(0, 2, 3, 1).contiguous())[0].float()
