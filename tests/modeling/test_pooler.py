import math

import numpy as np
import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align

from campus_seg.modeling.pooler import FloatPooler, PyramidPooler, axis_taps, roi_align_rows

number = st.floats(-60, 300, width=32)
size = st.floats(0, 300, width=32)


@settings(max_examples=150)
@given(
    boxes=st.lists(st.tuples(number, number, size, size, st.integers(0, 1)), min_size=1, max_size=8),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    bins=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    sampling_ratio=st.integers(0, 3),
    scale=st.sampled_from([0.25, 0.125, 1 / 32]),
)
def test_every_bin_is_torchvisions(boxes, shape, bins, sampling_ratio, scale):
    """Boxes over the edges, outside, long, thin and empty; maps of a single feature."""
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *shape)).astype(np.float32))
    rois = torch.tensor([[photo, x, y, x + w, y + h] for x, y, w, h, photo in boxes], dtype=torch.float32)
    expected = roi_align(features, rois, bins, scale, sampling_ratio, aligned=True)
    got = roi_align_rows(features, rois, bins, scale, sampling_ratio)
    assert got.shape == (len(boxes), *bins, 3)
    # A sample count that is rounded up jumps where the size is nearly whole: those boxes are left out.
    low, high = rois[:, 1:3] * scale - 0.5, rois[:, 3:] * scale - 0.5
    sides = (high - low) / torch.tensor([bins[1], bins[0]])
    clear = ((sides - sides.round()).abs() > 1e-4).all(1) | (sampling_ratio > 0)
    for axis in (0, 1):
        lengths = bins[1 - axis], shape[1 - axis], sampling_ratio
        clear &= torch.tensor(
            [is_off_the_ends(*ends, *lengths) for ends in zip(low[:, axis], high[:, axis], strict=True)]
        )
    torch.testing.assert_close(got.permute(0, 3, 1, 2)[clear], expected[clear], atol=2e-4, rtol=0)


def is_off_the_ends(low, high, bins, length, sampling_ratio):
    """Whether no sample of a side is so near to one feature before the map, or to its end, that rounding may decide."""
    step = (float(high) - float(low)) / bins
    count = sampling_ratio or math.ceil(step)
    samples = float(low) + (np.arange(bins * count) + 0.5) * (step / max(count, 1))
    away = np.abs(samples[:, None] - (-1, length))
    return not ((away > 0) & (away < 1e-4)).any()


def test_taps_by_hand():
    """A box from 0.5 to 4.5 in two bins of two samples each: at 1, 2 and 3, 4, of which 4 is beyond the map."""
    taps = axis_taps(torch.tensor([0.5]), torch.tensor([4.5]), 4, 2, 0)
    assert taps.first.tolist() == [1, 3] and taps.count.tolist() == [3, 1]
    assert taps.weight.tolist() == [0.5, 0.5, 0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_stands_in_for_detectron2s_pooler(dtype, sampling_ratio):
    rng = np.random.default_rng(1)
    maps = [torch.from_numpy(rng.normal(size=(2, 8, 64 // s, 96 // s)).astype(np.float32)) for s in (1, 2, 4, 8)]
    maps = [features.contiguous(memory_format=torch.channels_last).to(dtype) for features in maps]
    corners = rng.uniform(0, 200, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(2, 300, (40, 2))], axis=1).astype(np.float32)
    lists = [Boxes(torch.from_numpy(boxes[:25])), Boxes(torch.from_numpy(boxes[25:]))]
    theirs = ROIPooler(7, [1 / 4, 1 / 8, 1 / 16, 1 / 32], sampling_ratio, "ROIAlignV2")
    assert PyramidPooler.fits(theirs)
    got = PyramidPooler(theirs)(maps, lists)
    assert got.dtype == dtype and got.is_contiguous(memory_format=torch.channels_last)
    expected = theirs([features.float() for features in maps], lists)
    torch.testing.assert_close(got.float(), expected, atol=1e-5 if dtype == torch.float32 else 0.03, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_gradients_of_detectron2s_pooler(dtype, sampling_ratio):
    """By float64, with boxes on every level.

    Places on maps of up to 128 features are off by 2 ** -18 when rounded, which they are four times; that moves so much
    of a gradient to a neighbour. A gradient in bfloat16 is rounded once, when it is added up.
    """
    rng = np.random.default_rng(2)
    maps = [torch.from_numpy(rng.normal(size=(2, 8, 64 // s, 96 // s)).astype(np.float32)) for s in (1, 2, 4, 8)]
    maps = [features.contiguous(memory_format=torch.channels_last).to(dtype) for features in maps]
    corners = rng.uniform(0, 200, (60, 2))
    sizes = rng.uniform(2, 100, (60, 2)) * np.repeat([1, 3, 8], 20)[:, None]
    boxes = torch.from_numpy(np.concatenate([corners, corners + sizes], axis=1).astype(np.float32))
    lists = [Boxes(boxes[::2]), Boxes(boxes[1::2])]
    gradient = torch.from_numpy(rng.normal(size=(60, 8, 7, 7)).astype(np.float32))
    theirs = ROIPooler(7, [1 / 4, 1 / 8, 1 / 16, 1 / 32], sampling_ratio, "ROIAlignV2")

    def gradients(pooler, dtype, gradient):
        leaves = [features.to(dtype, copy=True).requires_grad_() for features in maps]
        pooler(leaves, lists).backward(gradient)
        return [leaf.grad for leaf in leaves]

    found = gradients(FloatPooler(PyramidPooler(theirs)), dtype, gradient)
    expected = gradients(theirs, torch.float64, gradient.double())
    handed_out = gradients(theirs, torch.float64, gradient.abs().double())
    for ours, exact, most in zip(found, expected, handed_out, strict=True):
        assert ours.dtype == dtype and exact.any()
        rounding = 2**-8 if dtype == torch.bfloat16 else 0
        torch.testing.assert_close(ours.double(), exact, atol=4 * 2**-18 * float(most.max()), rtol=rounding)


def test_no_box_at_all():
    theirs = ROIPooler(7, [1 / 4, 1 / 8], 0, "ROIAlignV2", canonical_level=3)
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 4, 4)]
    assert PyramidPooler(theirs)(maps, [Boxes(torch.zeros(0, 4))]).shape == (0, 4, 7, 7)


@pytest.mark.parametrize("pooler", [torch.nn.Identity(), ROIPooler(7, [0.25], 0, "ROIAlign")])
def test_what_it_cannot_stand_in_for(pooler):
    assert not PyramidPooler.fits(pooler)
