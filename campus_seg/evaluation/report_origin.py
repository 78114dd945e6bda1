"""The parts of a report that say what a run came of, each as the page takes it: its data, and how to repeat it."""

import importlib.metadata
import logging
import platform
import shlex
import threading
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from campus_seg.config import CONFIG_FILE
from campus_seg.data.datasets import dataset_name, register_datasets
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.splits import SPLITS
from campus_seg.errors import CampusError
from campus_seg.evaluation import run_charts
from campus_seg.evaluation.report_photos import SIDE, Album, object_sides
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.inference.contact_sheet import evenly_spaced
from campus_seg.inference.labelled import draw_augmented
from campus_seg.label_studio.report import ImportReport
from campus_seg.palette import class_colors

logger = logging.getLogger(__name__)

AUGMENTED = 8
ROOM = 600_000  # bytes of augmented photos in the page
SAVED_AS = "evaluated.yaml"  # the configuration of an evaluation
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "albumentations", "pycocotools", "hotcoco")
DETECTRON2 = ("detectron2", "sal-detectron2")  # as upstream's build and the one of PyPI are called


def data_section(run: RunFiles, cfg: CfgNode) -> dict[str, Any]:
    """What the model was taught and judged with.

    Returns:
        `photos` and `objects` by split, `counts` by split and class, the charts `by_class` and `sizes`, `defects` of
        the export (code, how often, what was done, the first), its `notes` and `unused_labels`, photos as `augmented`.
    """
    names = dict(enumerate(run.classes, start=1))
    counts = {
        split: Counter(names[entry["category_id"]] for entry in truth["annotations"])
        for split, truth in run.truths.items()
    }
    photos = {split: len(truth["images"]) for split, truth in run.truths.items()}
    defects = ImportReport(defects=run.import_report["defects"]).table()
    return {
        "photos": photos,
        "objects": {split: counts[split].total() for split in SPLITS},
        "counts": counts,
        "by_class": run_charts.object_chart(counts, run.classes),
        "sizes": run_charts.object_size_chart({split: object_sides(truth) for split, truth in run.truths.items()}),
        "defects": defects,
        "notes": run.import_report["notes"],
        "unused_labels": run.import_report["unused_labels"],
        "augmented": augmented_photos(run, cfg),
    }


def augmented_photos(run: RunFiles, cfg: CfgNode) -> dict[str, Any]:
    """Some training photos as the model saw them in its first epoch: `pictures`, and the `album` that counted them."""
    album = Album(ROOM)
    register_datasets(run.folder, run.classes)
    photos = [photo for photo in DatasetCatalog.get(dataset_name("train")) if photo["annotations"]]
    photos = [photos[place] for place in evenly_spaced(len(photos), AUGMENTED)]
    try:
        mapper = CampusMapper(cfg, is_train=True)
    except CampusError as error:  # the pipeline's file is gone
        logger.warning(f"The report goes without augmented photos: {error}")
        album.unread = len(photos)
        return {"pictures": [], "album": album}
    colors, one_at_a_time = class_colors(len(run.classes)), threading.Lock()

    def draw(photo: dict[str, Any]) -> list[tuple[np.ndarray, str]]:
        with one_at_a_time:  # the mapper's random state is one
            mapped = mapper({**photo, "epoch": 0})
        said = f"A training photo as augmented, with {len(photo['annotations'])} objects"
        return [(draw_augmented(mapped, cfg.INPUT.FORMAT, run.classes, colors, SIDE), said)]

    shown = album.add(partial(draw, photo) for photo in photos)
    return {"pictures": [picture for pictures in shown for picture in pictures], "album": album}


def repeat_section(run: RunFiles, cfg: CfgNode) -> dict[str, Any]:
    """What it takes to repeat the run.

    A folder without a config.yaml holds no training: what was evaluated there is evaluated again.

    Returns:
        `export`, `trained` (whether there is a config.yaml), `weights`, `config`, what it may be `saved_as`,
        `versions` by package, `seed`, and the commands that do it `again` and that `evaluate` it.
    """
    versions = {"Python": platform.python_version()}
    for name in ("campus_seg", *DETECTRON2, *PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # Detectron2 under its other name
            continue
    export = run.import_report.get("export") or cfg.CAMPUS.EXPORT
    config_file = run.folder / CONFIG_FILE
    trained = config_file.is_file()
    again = ["python", "tools/train_net.py", "--config-file", f"{run.place}/{CONFIG_FILE}"]
    evaluate = [*again, "--eval-only"]
    again += ["CAMPUS.EXPORT", export, "OUTPUT_DIR", "output/again"]
    if not trained:
        evaluate[3] = SAVED_AS
        evaluate += ["MODEL.WEIGHTS", cfg.MODEL.WEIGHTS, "CAMPUS.EXPORT", export]
        again = [*evaluate, "OUTPUT_DIR", "output/again"]
        evaluate += ["OUTPUT_DIR", run.place]
    return {
        "export": export,
        "trained": trained,
        "weights": cfg.MODEL.WEIGHTS,
        "config": config_file.read_text(encoding="utf-8") if trained else cfg.dump(),
        "saved_as": SAVED_AS,
        "versions": versions,
        "seed": cfg.SEED,
        "again": shlex.join(again),
        "evaluate": shlex.join(evaluate),
    }
