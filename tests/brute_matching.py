"""Who belongs to whom, by a loop over pixels, objects and detections, for tests."""

import numpy as np
from pycocotools import mask as rle_tools
from random_sets import HEIGHT, WIDTH


def pixels(entry, iou_type="segm"):
    """An entry's mask, or its box as one, (H, W) bool."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    shape = entry["segmentation"]
    if iou_type == "bbox":
        x, y, width, height = map(int, entry["bbox"])
        mask[y : y + height, x : x + width] = True
        return mask
    if isinstance(shape, list):
        (shape,) = rle_tools.frPyObjects(shape, HEIGHT, WIDTH)
    if isinstance(shape["counts"], list):
        values = np.arange(len(shape["counts"])) % 2 == 1
        return np.repeat(values, shape["counts"]).reshape(WIDTH, HEIGHT).T
    return rle_tools.decode(shape).astype(bool)


def overlap(prediction, annotation, iou_type="segm"):
    """IoU; with a crowd, the share of the prediction that lies in it."""
    one, other = pixels(prediction, iou_type), pixels(annotation, iou_type)
    whole = one if annotation["iscrowd"] else one | other
    return (one & other).sum() / whole.sum() if whole.any() else 0


def by_brute_force(truth, predictions, image_id, least_scores=0.0, *, iou=0.5, iou_type="segm", across=True):
    """{place of the prediction in the list: id of its annotation or None}, without those that do not count.

    `least_scores` is one number or {category id: number}.
    """
    known = [a for a in truth["annotations"] if a["image_id"] == image_id]
    found = [(place, p) for place, p in enumerate(predictions) if p["image_id"] == image_id]
    if not isinstance(least_scores, dict):
        least_scores = {category["id"]: least_scores for category in truth["categories"]}
    found = [each for each in found if each[1]["score"] >= least_scores[each[1]["category_id"]]]
    found.sort(key=lambda each: (-each[1]["score"], each[0]))
    result, free = {}, [a for a in known if not a["iscrowd"]]
    for same in (True, False) if across else (True,):
        for place, prediction in found:
            if place in result:
                continue
            best, owner = iou, None
            for annotation in free:
                if (annotation["category_id"] == prediction["category_id"]) == same:
                    value = overlap(prediction, annotation, iou_type)
                    if value >= best:
                        best, owner = value, annotation
            if owner:
                result[place] = owner["id"]
                free = [a for a in free if a["id"] != owner["id"]]
        if same:
            crowds = [a for a in known if a["iscrowd"]]
            lost = [
                place
                for place, p in found
                if place not in result
                and any(a["category_id"] == p["category_id"] and overlap(p, a, iou_type) >= iou for a in crowds)
            ]
            found = [each for each in found if each[0] not in lost]
    return {place: result.get(place) for place, _ in found}
