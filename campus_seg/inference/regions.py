"""One object's mask, kept as the small part of the photo it covers."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_util


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

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the photo that the window covers: `photo[region.window]` is (h, w, …)."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """The window as (x, y, width, height) in the photo's pixels; of a tight region, the mask's box."""
        height, width = self.mask.shape
        return self.x, self.y, width, height

    def tight(self) -> "Region":
        """The same mask in its smallest window, which is (0, 0) where no pixel is set."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        columns = np.flatnonzero(self.mask.any(axis=0))
        if not rows.size:
            return Region(self.x, self.y, self.mask[:0, :0])
        top, left = int(rows[0]), int(columns[0])
        return Region(self.x + left, self.y + top, self.mask[top : rows[-1] + 1, left : columns[-1] + 1])

    def full(self, shape: tuple[int, int]) -> np.ndarray:
        """The mask as (H, W) bool in a photo of `shape` (H, W)."""
        mask = np.zeros(shape, dtype=bool)
        mask[self.window] = self.mask
        return mask

    def rle(self, shape: tuple[int, int]) -> dict:
        """COCO's compressed RLE of the mask in a photo of `shape` (H, W), `counts` as str.

        Runs go down the columns and start with a run of zeros. Only the columns of the window are counted; the
        columns before and after it lengthen the first and the last run.
        """
        height, width = shape
        columns = np.zeros((height, self.mask.shape[1]), dtype=bool)
        columns[self.window[0]] = self.mask
        flat = columns.ravel(order="F")
        before, after = self.x * height, (width - self.x - self.mask.shape[1]) * height
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        starts_set = bool(flat.size and flat[0])
        edges = [0, *([before] if starts_set else []), *(changes + before).tolist()]
        ends_set = bool(flat.size and flat[-1])
        edges += [*([width * height - after] if ends_set and after else []), width * height]
        counts = np.diff(edges).tolist()
        rle = mask_util.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


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
