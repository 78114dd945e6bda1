"""What comes back from Label Studio, compared with what was drawn or found."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from campus_seg.label_studio.masks import encode_mask, mask_of_rings
from campus_seg.label_studio.photos import Annotation
from campus_seg.label_studio.raw import RawAnnotation, RawPhoto
from campus_seg.label_studio.regions import read_regions

Read = list[tuple[str, dict[str, Any]]]  # class name and COCO RLE of each object


def objects_of(annotations: Iterable[Annotation | RawAnnotation], width: int, height: int) -> Read:
    """The objects of annotations that were read, in a photo of `width` x `height` pixels."""
    return [(one.label, one.rle or mask_of_rings(one.rings, width, height)) for one in annotations]


def objects_of_result(result: list[dict[str, Any]], width: int, height: int) -> Read:
    """The objects of a prediction's regions."""
    photo = RawPhoto("", None, None)
    read_regions(result, photo, [])
    assert not result or (photo.width, photo.height) == (width, height)
    return objects_of(photo.annotations, width, height)


def beyond(read: Read, wanted: Sequence[tuple[str, np.ndarray]], close: float) -> list[str]:
    """Makes sure that each wanted object, class name and (H, W) bool mask, was read; says what else was.

    Args:
        read: of which each is one wanted object at most.
        wanted: what has to be there.
        close: the least IoU.

    Returns:
        The class names of what was read beyond that, sorted.
    """
    left = list(read)
    for label, mask in wanted:
        same = [i for i, (other, _) in enumerate(left) if other == label]
        assert same, f"no {label} is left"
        ious = coco_mask.iou([left[i][1] for i in same], [encode_mask(mask)], [False])[:, 0]
        assert ious.max() >= close, f"{label}: IoU {ious.max():.3f}"
        del left[same[int(ious.argmax())]]
    return sorted(label for label, _ in left)
