import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from campus_seg.modeling import winograd

MOST_OFF = 3e-5  # of the largest value; PyTorch's own is off by some 2e-6


def gradients(x, weight, gradient):
    """By float64."""
    x, weight = (tensor.double().requires_grad_() for tensor in (x, weight))
    F.conv2d(x, weight, padding=1).backward(gradient.double())
    return x.grad, weight.grad


def same(found, exact):
    assert found.shape == exact.shape and found.dtype == torch.float32
    assert (found - exact).abs().max() <= MOST_OFF * exact.abs().max()


size = st.integers(1, 23)


@settings(max_examples=60)
@given(n=st.integers(1, 3), height=size, width=size, inputs=st.integers(1, 9), outputs=st.integers(1, 9))
def test_outputs_and_gradients_of_float64(n, height, width, inputs, outputs):
    torch.manual_seed(height * 100 + width)
    x, weight = torch.randn(n, inputs, height, width), torch.randn(outputs, inputs, 3, 3)
    gradient = torch.randn(n, outputs, height, width)
    same(winograd.convolve(x, weight), F.conv2d(x.double(), weight.double(), padding=1))
    by_x, by_weight = gradients(x, weight, gradient)
    same(winograd.input_gradient(gradient, weight), by_x)
    same(winograd.weight_gradient(x, gradient), by_weight)


@pytest.mark.parametrize("at_once", [1, 7, 16, 1000])
def test_any_number_of_tiles_at_once(at_once, monkeypatch):
    monkeypatch.setattr(winograd, "TILES_AT_ONCE", at_once)
    torch.manual_seed(0)
    x, weight, gradient = torch.randn(3, 4, 17, 21), torch.randn(5, 4, 3, 3), torch.randn(3, 5, 17, 21)
    x = x.contiguous(memory_format=torch.channels_last)
    outputs = winograd.convolve(x, weight)
    assert outputs.stride(1) == 1  # not of a whole channels_last tensor: 17 x 21 are cut out of 20 x 24
    same(outputs, F.conv2d(x.double(), weight.double(), padding=1))
    same(winograd.weight_gradient(x, gradient), gradients(x, weight, gradient)[1])
