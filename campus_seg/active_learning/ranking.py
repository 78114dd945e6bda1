"""The unlabelled photos of a project in the order in which they are best labelled, as a table."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from campus_seg.active_learning.observer import Observer
from campus_seg.active_learning.order import Place, order_photos
from campus_seg.active_learning.uncertainty import Look
from campus_seg.atomic_writes import replacing
from campus_seg.inference.summary import harmless_path, harmless_text
from campus_seg.label_studio.tasks import TaskPhoto, Tasks
from campus_seg.photos import PhotoError

HEADER = ("place", "task", "photo", "score", "objects", "class_bits", "mask_bits", "distance", "found")
LEAST_FOUND = 0.1  # objects of a class that are worth a word


@dataclass(frozen=True)
class RankedTask:
    """An unlabelled task with its place.

    Attributes:
        task: the task.
        place: its place in the order.
        look: what the model makes of its photo.
        score: 0 … 1, 0 for the first: Label Studio's uncertainty sampling gives out the task of the lowest score.
    """

    task: TaskPhoto
    place: Place
    look: Look
    score: float


@dataclass
class Ranking:
    """What became of an export's tasks.

    Attributes:
        tasks: the unlabelled ones, in the order in which they are best labelled.
        failures: photo -> why it could not be read, of labelled and unlabelled tasks.
    """

    tasks: list[RankedTask]
    failures: dict[Path, str] = field(default_factory=dict)


def rank_tasks(observer: Observer, class_names: Sequence[str], tasks: Tasks, limit: int) -> Ranking:
    """Looks at all photos and orders the unlabelled ones.

    Args:
        observer: of the model that is to learn from them.
        class_names: of that model; labels of others do not count.
        tasks: from `read_tasks`.
        limit: places that are given one at a time, see `order_photos`.
    """
    labels = Counter(label for task in tasks.labelled for label in task.labels)
    failures, looks = {}, {}
    paths = list(dict.fromkeys(task.path for task in (*tasks.labelled, *tasks.unlabelled) if task.path))
    for path, look in tqdm(observer.look_at(paths), desc="looking", unit="photo", total=len(paths), disable=None):
        if isinstance(look, PhotoError):
            failures[path] = str(look)
        else:
            looks[path] = look
    known = [looks[task.path].feature for task in tasks.labelled if task.path in looks]
    waiting = [task for task in tasks.unlabelled if task.path in looks]
    if not waiting:
        return Ranking([], failures)
    labelled = np.array([labels[name] for name in class_names])
    places = order_photos([looks[task.path] for task in waiting], known, labelled, limit)
    ranked = [
        RankedTask(waiting[place.index], place, looks[waiting[place.index].path], round(number / len(places), 6))
        for number, place in enumerate(places)
    ]
    return Ranking(ranked, failures)


def write_ranking(path: Path, ranked: Sequence[RankedTask], class_names: Sequence[str]) -> None:
    """Writes a row for each task as UTF-8 CSV, the first to be labelled first.

    Args:
        path: of the file.
        ranked: from `rank_tasks`.
        class_names: of the model.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")  # as summary.csv
        writer.writerow(HEADER)
        for number, each in enumerate(ranked, start=1):
            look = each.look
            bits = (round(float(values.sum()), 3) for values in (look.found, look.class_bits, look.mask_bits))
            row = (number, each.task.id, harmless_path(str(each.task.path)), each.score, *bits)
            writer.writerow((*row, round(each.place.distance, 4), harmless_text(_found(look, class_names))))


def _found(look: Look, class_names: Sequence[str]) -> str:
    """The objects that are expected, in words: "car 2.0, person 0.4"."""
    order = np.argsort(-look.found, kind="stable").tolist()
    return ", ".join(f"{class_names[i]} {look.found[i]:.1f}" for i in order if look.found[i] >= LEAST_FOUND)
