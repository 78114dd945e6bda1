"""ROIAlign as weighted sums of feature vectors, which a CPU does many times faster than channel by channel.

A bin of ROIAlign is the mean of some bilinear samples (He et al. 2017, arXiv:1703.06870, section 3). A sample is a
weighted sum of four feature vectors, so a bin is one too, and `embedding_bag` adds up weighted rows of a table with
vector instructions. The samples lie on a grid, so the weights are products of those along y and those along x.
"""

from typing import NamedTuple

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels, convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from torch import Tensor, nn
from torch.nn.functional import embedding_bag


class Taps(NamedTuple):
    """Along one axis, the run of features that each bin of each box reads, and their weights.

    Attributes:
        first: (N * bins,) int64, index of the run's first feature.
        count: (N * bins,) int64, its length, at least 1.
        offset: (N * bins,) int64, where its weights begin in `weight`.
        weight: (sum of `count`,) float32; a bin's add up to 1 where all its samples lie on the map.
    """

    first: Tensor
    count: Tensor
    offset: Tensor
    weight: Tensor


class PyramidPooler(nn.Module):
    """Detectron2's `ROIPooler` for ROIAlignV2 on a CPU: the same values, up to the order of the sums.

    Args:
        pooler: what it stands in for.
    """

    def __init__(self, pooler: ROIPooler):
        super().__init__()
        self.bins = pooler.output_size
        self.levels = [(level.spatial_scale, level.sampling_ratio) for level in pooler.level_poolers]
        self.assignment = (pooler.min_level, pooler.max_level, pooler.canonical_box_size, pooler.canonical_level)

    @staticmethod
    def fits(pooler: nn.Module) -> bool:
        """Whether `pooler` is one that this class can stand in for."""
        return isinstance(pooler, ROIPooler) and all(
            isinstance(level, ROIAlign) and level.aligned for level in pooler.level_poolers
        )

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Cuts the features of boxes out.

        Args:
            x: one (N, C, H, W) map a level, finest first; fastest with the strides of channels_last.
            box_lists: for each of the N photos its boxes, XYXY in the pixels of what the model sees.

        Returns:
            (M, C, bins, bins) of the maps' dtype with the strides of channels_last, photo by photo.
        """
        rois = convert_boxes_to_pooler_format(box_lists)  # (M, 5): photo, x0, y0, x1, y1
        pooled = x[0].new_empty(len(rois), *self.bins, x[0].shape[1])
        if len(self.levels) == 1:
            assigned = torch.zeros(len(rois), dtype=torch.int64)
        else:
            assigned = assign_boxes_to_levels(box_lists, *self.assignment)
        for level, (features, (scale, sampling_ratio)) in enumerate(zip(x, self.levels, strict=True)):
            chosen = torch.nonzero(assigned == level).squeeze(1)
            if len(chosen):
                pooled[chosen] = roi_align_rows(features, rois[chosen], self.bins, scale, sampling_ratio)
        return pooled.permute(0, 3, 1, 2)


class FloatPooler(nn.Module):
    """A pooler given float32 whatever it gets: Detectron2's own knows no bfloat16, and gradients add up in it badly.

    Args:
        pooler: that it hands on to.
    """

    def __init__(self, pooler: nn.Module):
        super().__init__()
        self._pooler = pooler

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """As of the pooler."""
        return self._pooler([features.float() for features in x], box_lists)


def roi_align_rows(features: Tensor, rois: Tensor, bins: tuple[int, int], scale: float, sampling_ratio: int) -> Tensor:
    """`torchvision.ops.roi_align` with `aligned=True` by another way.

    Args:
        features: (N, C, H, W) float32 or bfloat16.
        rois: (M, 5) float32: index of the photo, then XYXY in units of 1 / `scale` features.
        bins: rows and columns of the result.
        scale: features a pixel.
        sampling_ratio: samples a bin along each axis; 0 = as many as it has features, rounded up.

    Returns:
        (M, rows, columns, C) of the features' dtype.
    """
    photos, channels, height, width = features.shape
    table = features.permute(0, 2, 3, 1).reshape(photos * height * width, channels)
    corners = rois[:, 1:] * scale - 0.5
    rows, columns = bins
    y = axis_taps(corners[:, 1], corners[:, 3], height, rows, sampling_ratio)
    x = axis_taps(corners[:, 0], corners[:, 2], width, columns, sampling_ratio)
    # Each bin of a box takes its row bin's features times its column bin's.
    box = torch.arange(len(rois))
    y_of = (box[:, None, None] * rows + torch.arange(rows)[:, None]).expand(-1, -1, columns).reshape(-1)
    x_of = (box[:, None, None] * columns + torch.arange(columns)).expand(-1, rows, -1).reshape(-1)
    start = (rois[:, 0].long() * height * width).repeat_interleave(rows * columns)
    # First every feature row of every bin, then every feature of these rows.
    bin_of, step = spread(y.count[y_of])
    row_start = (start + x.first[x_of] + y.first[y_of] * width)[bin_of] + step * width
    row_weight = y.weight[y.offset[y_of][bin_of] + step]
    row_columns = x_of[bin_of]
    row_of, step = spread(x.count[row_columns])
    indices = row_start[row_of] + step
    weights = row_weight[row_of] * x.weight[x.offset[row_columns][row_of] + step]
    counts = y.count[y_of] * x.count[x_of]
    sums = embedding_bag(
        indices, table, counts.cumsum(0) - counts, mode="sum", per_sample_weights=weights.to(table.dtype)
    )
    return sums.view(len(rois), rows, columns, channels)


def spread(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers the members of groups: for (G,) sizes the group of each member, and its place there, from 0."""
    group = torch.repeat_interleave(counts)
    return group, torch.arange(len(group)) - (counts.cumsum(0) - counts)[group]


def axis_taps(start: Tensor, end: Tensor, length: int, bins: int, sampling_ratio: int) -> Taps:
    """What ROIAlign's samples read along one axis, and how much of it.

    Args:
        start: (N,) float32, where the boxes begin, 0 at the middle of the first feature.
        end: (N,) float32, where they end.
        length: features on this axis.
        bins: bins a box.
        sampling_ratio: see `roi_align_rows`.
    """
    size = (end - start) / bins
    samples = torch.full_like(size, sampling_ratio) if sampling_ratio > 0 else size.ceil()
    several = samples.clamp(min=1).long().repeat_interleave(bins)  # a box without extent has none, and sums to 0
    owner, step = spread(several)
    of_box = owner // bins
    middle = start[of_box] + (owner % bins) * size[of_box] + (step + 0.5) * (size / samples.clamp(min=1))[of_box]
    share = ((middle >= -1) & (middle <= length) & (samples[of_box] > 0)) / several[owner]
    middle = middle.clamp(min=0, max=length - 1)  # at the edges, the outermost feature goes on
    low = middle.long()
    high = (low + 1).clamp(max=length - 1)
    upper = middle - low
    ends = several.cumsum(0)
    first = low[ends - several]
    count = high[ends - 1] - first + 1
    offset = count.cumsum(0) - count
    weight = torch.zeros(int(count.sum()))
    place = (offset - first)[owner]
    weight.index_add_(0, place + low, share * (1 - upper))
    weight.index_add_(0, place + high, share * upper)
    return Taps(first, count, offset, weight)
