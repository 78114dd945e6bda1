"""Labels and detections that are rectangles on one size of photo, so that overlaps can be worked out by hand."""

from pycocotools import mask as rle_tools

NAMES = {1: "car", 2: "dog", 3: "person"}
WIDTH, HEIGHT = 200, 100


def ring(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def label(number, category, *box, image=1, crowd=0):
    shape = [ring(*box)]
    if crowd:
        shape = rle_tools.merge(rle_tools.frPyObjects(shape, HEIGHT, WIDTH))
    entry = {"id": number, "image_id": image, "category_id": category, "bbox": list(box)}
    return {**entry, "segmentation": shape, "area": box[2] * box[3], "iscrowd": crowd}


def found(category, score, *box, image=1):
    rle = rle_tools.frPyObjects([ring(*box)], HEIGHT, WIDTH)[0]
    return {"image_id": image, "category_id": category, "score": score, "bbox": list(box), "segmentation": rle}


def coco(*labels, images=1, **keys):
    entries = [
        {"id": i, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT, **keys} for i in range(1, images + 1)
    ]
    categories = [{"id": i, "name": name} for i, name in NAMES.items()]
    return {"images": entries, "annotations": list(labels), "categories": categories}
