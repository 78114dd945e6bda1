"""Drawn blobs, and a stand-in for the model that sees them exactly, if they are large enough."""

import cv2
import numpy as np
import torch
from detectron2.structures import Boxes, Instances

INPUT, LEAST = 96, 3  # pixels: the longest side of what the stand-in sees, and the shortest side of a blob it sees


class Eye:
    """Sees blobs of one colour each, and of a blob that the photo's edge cuts no more than is there.

    Blue is the class + 1, green and red say which blob it is. Where the photo is shrunk, boxes are rounded to
    whole pixels of the input. Scores are arbitrary: a piece is often surer than the whole.
    """

    class_names, engine, model = ["bench", "car", "dog"], "eye", None

    def __init__(self, batch=2, noise=0.0):
        self.batch = batch
        self.noise = noise  # of a blob's sides: how far its box may be off
        self.seen = []  # (height, width) of the photos of each call
        self.changes = {}  # {blob: what class it takes it for where it sees a piece of less than these pixels}

    def __call__(self, photos):
        self.seen.append([photo.shape[:2] for photo in photos])
        return [self.look(photo) for photo in photos]

    def look(self, photo):
        height, width = photo.shape[:2]
        scale = INPUT / max(height, width)
        boxes, masks, scores, classes = [], [], [], []
        blobs = photo[..., 1].astype(int) << 8 | photo[..., 2]
        for blob in np.unique(blobs[blobs > 0]).tolist():
            mask = (blobs == blob).astype(np.uint8)
            x, y, w, h = cv2.boundingRect(mask)
            if min(w, h) * scale < LEAST:
                continue
            grid = max(1.0, 1 / scale)
            x0, y0, x1, y1 = np.minimum(np.round(np.array([x, y, x + w, y + h]) / grid) * grid, [width, height] * 2)
            if self.noise:
                off = np.random.default_rng([blob, x, y, w, h, height]).uniform(-self.noise, self.noise, 4)
                x0, y0, x1, y1 = np.clip(np.array([x0, y0, x1, y1]) + off * [w, h, w, h], 0, [width, height] * 2)
            crop = mask[y : y + h, x : x + w].astype(np.float32)
            class_id = int(photo[..., 0][mask > 0][0]) - 1
            if mask.sum() < self.changes.get(blob, (0, 0))[0]:
                class_id = self.changes[blob][1]
            boxes.append([x0, y0, x1, y1])
            masks.append(cv2.resize(crop, (28, 28), interpolation=cv2.INTER_LINEAR))
            scores.append(0.5 + (blob * 7919 + w * 31 + h * 17 + x) % 499 / 1000)
            classes.append(class_id)
        found = Instances(
            (height, width),
            pred_boxes=Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
            scores=torch.tensor(scores, dtype=torch.float32),
            pred_classes=torch.tensor(classes, dtype=torch.int64),
            pred_masks=torch.from_numpy(np.array(masks, np.float32).reshape(-1, 1, 28, 28)),
        )
        return found[found.scores.argsort(descending=True, stable=True)]


def draw(shape, boxes, classes=None):
    """A black photo with a filled rectangle for each (x0, y0, x1, y1)."""
    photo = np.zeros((*shape, 3), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        photo[y0:y1, x0:x1] = ((classes or [0] * len(boxes))[number - 1] + 1, number >> 8, number & 255)
    return photo


def view(boxes, classes, scores, shape=(200, 400), masks=None):
    """What a view gives, in the photo's pixels; whole rectangles unless masks are given."""
    n = len(boxes)
    return Instances(
        shape,
        pred_boxes=Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        scores=torch.tensor(scores, dtype=torch.float32),
        pred_classes=torch.tensor(classes, dtype=torch.int64),
        pred_masks=torch.ones(n, 1, 28, 28) if masks is None else torch.tensor(masks, dtype=torch.float32)[:, None],
    )
