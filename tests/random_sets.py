"""Random ground truth and detections with all that an evaluation can stumble over, for tests."""

from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as rle_tools

HEIGHT, WIDTH = 120, 150  # pixels; room for objects of every size of COCO's: below 32 squared, 96 squared, and above


class RandomSet(NamedTuple):
    """A COCO file's content, and COCO results with boxes and masks."""

    truth: dict[str, Any]
    predictions: list[dict[str, Any]]


def random_set(seed: int, most_photos: int = 4) -> RandomSet:
    """Draws a set.

    Ids are in any order, and may start at 0. Scores have ties, and so have overlaps, since detections come twice. There
    are crowds, classes without objects, classes without detections, photos without either, outlines of all three forms,
    and in every fourth set more than 100 detections of a class in a photo.
    """
    rng = np.random.default_rng(seed)
    ids = [rng.permutation(1000)[: rng.integers(1, most)].tolist() for most in (most_photos + 1, 6)]
    for drawn in ids:
        if seed % 3 == 0 and 0 not in drawn:
            drawn[0] = 0
    photos, classes = ids
    truth = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in photos],
        "categories": [{"id": i, "name": f"class {i}"} for i in classes],
        "annotations": [],
    }
    predictions = []
    drawn_classes = classes[: rng.integers(1, len(classes) + 1)]  # the others have no object
    many = photos[0] if seed % 4 == 0 else None
    for photo in photos:
        objects = [(_box(rng), rng.choice(drawn_classes).item()) for _ in range(rng.choice([0, 1, 3, 8]))]
        truth["annotations"] += [_annotation(rng, photo, label, box) for box, label in objects]
        found = [(_moved(rng, box), label) for box, label in objects for _ in range(rng.integers(0, 3))]
        found += [(_box(rng), rng.choice(classes).item()) for _ in range(rng.integers(0, 4))]
        found += [found[rng.integers(len(found))] for _ in range(3) if found]
        if photo == many:
            found += [(_box(rng), classes[0]) for _ in range(105)]
        for box, label in found:
            guess = label if rng.random() < 0.75 else rng.choice(classes).item()
            predictions.append(_prediction(rng, photo, label if photo == many else guess, box))
    if not predictions:
        predictions.append(_prediction(rng, photos[0], classes[0], _box(rng)))
    rng.shuffle(truth["annotations"])
    rng.shuffle(predictions)
    numbers = rng.permutation(len(truth["annotations"])) + (seed % 2)  # every other set has an annotation of id 0
    for annotation, number in zip(truth["annotations"], numbers.tolist(), strict=True):
        annotation["id"] = number
    return RandomSet(truth, predictions)


def _box(rng: np.random.Generator) -> list[int]:
    """XYWH in whole pixels."""
    least, most = [(5, 25), (25, 70), (98, 119)][rng.integers(3)]
    width, height = rng.integers(least, most, 2).tolist()
    return [rng.integers(0, WIDTH - width).item(), rng.integers(0, HEIGHT - height).item(), width, height]


def _moved(rng: np.random.Generator, box: list[int]) -> list[int]:
    x, y, width, height = box
    part = rng.choice([20, 8, 3])
    x, y = x + rng.integers(-width // part, width // part + 1), y + rng.integers(-height // part, height // part + 1)
    return [int(np.clip(x, 0, WIDTH - width)), int(np.clip(y, 0, HEIGHT - height)), width, height]


def _mask(rng: np.random.Generator, box: list[int]) -> dict[str, Any]:
    """The box without a corner, as a compressed RLE."""
    x, y, width, height = box
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    mask[y : y + rng.integers(0, height // 2 + 1), x : x + rng.integers(0, width // 2 + 1)] = 0
    rle = rle_tools.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def _annotation(rng: np.random.Generator, photo: int, label: int, box: list[int]) -> dict[str, Any]:
    x, y, width, height = box
    crowd = bool(rng.random() < 0.15)
    form = rng.choice(["polygon", "compressed", "uncompressed"])
    if form == "polygon" and not crowd:
        shape = [[x, y, x + width, y, x + width, y + height, x + width // 2, y + height]]
        area = rle_tools.area(rle_tools.frPyObjects(shape, HEIGHT, WIDTH)).sum()
    else:
        shape = _mask(rng, box)
        area = rle_tools.area(shape)
        if form == "uncompressed":
            flat = rle_tools.decode(shape).ravel(order="F")
            edges = np.flatnonzero(np.diff(flat)) + 1
            runs = np.diff([0, *edges, flat.size]).tolist()
            shape = {"size": [HEIGHT, WIDTH], "counts": runs if flat[0] == 0 else [0, *runs]}
    entry = {"image_id": photo, "category_id": label, "bbox": [float(value) for value in box], "area": float(area)}
    return {**entry, "segmentation": shape, "iscrowd": int(crowd)}


def _prediction(rng: np.random.Generator, photo: int, label: int, box: list[int]) -> dict[str, Any]:
    score = rng.integers(0, 20).item() / 20 if rng.random() < 0.6 else rng.random()
    bbox = [float(value) for value in box]
    return {"image_id": photo, "category_id": label, "bbox": bbox, "score": score, "segmentation": _mask(rng, box)}
