"""What the page of a run costs: seconds and bytes, of a run that is there or of drawn photos and detections."""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from detectron2.config import CfgNode

from campus_seg.benchmarks.drawn_export import draw_export
from campus_seg.config import CONFIG_FILE, load_config
from campus_seg.data.datasets import coco_file, dataset_name, register_export
from campus_seg.evaluation.evaluator import RESULTS_FILE, inference_folder
from campus_seg.evaluation.report import write_report
from campus_seg.evaluation.run_analysis import write_analyses

OBJECTS = 7  # a photo
SPLIT = [0.05, 0.0, 0.95]  # nearly all photos are for testing: those are what a page goes through


def measure_report(args: argparse.Namespace) -> dict[str, Any]:
    """Times the page of a run from what its evaluations left; without --config-file, of a drawn one with a run before.

    Args:
        args: of tools/benchmark.py: config_file, photos and detections.

    Returns:
        "photos" and "detections" that the page is about, "analysis_seconds" and "page_seconds", and "page_mb".
    """
    with tempfile.TemporaryDirectory() as scratch:
        if args.config_file:
            cfg = _copied_run(Path(args.config_file).parent, Path(scratch))
        else:
            export = Path(scratch, "export")
            draw_export(export, args.photos, args.photos * OBJECTS)
            for seed, name in enumerate(("before", "now")):
                cfg = _drawn_run(export, Path(scratch, name), args.detections, seed)
        began = time.perf_counter()
        analyses = write_analyses(cfg)
        analysed = time.perf_counter()
        page = write_report(cfg)
        ended = time.perf_counter()
        return {
            "photos": sum(analysis["photos"] for analysis in analyses.values()),
            "detections": sum(analysis["detections"] for analysis in analyses.values()),
            "figures": {
                "analysis_seconds": analysed - began,
                "page_seconds": ended - analysed,
                "page_mb": page.stat().st_size / 1e6,
            },
        }


def _copied_run(folder: Path, scratch: Path) -> CfgNode:
    """A run's files, without its models, where a page can be written."""
    run = scratch / folder.name
    shutil.copytree(folder, run, symlinks=True, ignore=shutil.ignore_patterns("*.pth", "masked", "report"))
    cfg = load_config(str(run / CONFIG_FILE), ["OUTPUT_DIR", str(run)])
    cfg.DATASETS.TEST = tuple(
        name for name in cfg.DATASETS.TEST if (inference_folder(cfg.OUTPUT_DIR, name) / RESULTS_FILE).is_file()
    )
    return cfg


def _drawn_run(export: Path, folder: Path, detections: int, seed: int) -> CfgNode:
    """A run that was evaluated on the test photos of an export, with drawn detections."""
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(folder)])
    cfg.CAMPUS.SPLIT = SPLIT
    cfg.DATASETS.TEST = (name := dataset_name("test"),)
    register_export(cfg)
    truth = msgspec.json.decode(coco_file(folder, "test").read_bytes())
    results = inference_folder(cfg.OUTPUT_DIR, name) / RESULTS_FILE
    results.parent.mkdir(parents=True)
    results.write_bytes(msgspec.json.encode(draw_detections(truth, detections, np.random.default_rng(seed))))
    (folder / CONFIG_FILE).write_text(cfg.dump(), encoding="utf-8")
    return cfg


def draw_detections(truth: dict[str, Any], count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draws detections, each of an object and a few pixels off; one in five names another class.

    Args:
        truth: a COCO file with polygons.
        count: how many, shared out over the objects by chance.
        rng: draws them.

    Returns:
        COCO results.
    """
    from pycocotools import mask as rle_tools

    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    classes = [category["id"] for category in truth["categories"]]
    results = []
    for place in rng.integers(len(truth["annotations"]), size=count).tolist():
        annotation = truth["annotations"][place]
        shift = rng.normal(0, 4)
        rings = [(np.array(ring) + shift).tolist() for ring in annotation["segmentation"]]
        rle = rle_tools.merge(rle_tools.frPyObjects(rings, *sizes[annotation["image_id"]]))
        results.append(
            {
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"] if rng.random() < 0.8 else int(rng.choice(classes)),
                "score": float(rng.random()),
                "bbox": rle_tools.toBbox(rle).tolist(),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    return results
