"""What a model does otherwise to train faster on a CPU; the answers stay, up to the rounding of float32."""

from typing import Any

import torch
from detectron2.layers import Conv2d
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from campus_seg.modeling import winograd
from campus_seg.modeling.pooler import FloatPooler, PyramidPooler

# Where `winograd` takes less time than PyTorch, measured on processors with AVX2: the fewest channels on either side,
# and the fewest tiles.
OUTPUTS, WEIGHTS = (128, 96), (64, 48)


def quicken(model: nn.Module) -> nn.Module:
    """Prepares a Mask R-CNN on a CPU; what is not of Detectron2's usual design stays as it is.

    Args:
        model: changed in place, with the same parameters under the same names.

    Returns:
        The model, in channels_last, which convolutions on CPUs are faster in.
    """
    model = model.to(memory_format=torch.channels_last)
    heads = getattr(model, "roi_heads", None)
    for name in ("box_pooler", "mask_pooler"):
        pooler = getattr(heads, name, None)
        if PyramidPooler.fits(pooler):
            setattr(heads, name, FloatPooler(PyramidPooler(pooler)))
    for module in model.modules():
        if type(module) is Conv2d and _is_plain_3x3(module):
            module.__class__ = QuickConv2d
    head = getattr(getattr(model, "proposal_generator", None), "rpn_head", None)
    for module in head.modules() if head else ():
        if isinstance(module, QuickConv2d):
            module.few_places = True
    return model


def _is_plain_3x3(conv: nn.Conv2d) -> bool:
    shape = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


class QuickConv2d(Conv2d):
    """Detectron2's Conv2d of 3 x 3 and stride 1, with other ways to its outputs and gradients where they are faster.

    Attributes:
        few_places: the loss looks at few places of the outputs, as RPN's does, whose sample is 256 anchors a photo.
    """

    few_places = False

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H, W); without gradients, and in bfloat16, as Detectron2 does it."""
        if not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or x.dtype != torch.float32:
            return super().forward(x)
        x = _Convolution.apply(x, self.weight, self.bias, self.few_places)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, few_places: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.few_places = few_places
        if not _worth(x, weight, *OUTPUTS):
            return F.conv2d(x, weight, bias, padding=1)
        outputs = winograd.convolve(x, weight).detach()  # no view to autograd, which an activation in place may change
        return outputs if bias is None else outputs.add_(bias[:, None, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        by_bias = gradient.sum((0, 2, 3)) if of_bias else None
        if ctx.few_places:
            places = gradient.permute(0, 2, 3, 1).any(-1).nonzero()
            if len(places) * 32 < gradient[:, 0].numel():
                return *gradients_of_places(x, weight, gradient, places, of_x, of_weight), by_bias, None
        quick_x = of_x and _worth(gradient, weight, *OUTPUTS)
        quick_weight = of_weight and _worth(x, weight, *WEIGHTS)
        wanted = [of_x and not quick_x, of_weight and not quick_weight, False]
        by_x, by_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted
        )
        if quick_x:
            by_x = winograd.input_gradient(gradient, weight)
        if quick_weight:
            by_weight = winograd.weight_gradient(x, gradient)
        return by_x, by_weight, by_bias, None


def _worth(x: Tensor, weight: Tensor, channels: int, tiles: int) -> bool:
    n, _, height, width = x.shape
    return min(weight.shape[:2]) >= channels and n * -(-height // winograd.TILE) * -(-width // winograd.TILE) >= tiles


def gradients_of_places(
    x: Tensor, weight: Tensor, gradient: Tensor, places: Tensor, of_x: bool = True, of_weight: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a 3 x 3 convolution where those by its outputs are zero but at some places.

    Args:
        x: (N, C, H, W).
        weight: (K, C, 3, 3).
        gradient: (N, K, H, W), by the outputs.
        places: (P, 3) int64, those of photo, row and column that are not zero.
        of_x: whether that by x is wanted.
        of_weight: whether that by weight is; a frozen one's is not.

    Returns:
        By x (N, C, H, W) and by weight (K, C, 3, 3), each None where it is not wanted.
    """
    n, channels, height, width = x.shape
    photo, row, column = places.T
    here = gradient.permute(0, 2, 3, 1)[photo, row, column]  # (P, K)
    by_x = by_weight = None
    if of_weight:
        around = torch.arange(3)
        seen = photo[:, None, None], row[:, None, None] + around[:, None], column[:, None, None] + around
        inputs = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))[seen]  # (P, 3, 3, C)
        by_weight = (here.T @ inputs.flatten(1)).view(-1, 3, 3, channels).permute(0, 3, 1, 2)
    if of_x:
        by_inputs = (here @ weight.permute(0, 2, 3, 1).flatten(1)).view(-1, 3, 3, channels)
        sums = x.new_zeros(n, height + 2, width + 2, channels)
        for i in range(3):  # no place twice at once: sums in an order that threads do not change
            for j in range(3):
                sums[photo, row + i, column + j] += by_inputs[:, i, j]
        by_x = sums[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
    return by_x, by_weight
