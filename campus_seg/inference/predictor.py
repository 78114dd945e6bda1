"""A batch of photos to instances in the photos' own pixels."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Instances

from campus_seg.data.resize import check_input_keys, resize_photo, to_tensor
from campus_seg.errors import ConfigError
from campus_seg.inference.engines import GPU_BATCH, apply_engine, choose_engine, design_of
from campus_seg.inference.parts import release_memory
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights import load_weights
from campus_seg.modeling.weights_file import file_digest
from campus_seg.photos import LARGE, return_freed_memory


class Predictor:
    """A run's model, ready to predict; for one thread at a time.

    Args:
        cfg: a run's config with `MODEL.WEIGHTS` set; it is not changed.

    Raises:
        ConfigError: no class names, another number of them than the model has outputs, no mask branch, or a size
            or format that cannot be.
        WeightsError: the weights cannot be loaded.

    Attributes:
        class_names: in the order of `pred_classes`.
        engine: what computes the model.
        made_with: what results depend on, for `Journal`: names and short texts.
        batch: photos that are worth being given at once.
    """

    def __init__(self, cfg: CfgNode):
        self._cfg = cfg
        self.class_names = checked_class_names(cfg)
        if not cfg.MODEL.MASK_ON:
            raise ConfigError("MODEL.MASK_ON is False: masked photos need a model with a mask branch")
        if not cfg.MODEL.WEIGHTS:
            raise ConfigError(
                "MODEL.WEIGHTS is empty: give a finished run's config.yaml, or set it to the weights' file"
            )
        self.input_size = cfg.CAMPUS.INPUT_SIZE
        self.resize = cfg.CAMPUS.RESIZE
        self.image_format = cfg.INPUT.FORMAT
        check_input_keys(
            input_size=self.input_size,
            resize=self.resize,
            image_format=self.image_format,
            mask_format=cfg.INPUT.MASK_FORMAT,
        )
        engine = choose_engine(cfg)
        register_mini_backbone()
        self.model = build_model(cfg.clone()).eval()
        load_weights(self.model, cfg.MODEL.WEIGHTS, self.class_names)
        self.engine = apply_engine(self.model, engine, design_of(cfg))
        self.made_with = {
            "model": file_digest(cfg.MODEL.WEIGHTS),
            "engine": f"{self.engine.name} {self.engine.precision}",
            "input size": [self.input_size, self.resize, self.image_format],
            "model config": settings_digest(cfg),
        }
        self.batch = 1 if self.model.device.type == "cpu" else GPU_BATCH

    def made_with_above(self, least: float) -> dict[str, Any]:
        """What the results from a score of `least` on depend on: the same as of a model that keeps no others.

        What has a lower score takes nothing from them: of two boxes the lower one goes, as of too many objects.
        """
        cfg = self._cfg.clone()
        cfg.defrost()
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = least
        return {**self.made_with, "model config": settings_digest(cfg)}

    @torch.no_grad()
    def __call__(self, photos: Sequence[np.ndarray]) -> list[Instances]:
        """Finds the objects of some photos. Photos of one resized shape go through the model together.

        Args:
            photos: each (H, W, 3) uint8, BGR, upright.

        Returns:
            For each photo, on the CPU, N instances by falling score; `image_size` is the photo's (H, W):
            `pred_boxes` (XYXY in the photo's pixels), `scores` (N,), `pred_classes` (N,) from 0, and `pred_masks`
            (N, 1, 28, 28), the probability of "object" within the box; see `instance_region`.
        """
        groups: dict[tuple[int, int], list[int]] = {}
        inputs = []
        for i, photo in enumerate(photos):
            small = resize_photo(photo, self.input_size, self.resize)
            inputs.append(to_tensor(small, "BGR", self.image_format))
            groups.setdefault(tuple(inputs[i].shape[1:]), []).append(i)
        results: list[Instances | None] = [None] * len(photos)
        for indices in groups.values():
            raw = self.model.inference([{"image": inputs[i]} for i in indices], do_postprocess=False)
            for i, instances in zip(indices, raw, strict=True):
                results[i] = to_photo(instances.to("cpu"), *photos[i].shape[:2])
        if any(photo.nbytes > LARGE for photo in photos):  # drawing them takes enough
            release_memory(self.model)
            return_freed_memory()
        return results


def checked_class_names(cfg: CfgNode) -> list[str]:
    """The run's class names in the order of the model's outputs.

    Raises:
        ConfigError: there are none, two are the same, or the model has another number of outputs.
    """
    names = [str(name) for name in cfg.CAMPUS.CLASSES]
    outputs = cfg.MODEL.ROI_HEADS.NUM_CLASSES
    way_out = "use the config.yaml that the training wrote, or set CAMPUS.CLASSES and MODEL.ROI_HEADS.NUM_CLASSES"
    if not names:
        raise ConfigError(f"CAMPUS.CLASSES is empty: {way_out}")
    if len(set(names)) != len(names):
        raise ConfigError(f"CAMPUS.CLASSES names a class twice ({', '.join(names)}): {way_out}")
    if len(names) != outputs:
        raise ConfigError(
            f"CAMPUS.CLASSES has {len(names)} names ({', '.join(names)}) and the model has "
            f"MODEL.ROI_HEADS.NUM_CLASSES {outputs} outputs: {way_out}"
        )
    return names


def settings_digest(cfg: CfgNode) -> str:
    """A short hash of all keys that decide what a model finds, but for its weights and where it runs."""
    model = cfg.MODEL.clone()
    model.defrost()
    model.WEIGHTS = model.DEVICE = ""
    text = f"{model}{cfg.TEST.DETECTIONS_PER_IMAGE}{cfg.CAMPUS.MINI_BACKBONE}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_photo(instances: Instances, height: int, width: int) -> Instances:
    """Raw outputs in the pixels of the resized photo, moved to those of a photo of `height` x `width`.

    Detectron2's own postprocessing, but the masks stay 28 x 28: a hundred objects of a phone photo would
    otherwise fill a gigabyte at once. `instances` may be changed.
    """
    masks = instances.pred_masks
    instances.remove("pred_masks")
    instances.small_masks = masks  # not pasted under this name, but filtered like every field
    moved = detector_postprocess(instances, height, width)
    moved.pred_masks = moved.small_masks
    moved.remove("small_masks")
    return moved
