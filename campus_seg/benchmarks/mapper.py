"""What the training mapper costs, against the same pipeline on the photo alone and against Detectron2's own."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T  # noqa: N812
from detectron2.data.datasets import load_coco_json
from detectron2.structures import BoxMode

from campus_seg.atomic_writes import write_json
from campus_seg.benchmarks.timing import take_turns
from campus_seg.config import load_config
from campus_seg.data.geometry import Rings
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.resize import resize_photo, to_tensor
from campus_seg.errors import ConfigError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.photos import read_photo


def draw_photos(folder: Path, count: int) -> list[dict[str, Any]]:
    """Dataset dicts of drawn photos: 640 x 480, 7 objects each with 40 points."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    records = []
    for index in range(count):
        coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        photo = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        annotations = []
        for category in range(7):
            reach = rng.uniform(15, 60) * rng.uniform(0.8, 1.0, 40)
            centre = rng.uniform((60, 60), (580, 420))
            ring = centre + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
            cv2.fillPoly(photo, [np.round(ring - 0.5).astype(np.int32)], rng.integers(0, 255, 3).tolist())
            box = [*ring.min(axis=0), *ring.max(axis=0)]
            shape = {"segmentation": [ring.ravel().tolist()], "bbox": box, "bbox_mode": BoxMode.XYXY_ABS}
            annotations.append({"category_id": category, "iscrowd": 0, **shape})
        path = folder / f"{index}.jpg"
        cv2.imwrite(str(path), photo)
        record = {"file_name": str(path), "height": 480, "width": 640, "image_id": index}
        records.append({**record, "annotations": annotations})
    return records


def import_photos(folder: Path, export: str, image_root: str) -> list[dict[str, Any]]:
    """Dataset dicts of an export's photos, unpacked to `folder`."""
    content = read_export(export, ExportOptions(image_root=image_root))
    write_json(folder / "coco.json", content.to_coco(content.photos, content.place_photos(folder)))
    return load_coco_json(str(folder / "coco.json"), str(folder))


def measure_mapper(args: argparse.Namespace) -> dict[str, Any]:
    """Times the training mapper, the same pipeline on the photo alone, and Detectron2's own mapper, in turn.

    Args:
        args: of tools/benchmark.py: export, image_root, photos, rounds, repeats and opts.

    Returns:
        Milliseconds a photo of each side, and under "ratios" the figures that carry over to another machine.

    Raises:
        CampusError: an export or keys that cannot be used.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    cfg = load_config("mask_rcnn_R_50_FPN.yaml", args.opts)
    ours = CampusMapper(cfg, is_train=True)
    if ours.augmentation is None:
        raise ConfigError("CAMPUS.AUGMENTATIONS is empty: there is nothing to compare; give a pipeline")
    resize = T.ResizeShortestEdge(ours.input_size, ours.input_size)  # the longest side, as "fit"
    theirs = DatasetMapper(
        is_train=True,
        augmentations=[resize, T.RandomFlip()],
        image_format=cfg.INPUT.FORMAT,
        use_instance_mask=True,
        instance_mask_format=cfg.INPUT.MASK_FORMAT,
    )

    def read(record: dict):
        return read_photo(Path(record["file_name"]), "RGB")

    def image_only(record: dict):
        photo = resize_photo(read(record), ours.input_size, ours.resize)
        seed = ours.seed, record["epoch"], record["image_id"]
        return to_tensor(ours.augmentation(photo, Rings.from_polygons([]), seed)[0], "RGB", ours.image_format)

    sides = {"read": read, "image_only": image_only, "mapper": ours, "detectron2": theirs}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        drawn = not args.export
        records = draw_photos(folder, args.photos) if drawn else import_photos(folder, args.export, args.image_root)
        taken = take_turns(sides, records, args.rounds, args.repeats)
    objects = [annotation for record in records for annotation in record["annotations"]]
    return {
        "photos": len(records),
        "objects": len(objects),
        "input_size": ours.input_size,
        "augmentations": cfg.CAMPUS.AUGMENTATIONS,
        "ms_per_photo": taken,
        "ratios": {
            # Reading is the same on both sides and would only flatter the ratio.
            "mapper_vs_image_only": (taken["mapper"] - taken["read"]) / (taken["image_only"] - taken["read"]),
            "mapper_vs_image_only_with_reading": taken["mapper"] / taken["image_only"],
            "mapper_vs_detectron2": taken["mapper"] / taken["detectron2"],
        },
    }
