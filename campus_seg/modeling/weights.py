"""What a model starts from: what of a weights file is taken over, by class name."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from campus_seg.errors import WeightsError
from campus_seg.modeling.checkpoint import CampusCheckpointer
from campus_seg.modeling.weights_file import read_checkpoint

logger = logging.getLogger(__name__)

COCO_CLASSES = [category["name"] for category in COCO_CATEGORIES if category["isthing"]]

# The layers whose outputs belong to classes: how many rows a class has, and how many follow for the background.
PREDICTORS = {
    "roi_heads.box_predictor.cls_score": (1, 1),
    "roi_heads.box_predictor.bbox_pred": (4, 0),
    "roi_heads.mask_head.predictor": (1, 0),
}


@dataclass
class Transfer:
    """What a model took over from a checkpoint.

    Attributes:
        taken: names of the parameters and buffers taken over whole.
        classes_taken: classes whose rows of the predictors were taken over.
        classes_new: classes whose rows start new.
        new: names of the parameters and buffers that start new whole.
        unnamed: those of them that the checkpoint has, too, without a word on the classes that they are for.
    """

    taken: list[str] = field(default_factory=list)
    classes_taken: list[str] = field(default_factory=list)
    classes_new: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    def log(self, source: str) -> None:
        """Says what was taken over from `source`, for which classes, what starts new, and where names are missing."""
        logger.info(f"Taken over from {source}: {_by_module(self.taken)}")
        logger.info(f"Classes taken over by name: {', '.join(self.classes_taken) or 'none'}")
        classes = ", ".join(self.classes_new) or "none"
        logger.info(f"Starting new: classes {classes}; parameters {_by_module(self.new)}")
        if self.unnamed:
            logger.warning(
                f"{source} does not say which classes it is for, so what belongs to classes starts new: "
                f"{', '.join(self.unnamed)}"
            )


def _by_module(names: Sequence[str]) -> str:
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{module} ({n})" for module, n in sorted(counts.items())) or "none"


def transfer(model: nn.Module, checkpoint: dict[str, Any], classes: Sequence[str]) -> Transfer:
    """Starts `model` from a checkpoint of other classes.

    Everything that does not depend on classes is taken over; of the predictors, the background's rows and those of
    the classes of the same name (upper and lower case alike). The rest keeps its fresh initialisation: what belongs to
    classes is never taken over by its place.

    Args:
        model: a Mask R-CNN for `classes`, changed in place.
        checkpoint: from `read_checkpoint`. Its classes are those under "classes"; without that, COCO's where its
            predictors have 80, else unknown.
        classes: names in the order of the model's outputs.
    """
    model = model.module if isinstance(model, DistributedDataParallel) else model
    state = model.state_dict()
    weights = {name: torch.as_tensor(value) for name, value in checkpoint["model"].items()}
    if all(name.startswith("module.") for name in weights):  # of a DistributedDataParallel
        weights = {name.removeprefix("module."): value for name, value in weights.items()}
    known = _classes_of(checkpoint, weights)
    index = {name.casefold(): i for i, name in enumerate(known)}
    pairs = [(i, index[name.casefold()]) for i, name in enumerate(classes) if name.casefold() in index]
    fresh, by_class, unnamed = {}, set(), []
    for layer, (rows, background) in PREDICTORS.items():
        for name in (f"{layer}.weight", f"{layer}.bias"):
            if name not in state or len(state[name]) != len(classes) * rows + background:
                continue  # class-agnostic, or of another design: taken over whole if it fits, else new
            fresh[name] = state[name].clone()
            given = weights.pop(name, None)
            if given is None:
                continue
            if not known:
                unnamed.append(name)
            elif given.shape == (len(known) * rows + background, *state[name].shape[1:]):
                weights[name] = _copy_rows(state[name], given, pairs, rows, background)
                by_class.add(name)
    if not by_class:
        pairs = []
    fitted = {**checkpoint, "model": weights}
    left = CampusCheckpointer(model).load_checkpoint(fitted)
    new = {*left.missing_keys, *(name for name, _, _ in left.incorrect_shapes), *(fresh.keys() - by_class)}
    for name in fresh.keys() - by_class:  # the zoo's matching by the ends of names may have found some for it
        state[name].copy_(fresh[name])
    taken_classes = {i for i, _ in pairs}
    return Transfer(
        taken=[name for name in state if name not in new and name not in by_class],
        classes_taken=[name for i, name in enumerate(classes) if i in taken_classes],
        classes_new=[name for i, name in enumerate(classes) if i not in taken_classes],
        new=[name for name in state if name in new],
        unnamed=unnamed,
    )


def _classes_of(checkpoint: dict[str, Any], weights: dict[str, Tensor]) -> list[str]:
    if checkpoint.get("classes"):
        return list(checkpoint["classes"])
    scores = weights.get("roi_heads.box_predictor.cls_score.bias")
    return COCO_CLASSES if scores is not None and len(scores) == len(COCO_CLASSES) + 1 else []


def _copy_rows(fresh: Tensor, given: Tensor, pairs: list[tuple[int, int]], rows: int, background: int) -> Tensor:
    """`fresh` with the rows of `given` for each (own class, given class) pair, and its last, the background's."""
    result = fresh.clone()
    for own, other in pairs:
        result[own * rows : (own + 1) * rows] = given[other * rows : (other + 1) * rows]
    if background:
        result[-background:] = given[-background:]
    return result


def load_weights(model: nn.Module, path: str, classes: Sequence[str]) -> None:
    """Loads a trained model to predict with: every parameter, for just these classes.

    Raises:
        WeightsError: the file cannot be read, is of another class list or of another model.
    """
    checkpoint = read_checkpoint(path)
    saved = list(checkpoint.get("classes") or classes)
    if saved != list(classes):
        raise WeightsError(
            f"{path}: trained for the classes {saved}, the config says {list(classes)}; "
            "use the config.yaml that lies beside these weights"
        )
    CampusCheckpointer(model).load_whole(checkpoint, path, "use the config.yaml that lies beside these weights")
