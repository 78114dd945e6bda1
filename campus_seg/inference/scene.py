"""What the pictures of a photo are drawn from, collected one object at a time so that no mask has to stay."""

from dataclasses import dataclass

import cv2
import numpy as np

from campus_seg.inference.regions import Region, row_bands


@dataclass(frozen=True)
class Outline:
    """Where an object lies, without its pixels.

    Attributes:
        box: (x0, y0, x1, y1) of its pixels, x1 and y1 exclusive.
        top: the middle column of its first row, where a label points at the object.
        bottom: likewise of its last row.
        contours: its edges and those of its holes, as `cv2.drawContours` takes them.
    """

    box: tuple[int, int, int, int]
    top: int
    bottom: int
    contours: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, region: Region) -> "Outline":
        """The outline of a tight region with at least one pixel."""
        mask = region.mask.view(np.uint8)
        contours, _ = cv2.findContours(
            mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(region.x, region.y)
        )  # also finds edges on the border
        top, bottom = (region.x + int(np.flatnonzero(row).mean()) for row in (mask[0], mask[-1]))
        x, y, width, height = region.bbox
        return cls((x, y, x + width, y + height), top, bottom, contours)


class Scene:
    """The objects of a photo, the foremost first.

    Args:
        shape: (H, W) of the photo.
        with_ids: whether `ids` is needed.
        with_outlines: whether `outlines` are needed.

    Attributes:
        ids: (H, W) uint16: i where the i-th object, from 1, is the foremost, 0 where there is none.
        outlines: one for each object.
    """

    def __init__(self, shape: tuple[int, int], *, with_ids: bool = True, with_outlines: bool = True):
        self.ids = np.zeros(shape, dtype=np.uint16) if with_ids else None
        self.outlines: list[Outline] | None = [] if with_outlines else None
        self._count = 0

    def add(self, region: Region) -> int:
        """Puts an object behind those that are there already.

        Args:
            region: tight, with at least one pixel.

        Returns:
            Its id.
        """
        self._count += 1
        if self.ids is not None:
            window = self.ids[region.window]
            for band in row_bands(window.shape):
                np.copyto(window[band], self._count, where=region.mask[band] & (window[band] == 0))
        if self.outlines is not None:
            self.outlines.append(Outline.of(region))
        return self._count
