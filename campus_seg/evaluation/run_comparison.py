"""Runs side by side: on the photos that all were evaluated on, with one set of labels."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from campus_seg.config import CLASSES_FILE, CONFIG_FILE, SPLIT_FILE
from campus_seg.errors import EvaluationError, one_line
from campus_seg.evaluation.comparison import DRAWS, Difference, compare
from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.storage import is_uri

logger = logging.getLogger(__name__)

FEWER_DRAWS = 200  # for every page of a run


@dataclass(frozen=True)
class RunComparison:
    """How runs compare with one of them.

    Attributes:
        base: the run that the others are compared with.
        others: these.
        split: whose photos are shared.
        photos: how many are.
        classes: names of those that all runs know and of which the photos have an object.
        left_out: names of classes that not all runs know.
        draws: of the bootstrap.
        overall: of each other run, the difference of mask AP.
        by_class: likewise, class -> difference.
    """

    base: RunFiles
    others: list[RunFiles]
    split: str
    photos: int
    classes: list[str]
    left_out: list[str]
    draws: int
    overall: list[Difference]
    by_class: list[dict[str, Difference]]


def compare_runs(runs: Sequence[RunFiles], draws: int = DRAWS) -> RunComparison:
    """Compares runs with the first of them by mask AP.

    Photos are the same by their content, whatever they are called. What is in them is what the last run's labels say,
    which are mostly the newest.

    Args:
        runs: two or more.
        draws: of the bootstrap.

    Raises:
        EvaluationError: there is no photo with an object that all were evaluated on, no class that all know, or the
            files of a run are damaged or of a model without masks.
    """
    split = _shared_split(runs)
    identities = {run: run.identities(split) for run in runs}
    shared = set(identities[runs[-1]]).intersection(*identities.values())
    known = [name for name in runs[-1].classes if all(name in run.classes for run in runs)]
    if not shared or not known:
        what = "photos" if not shared else "classes"
        raise EvaluationError(
            f"{', '.join(run.place for run in runs)}: have no {what} in common on {split}; compare runs of one "
            "split (CAMPUS.SPLIT_FILE)"
        )
    numbers = {identity: number for number, identity in enumerate(sorted(shared), start=1)}
    class_ids = {name: number for number, name in enumerate(known, start=1)}
    truth = runs[-1].truths[split]
    images, annotations = _renumbered(runs[-1], identities[runs[-1]], numbers, class_ids, truth, truth["annotations"])
    together = {"images": images, "annotations": annotations, "categories": []}
    together["categories"] = [{"id": number, "name": name} for name, number in class_ids.items()]
    matches = []
    for run in runs:
        results = run.results(split)
        _, found = _renumbered(run, identities[run], numbers, class_ids, run.truths[split], results)
        matches.append(match_photos(together, found))
    differences = [compare(matches[0], other, draws) for other in matches[1:]]
    by_class = [{known[number - 1]: each for number, each in of_class.items()} for _, of_class in differences]
    everyone = {name for run in runs for name in run.classes}
    return RunComparison(
        base=runs[0],
        others=list(runs[1:]),
        split=split,
        photos=len(shared),
        classes=list(by_class[0]),
        left_out=sorted(everyone - set(known)),
        draws=draws,
        overall=[overall for overall, _ in differences],
        by_class=by_class,
    )


def _shared_split(runs: Sequence[RunFiles]) -> str:
    for split in runs[-1].evaluated:
        if all(split in run.evaluated for run in runs):
            return split
    told = "; ".join(f"{run.place}: {', '.join(run.evaluated) or 'nothing'}" for run in runs)
    raise EvaluationError(
        f"no split is evaluated in all of these runs ({told}); evaluate them with train_net.py --eval-only"
    )


def _renumbered(
    run: RunFiles,
    identities: Sequence[str],
    numbers: Mapping[str, int],
    class_ids: Mapping[str, int],
    truth: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The shared photos, and what entries say of them, with ids that all runs agree on."""
    of_photo = {
        image["id"]: numbers[identity]
        for image, identity in zip(truth["images"], identities, strict=True)
        if identity in numbers
    }
    of_class = {number: class_ids.get(name) for number, name in enumerate(run.classes, start=1)}
    images = [{**image, "id": of_photo[image["id"]]} for image in truth["images"] if image["id"] in of_photo]
    kept = [
        {**entry, "image_id": of_photo[entry["image_id"]], "category_id": of_class[entry["category_id"]]}
        for entry in entries
        if entry["image_id"] in of_photo and of_class[entry["category_id"]]
    ]
    return images, kept


def against_run_before(run: RunFiles) -> RunComparison | None:
    """How a run compares with the one whose split it has taken over, else with the newest older one beside it.

    Only one that was evaluated on some of the same photos counts; None where there is none.
    """
    split_from = _split_from(run.folder)
    candidates = [*([split_from.resolve()] if split_from else []), *_older_beside(run.folder)]
    for folder in dict.fromkeys(candidates):
        try:
            return compare_runs([RunFiles(folder), run], FEWER_DRAWS)
        except EvaluationError as error:  # of other photos, of an earlier version, without masks, or damaged
            logger.info(f"Not compared with {folder}: {one_line(str(error))}")
    return None


def _split_from(folder: Path) -> Path | None:
    """The folder of the run named by CAMPUS.SPLIT_FILE, as the run's config.yaml has it; None of a URI."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        return None
    named = (yaml.safe_load(path.read_text(encoding="utf-8")).get("CAMPUS") or {}).get("SPLIT_FILE") or ""
    if not named or is_uri(named):
        return None
    before = Path(named).parent
    return before if before.resolve() != folder.resolve() else None


def _older_beside(folder: Path) -> list[Path]:
    """The folders of other runs beside one, older than it, the newest first."""
    own = (folder / CLASSES_FILE).stat().st_mtime
    beside = [path for path in folder.resolve().parent.glob(f"*/{CLASSES_FILE}") if path.parent != folder.resolve()]
    older = [(path.stat().st_mtime, path.parent) for path in beside if (path.parent / SPLIT_FILE).is_file()]
    return [path for time, path in sorted(older, reverse=True) if time < own]
