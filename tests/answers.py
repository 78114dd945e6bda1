"""Whether two ways of computing a model give the same objects."""

import torch
from detectron2.engine import DefaultPredictor
from detectron2.layers import paste_masks_in_image
from detectron2.structures import Instances

from campus_seg.data.resize import resize_photo

BOX, SCORE, MASK_IOU, MASK_PIXELS = 0.1, 1e-3, 0.995, 3  # the most that the same object may differ by
LEAST_SCORE = 0.3


class OwnResize:
    """This project's resizing where DefaultPredictor has its own, so that both models see the same pixels."""

    def __init__(self, cfg):
        self.arguments = cfg.CAMPUS.INPUT_SIZE, cfg.CAMPUS.RESIZE

    def get_transform(self, image):
        return self

    def apply_image(self, image):
        return resize_photo(image, *self.arguments)


def stock_predictor(cfg) -> DefaultPredictor:
    """Detectron2's own loop on the same input."""
    predictor = DefaultPredictor(cfg)
    predictor.aug = OwnResize(cfg)
    return predictor


def full_masks(instances: Instances) -> torch.Tensor:
    """(N, H, W) bool, pasted by Detectron2 where they are not yet."""
    masks = instances.pred_masks
    if masks.dim() == 4:
        masks = paste_masks_in_image(masks[:, 0], instances.pred_boxes.tensor, instances.image_size)
    return masks


def same_objects(ours: Instances, stock: Instances) -> tuple[int, int, int]:
    """Compares the objects above `LEAST_SCORE`; those within `SCORE` of it may be missing on either side.

    Returns:
        How many of stock Detectron2's were found again, how many it has, and how many of ours it has not.
    """
    masks = full_masks(ours), full_masks(stock)
    free = set(range(len(ours)))
    found = wanted = 0
    for j in range(len(stock)):
        if stock.scores[j] <= LEAST_SCORE:
            continue
        wanted += 1
        for i in sorted(free):
            if (
                ours.pred_classes[i] == stock.pred_classes[j]
                and abs(ours.scores[i] - stock.scores[j]) <= SCORE
                and (ours.pred_boxes.tensor[i] - stock.pred_boxes.tensor[j]).abs().max() <= BOX
                and same_mask(masks[0][i], masks[1][j])
            ):
                free.remove(i)
                found += 1
                break
    added = sum(bool(ours.scores[i] > LEAST_SCORE + SCORE) for i in free)
    return found, wanted, added


def same_mask(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two (H, W) masks are the same up to a few pixels."""
    differ = int((a ^ b).sum())
    return differ <= MASK_PIXELS or int((a & b).sum()) >= MASK_IOU * int((a | b).sum())
