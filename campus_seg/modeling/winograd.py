"""3 x 3 convolutions on a CPU by Winograd's minimal filtering F(4 x 4, 3 x 3), with a quarter of the products.

Lavin & Gray 2015, arXiv:1509.09308: a tile of 4 x 4 outputs depends on 6 x 6 inputs. Both and the kernel go to a domain
where a convolution is a product, one matrix product of tiles and channels for each of its 36 places. The gradient by
the kernel is the same algorithm transposed. In float32 the result is off by about 1e-5 of the largest output, five
times as much as PyTorch's own convolution.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

TILE, WINDOW = 4, 6  # side of a tile of outputs, and of the inputs that it depends on
TILES_AT_ONCE = 256  # as many as the caches of a core hold, with 256 channels

# Section 4.3 of the paper.
INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
OUTPUT = torch.tensor([[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """`F.conv2d(x, weight, padding=1)` for 3 x 3 kernels.

    Args:
        x: (N, C, H, W) float32, best in channels_last.
        weight: (K, C, 3, 3) float32.

    Returns:
        (N, K, H, W) float32, the channels innermost as in channels_last.
    """
    n, _, height, width = x.shape
    channels = weight.shape[0]
    windows = _windows(x)
    kernels = _both_ways(KERNEL, weight.permute(2, 3, 1, 0)).flatten(0, 1)
    rows, columns = windows.shape[3:5]
    tiles = x.new_empty(n, rows, TILE, columns, TILE, channels)
    outputs = tiles.permute(2, 4, 0, 1, 3, 5)
    for part in _parts(n, rows, columns):
        products = _both_ways(INPUT, windows[part]).flatten(0, 1).flatten(1, 3) @ kernels
        here = outputs[part]
        here.copy_(_both_ways(OUTPUT, products.view(WINDOW, WINDOW, *here.shape[2:])))
    return tiles.view(n, rows * TILE, columns * TILE, channels)[:, :height, :width].permute(0, 3, 1, 2)


def input_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient of `convolve` by x: (N, C, H, W), from that by its outputs: (N, K, H, W), and the kernels."""
    return convolve(gradient, weight.flip(2, 3).transpose(0, 1))


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of `convolve` by the kernels: (K, C, 3, 3), from x and that by its outputs: (N, K, H, W)."""
    n, channels, height, width = gradient.shape
    windows = _windows(x)
    rows, columns = windows.shape[3:5]
    gradient = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, columns * TILE - width, 0, rows * TILE - height))
    tiles = gradient.reshape(n, rows, TILE, columns, TILE, channels).permute(2, 4, 0, 1, 3, 5)
    sums = x.new_zeros(WINDOW * WINDOW, x.shape[1], channels)
    for part in _parts(n, rows, columns):
        inputs, outputs = _both_ways(INPUT, windows[part]), _both_ways(OUTPUT.T, tiles[part])
        sums.baddbmm_(inputs.flatten(0, 1).flatten(1, 3).transpose(1, 2), outputs.flatten(0, 1).flatten(1, 3))
    return _both_ways(KERNEL.T, sums.view(WINDOW, WINDOW, -1, channels)).permute(3, 2, 0, 1)


def _windows(x: Tensor) -> Tensor:
    """(N, C, H, W) to a view (6, 6, N, rows, columns, C) of its overlapping windows, a tile each."""
    height, width = x.shape[2:]
    right, below = -width % TILE + 1, -height % TILE + 1
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below))
    return padded.unfold(1, WINDOW, TILE).unfold(2, WINDOW, TILE).permute(4, 5, 0, 1, 2, 3)


def _parts(n: int, rows: int, columns: int) -> Iterator[tuple[slice, ...]]:
    """Cuts (_, _, n, rows, …) into parts of about `TILES_AT_ONCE` tiles."""
    photos, at_once = max(1, TILES_AT_ONCE // (rows * columns)), max(1, TILES_AT_ONCE // columns)
    for photo in range(0, n, photos):
        for row in range(0, rows, at_once):
            yield slice(None), slice(None), slice(photo, photo + photos), slice(row, row + at_once)


def _both_ways(matrix: Tensor, x: Tensor) -> Tensor:
    """`matrix @ x @ matrix.T` in the first two axes of x: (j, j, …) to (i, i, …) for a matrix of (i, j)."""
    i, j = matrix.shape
    along = (matrix @ x.reshape(j, -1)).view(i, j, -1)
    return torch.bmm(matrix.expand(i, i, j), along).view(i, i, *x.shape[2:])
