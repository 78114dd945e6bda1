"""Predictions from a file, so that a model need not run again to be evaluated."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import msgspec

from campus_seg.errors import EvaluationError
from campus_seg.evaluation.matching import check_ids
from campus_seg.label_studio.masks import checked_rle
from campus_seg.label_studio.raw import NO_JSON

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
    width: NotRequired[int]
    height: NotRequired[int]


class _Category(TypedDict):
    id: int
    name: str


class _Masked(TypedDict):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Result]


def read_predictions(path: Path, truth: Mapping[str, Any], *, check_masks: bool = True) -> list[dict[str, Any]]:
    """Reads COCO results, or a predictions.json, in which photos and classes are known by their names.

    What a predictions.json has of photos that `truth` does not have is left out, since whole folders are masked.

    Args:
        path: the file.
        truth: a COCO file's `images`, `annotations` and `categories`.
        check_masks: whether each RLE is gone through, which takes a second for 5,000; those of our own evaluator
            need it not.

    Returns:
        COCO results with the ids of `truth`, each with a box, a score and a mask of its photo's size.

    Raises:
        EvaluationError: the file cannot be used: it is something else, lacks a photo or class, or a mask is damaged.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[_Result] | _Masked)
        if isinstance(found, dict):
            found = _with_ids_of(found, truth)
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


def _with_ids_of(masked: _Masked, truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a predictions.json with the ids that their photos and classes have in `truth`."""
    photos = {Path(image["file_name"]).name: image["id"] for image in masked["images"]}
    image_ids, category_ids = {}, {}
    for image in truth["images"]:
        name = Path(image["file_name"]).name
        if name not in photos:
            raise EvaluationError(f"lacks the photo {name}; mask it too, from the run's import/images")
        image_ids[photos[name]] = image["id"]
    names = {category["name"]: category["id"] for category in truth["categories"]}
    for category in masked["categories"]:
        if category["name"] not in names:
            raise EvaluationError(f"has a class {category['name']}; the ground truth knows {', '.join(names)}")
        category_ids[category["id"]] = names[category["name"]]
    return [
        {
            **annotation,
            "image_id": image_ids[annotation["image_id"]],
            "category_id": category_ids.get(annotation["category_id"], annotation["category_id"]),
        }
        for annotation in masked["annotations"]
        if annotation["image_id"] in image_ids
    ]


def _checked(result: dict[str, Any], sizes: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    if not math.isfinite(result["score"]) or len(result["bbox"]) != 4:
        raise EvaluationError(f"a prediction for image_id {result['image_id']} has no score or no box; predict again")
    try:
        return {**result, "segmentation": checked_rle(result["segmentation"], *sizes[result["image_id"]])}
    except ValueError as error:
        raise EvaluationError(
            f"a prediction for image_id {result['image_id']} cannot be used: {error}; predict again on the run's photos"
        ) from None
