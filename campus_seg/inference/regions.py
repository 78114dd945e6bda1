"""One object's mask, kept as the small part of the photo it covers."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from pycocotools import mask as mask_util

BAND = 1 << 18  # pixels: what is computed on so many of them stays in a core's cache


def row_bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an (H, W, …) array, some at a time, for work whose temporaries are larger than its result."""
    rows = max(1, BAND // max(1, shape[1]))
    for first in range(0, shape[0], rows):
        yield slice(first, min(first + rows, shape[0]))


@dataclass(frozen=True)
class Region:
    """A mask that is False outside a window of the photo.

    Attributes:
        x: the window's first column in the photo.
        y: the window's first row in the photo.
        mask: (h, w) bool, the mask in the window.
    """

    x: int
    y: int
    mask: np.ndarray

    @classmethod
    def from_rle(cls, rle: dict) -> "Region":
        """The tight region of what `rle` returned."""
        return cls(0, 0, mask_util.decode(rle).view(bool)).tight()

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the photo that the window covers: `photo[region.window]` is (h, w, …)."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return cv2.countNonZero(self.mask.view(np.uint8)) if self.mask.size else 0

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """The window as (x, y, width, height) in the photo's pixels; of a tight region, the mask's box."""
        height, width = self.mask.shape
        return self.x, self.y, width, height

    def tight(self) -> "Region":
        """The same mask in its smallest window, which is (0, 0) where no pixel is set."""
        x, y, width, height = cv2.boundingRect(self.mask.view(np.uint8))
        return Region(self.x + x, self.y + y, self.mask[y : y + height, x : x + width])

    def rows(self, rows: slice) -> "Region":
        """The part of the mask in some rows of its window."""
        return Region(self.x, self.y + rows.start, self.mask[rows])

    def full(self, shape: tuple[int, int]) -> np.ndarray:
        """The mask as (H, W) bool in a photo of `shape` (H, W)."""
        mask = np.zeros(shape, dtype=bool)
        mask[self.window] = self.mask
        return mask

    def rle(self, shape: tuple[int, int]) -> dict:
        """COCO's compressed RLE of the mask in a photo of `shape` (H, W), `counts` as str.

        Runs go down the columns, one column after the other, and start with a run of zeros.
        """
        height, width = shape
        edges = self._edges(height)
        if not edges.size or edges[-1] < height * width:
            edges = np.append(edges, height * width)
        counts = np.diff(edges, prepend=0).tolist()
        rle = mask_util.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return {"size": [height, width], "counts": rle["counts"].decode("ascii")}

    def _edges(self, height: int) -> np.ndarray:
        """Where runs begin and end when a photo of `height` rows is read down its columns: ascending int64 indices.

        Found from row to row, as the mask lies in memory: each set pixel without one above begins a run, each unset
        one below a set one ends it.
        """
        if not self.mask.size:
            return np.zeros(0, dtype=np.int64)
        first, last = np.flatnonzero(self.mask[0]), np.flatnonzero(self.mask[-1])
        rows, columns = [np.zeros_like(first), np.full_like(last, len(self.mask))], [first, last]
        above, below = self.mask[:-1], self.mask[1:]
        for band in row_bands(above.shape):
            row, column = np.divmod(np.flatnonzero(above[band] != below[band]), self.mask.shape[1])
            rows.append(row + band.start + 1)
            columns.append(column)
        edges = np.sort((self.x + np.concatenate(columns)) * height + self.y + np.concatenate(rows))
        # A run to the photo's last row goes on where the next column's begins in the first: neither is an edge.
        twice = np.flatnonzero(edges[1:] == edges[:-1])
        return np.delete(edges, np.concatenate([twice, twice + 1]))


@dataclass(frozen=True)
class FoundObject:
    """One object of a photo.

    Attributes:
        class_id: index into the run's class names, from 0.
        score: confidence, 0 … 1.
        region: its mask, tight and with at least one pixel.
    """

    class_id: int
    score: float
    region: Region
