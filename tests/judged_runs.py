"""Folders of runs that were never trained: an import of drawn photos, and predictions that a model could have made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from drawn import SMALL_MODEL, DrawnExport, draw_export
from pycocotools import mask as rle_tools

from campus_seg.atomic_writes import write_json
from campus_seg.config import load_config
from campus_seg.data.datasets import register_export
from campus_seg.evaluation.run_analysis import write_analyses

ODD_PHOTO = '<b>x</b>"&.jpg'
ODD_CLASSES = {"car": '<b>x</b>"&', "dog": "$x$ <img src=x onerror=alert(1)>", "person": "_Ünï 人"}


def odd_export(photos: int) -> DrawnExport:
    """Drawn photos, of which each fifth is called ODD_PHOTO in a folder of its own, with classes as odd as that."""
    drawn = draw_export(photos=photos)
    for category in drawn.coco["categories"]:
        category["name"] = ODD_CLASSES.get(category["name"], category["name"])
    for number, image in enumerate(drawn.coco["images"]):
        name = image["file_name"].rpartition("/")[2]
        if number % 5 == 0:
            odd = f"{number}/{ODD_PHOTO}"
            drawn.photos[odd] = drawn.photos.pop(name)
            image["file_name"] = f"images/{odd}"
    return drawn


def write_folder(drawn: DrawnExport, folder: Path) -> Path:
    """A drawn export as a folder, in which names are as odd as they like."""
    for name, content in drawn.photos.items():
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "result.json").write_text(json.dumps(drawn.coco), encoding="utf-8")
    return folder


def write_judged_run(
    folder: Path, export: Path, *, seed: int = 0, share: float = 0.85, trained: bool = True
) -> CfgNode:
    """Imports an export, and finds a share of its objects in the photos for validation and testing.

    Args:
        folder: the run's.
        export: what to import.
        seed: of the predictions.
        share: of the objects, that are found.
        trained: whether there are losses.

    Returns:
        The run's config.
    """
    cfg = load_config(
        "mask_rcnn_mini_FPN.yaml", [*SMALL_MODEL, "CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(folder)]
    )
    cfg.CAMPUS.SPLIT = [0.5, 0.2, 0.3]
    register_export(cfg)
    for name in cfg.DATASETS.TEST:
        truth = json.loads((folder / f"import/{name}.json").read_text())
        results = predict(truth, np.random.default_rng(seed), share)
        write_json(folder / "inference" / name / "coco_instances_results.json", results)
    write_analyses(cfg)
    if trained:
        (folder / "metrics.json").write_text("".join(json.dumps(line) + "\n" for line in training_lines()))
    (folder / "config.yaml").write_text(cfg.dump())
    return cfg


def predict(truth: dict[str, Any], rng: np.random.Generator, share: float) -> list[dict[str, Any]]:
    """Objects a little off their labels, some of another class, and in each photo one that is not there."""
    results = []
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    classes = [category["id"] for category in truth["categories"]]
    for annotation in truth["annotations"]:
        if rng.random() < share:
            rings = [(np.array(ring) + rng.normal(0, 1.5)).tolist() for ring in annotation["segmentation"]]
            guess = annotation["category_id"] if rng.random() < 0.8 else int(rng.choice(classes))
            results.append(_result(annotation["image_id"], guess, rng.beta(6, 2), rings, sizes))
    for image in truth["images"]:
        rings = [[2.0, 2.0, 30.0, 2.0, 30.0, 20.0, 2.0, 20.0]]
        results.append(_result(image["id"], classes[0], rng.random(), rings, sizes))
    return results


def _result(image_id: int, category_id: int, score: float, rings: list, sizes: dict[int, tuple]) -> dict[str, Any]:
    rle = rle_tools.merge(rle_tools.frPyObjects(rings, *sizes[image_id]))
    box = [float(value) for value in rle_tools.toBbox(rle)]
    rle["counts"] = rle["counts"].decode()
    entry = {"image_id": image_id, "category_id": category_id, "score": float(score)}
    return {**entry, "bbox": box, "segmentation": rle}


def training_lines() -> list[dict[str, float]]:
    """What a training of 100 iterations leaves in metrics.json; iteration 79 is the best."""
    lines = []
    for iteration in range(19, 100, 20):
        parts = {"loss_cls": 60 / (iteration + 30), "loss_mask": 0.6}
        line = {"iteration": iteration, "lr": 1e-3 * (1 - iteration / 100), "time": 0.5, **parts}
        line["total_loss"] = sum(parts.values())
        line |= {"val/total_loss": line["total_loss"] * 1.1, "test/total_loss": line["total_loss"] * 1.2}
        line["campus_val/segm/AP"] = 40.0 if iteration == 79 else iteration / 10
        lines.append(line)
    return lines
