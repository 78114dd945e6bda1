"""Predictions from a file, so that a model need not run again to be evaluated."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.matching import check_ids
from campus_seg.label_studio.masks import checked_rle
from campus_seg.label_studio.raw import NO_JSON
from campus_seg.storage import place

logger = logging.getLogger(__name__)

WHAT = "coco_instances_results.json of an evaluation or predictions.json of visualize.py"


class _Rle(TypedDict):
    size: list[int]
    counts: str


class _Result(TypedDict):
    image_id: int
    category_id: int
    bbox: list[float]
    score: float
    segmentation: _Rle


class _Image(TypedDict):
    id: int
    file_name: str


class _Category(TypedDict):
    id: int
    name: str


class _Masked(TypedDict):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Result]


def read_predictions(
    path: Path, truth: Mapping[str, Any], photo_folder: Path = Path(), *, check_masks: bool = True
) -> list[dict[str, Any]]:
    """Reads COCO results, or a predictions.json, in which photos and classes are known by their names.

    A photo is that whose path agrees with its own from the end for longest, since either may begin at any folder. What
    a predictions.json has of photos that `truth` does not have is left out, since whole folders are masked.

    Args:
        path: the file.
        truth: a COCO file's `images`, `annotations` and `categories`.
        photo_folder: that the file names of `truth` are relative to.
        check_masks: whether each RLE is gone through, which takes a second for 5,000; those of our own evaluator
            need it not.

    Returns:
        COCO results with the ids of `truth`, each with a box, a score of 0 … 1 and a mask of its photo's size.

    Raises:
        EvaluationError: the file cannot be used: it is something else, lacks a photo or does not tell two apart, has a
            class or an id that nothing explains, or a prediction is damaged.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[_Result] | _Masked)
        if isinstance(found, dict):
            found = _with_ids_of(found, truth, photo_folder)
        check_ids(truth, found)
        if not check_masks:
            return found
        sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
        return [_checked(result, sizes) for result in found]
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}); give a {WHAT}") from None
    except NO_JSON as error:
        raise EvaluationError(f"{path}: no predictions ({error}); give a {WHAT}") from None
    except EvaluationError as error:
        raise EvaluationError(f"{path}: {error}") from None


def _with_ids_of(masked: _Masked, truth: Mapping[str, Any], photo_folder: Path) -> list[dict[str, Any]]:
    """The annotations of a predictions.json with the ids that their photos and classes have in `truth`."""
    image_ids = _photo_ids(masked["images"], truth["images"], photo_folder)
    names = {category["name"]: category["id"] for category in truth["categories"]}
    category_ids = {}
    for category in masked["categories"]:
        if category["name"] not in names:
            raise EvaluationError(f"has a class {category['name']}; the ground truth knows {', '.join(names)}")
        category_ids[category["id"]] = names[category["name"]]
    check_ids(masked, masked["annotations"], "the file itself")
    found = [
        {
            **annotation,
            "image_id": image_ids[annotation["image_id"]],
            "category_id": category_ids[annotation["category_id"]],
        }
        for annotation in masked["annotations"]
        if annotation["image_id"] in image_ids
    ]
    if left_out := len(masked["annotations"]) - len(found):
        logger.info(f"{left_out} of {len(masked['annotations'])} predictions are of other photos and left out")
    return found


def _photo_ids(images: Sequence[_Image], known: Sequence[Mapping[str, Any]], photo_folder: Path) -> dict[int, int]:
    """Id in the file -> id in the ground truth, of each photo of the latter."""
    found, wanted = defaultdict(list), defaultdict(list)
    for entries, by_name in ((images, found), (known, wanted)):
        for image in entries:
            by_name[Path(image["file_name"]).name].append(image)
    ids = {}
    for image in known:
        name, path = Path(image["file_name"]).name, place(photo_folder, image["file_name"])
        nearest = _nearest(image, found[name])
        back = _nearest(nearest[0], wanted[name]) if nearest else []
        if image not in back:
            raise EvaluationError(f"lacks the photo {path}; mask it too")
        if len(nearest) > 1 or len(back) > 1:
            raise EvaluationError(
                f"does not say which {name} is the photo {path}, since {max(len(nearest), len(back))} are called so; "
                "mask a folder that all of them lie below"
            )
        ids[nearest[0]["id"]] = image["id"]
    return ids


def _nearest(image: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those whose paths have most folders in common with an image's, counted from the end."""
    parts = Path(image["file_name"]).parts[::-1]
    common = []
    for other in others:
        pairs = zip(parts, Path(other["file_name"]).parts[::-1], strict=False)
        common.append(sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return [other for other, count in zip(others, common, strict=True) if count == max(common)]


def _checked(result: dict[str, Any], sizes: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    if not 0 <= result["score"] <= 1 or len(result["bbox"]) != 4:
        raise EvaluationError(
            f"a prediction for image_id {result['image_id']} has no score of 0 … 1, or no box; predict again"
        )
    try:
        return {**result, "segmentation": checked_rle(result["segmentation"], *sizes[result["image_id"]])}
    except ValueError as error:
        raise EvaluationError(
            f"a prediction for image_id {result['image_id']} cannot be used: {error}; predict again on the run's photos"
        ) from None
