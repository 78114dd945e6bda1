"""The albumentations pipeline: read from YAML, and applied to a photo and its objects in one call.

This is the only module that imports albumentations.

Outlines travel as keypoints, which costs next to nothing, where every transform of the pipeline moves straight lines
to straight lines and says exactly where. albumentations has two conventions for that, neither of them written down:
what warps the pixel grid (flips, rotations, perspective) takes a point for the *centre of a pixel* (a flip gives
width - 1 - x), what resizes, crops or pads takes it as *continuous* (x * scale). Ours are continuous, so the former
see them half a pixel up and left. A third kind computes a scale, rounds the size of the image, and moves points by
the unrounded scale. All of this was read in albumentations 2.0.8 and is measured by
tests/data/test_augmented_places.py on what really happens to the pixels.

Where a pipeline holds anything else (elastic, grid and optical distortion, a transform that a user registered), every
object becomes a mask, which albumentations then treats like the photo itself.
"""

import os
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml

from campus_seg.config import find_config_file
from campus_seg.data.geometry import Rings, boxes_inside
from campus_seg.errors import ConfigError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks the network for a newer version, at import

import albumentations as A  # noqa: E402
from albumentations.core.serialization import SERIALIZABLE_REGISTRY, shorten_class_name  # noqa: E402

PIXEL_CENTRED = {
    *("HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry", "RandomRotate90"),
    *("Rotate", "SafeRotate", "Affine", "ShiftScaleRotate", "Perspective"),
}
CONTINUOUS = {
    *("Crop", "CenterCrop", "RandomCrop", "RandomCropFromBorders", "RandomSizedCrop", "RandomResizedCrop"),
    *("BBoxSafeRandomCrop", "RandomSizedBBoxSafeCrop", "AtLeastOneBBoxRandomCrop"),
    *("CropAndPad", "Pad", "PadIfNeeded", "Resize", "NoOp"),
}
ROUNDED_SCALE = {"LongestMaxSize", "SmallestMaxSize", "RandomScale"}
# These hide parts of the photo and leave objects as they are, unless told to hide them too.
HIDING = {"CoarseDropout", "Erasing", "GridDropout", "XYMasking", "PixelDropout"}
READ_BOXES = {"BBoxSafeRandomCrop", "RandomSizedBBoxSafeCrop", "AtLeastOneBBoxRandomCrop"}

REFUSED = {
    "Normalize": "Detectron2 normalises with MODEL.PIXEL_MEAN and MODEL.PIXEL_STD",
    "ToFloat": "the model takes photos as uint8",
    "FromFloat": "the model takes photos as uint8",
    "ToTensorV2": "the mapper makes the tensor",
    "ToTensor3D": "the mapper makes the tensor",
}
# Advice that albumentations gives as a warning; all its other warnings mean that an argument was not understood.
ADVICE = ("ShiftScaleRotate is a special case", "This augmenter is very slow")


class _BehindTheCameraError(Exception):
    """A perspective puts a vertex behind the camera: only pixels tell where the object went."""


class Augmentation:
    """An albumentations pipeline for photos with objects.

    Attributes:
        name: file that the pipeline came from, for messages.
        needs_masks: the pipeline cannot move outlines exactly, objects must be given as masks.
    """

    def __init__(self, pipeline: A.BasicTransform | A.BaseCompose, name: str = "augmentations"):
        """Inspects a pipeline and takes it over.

        Args:
            pipeline: as made in Python or by `albumentations.from_dict`, without bbox or keypoint parameters.
            name: file that the pipeline came from, for messages.

        Raises:
            ConfigError: a transform that has no place here.
        """
        self.name = name
        whole = type(pipeline) is A.Compose
        leaves = list(_leaves(pipeline, name))
        for leaf in leaves:
            _check_leaf(leaf, name)
        moving = [leaf for leaf in leaves if not isinstance(leaf, A.ImageOnlyTransform)]
        self.needs_masks = not all(_follows_points(leaf) for leaf in moving)
        self._moves = bool(moving)
        self._reads_boxes = any(type(leaf).__name__ in READ_BOXES for leaf in moving)
        for leaf in moving:
            _set_convention(leaf)
        self._compose = A.Compose(
            pipeline.transforms if whole else [pipeline],
            p=pipeline.p if whole else 1.0,
            keypoint_params=A.KeypointParams(format="xy", remove_invisible=False, check_each_transform=False)
            if moving and not self.needs_masks
            else None,
            bbox_params=A.BboxParams(format="pascal_voc", clip=True) if self._reads_boxes else None,
            # Masks are 0 or 255 and cut at the middle: finer edges than "nearest", which shifts them by up to
            # half a pixel when it resizes.
            mask_interpolation=cv2.INTER_LINEAR,
        )

    @classmethod
    def from_file(cls, name: str) -> "Augmentation":
        """Reads a pipeline in YAML, the form that `albumentations.to_dict` gives.

        Args:
            name: a path, or the name of a file in configs/augmentations.

        Raises:
            ConfigError: there is no such file, it is no pipeline, or a transform or argument cannot be used.
        """
        path = find_config_file(name, "augmentations")
        return cls(_read_pipeline(path), str(path))

    def __call__(
        self, image: np.ndarray, objects: Rings | np.ndarray, seed: Sequence[int]
    ) -> tuple[np.ndarray, Rings | np.ndarray | None]:
        """Applies the pipeline to a photo and its objects; the same seed gives the same bytes.

        Args:
            image: (H, W, 3) uint8, RGB.
            objects: outlines as `Rings` in continuous pixels of `image`, or masks as (N, H, W) uint8, 0 or 1.
            seed: non-negative numbers, for example (run seed, epoch, photo).

        Returns:
            The photo, (h, w, 3) uint8 RGB; and the objects in the same form as given. Rings are cut at the edges of
            the new photo, and owners with nothing left have no rings; masks of objects with nothing left are zero.
            None instead of rings if these parameters can only be followed with masks: call again with masks.

        Raises:
            ConfigError: a transform failed on this photo or does not give an RGB photo.
        """
        # albumentations' own set_random_seed gives every transform a generator of its own with the *same* seed: a
        # horizontal and a vertical flip would then always agree. One generator for all draws independently.
        sequence = np.random.SeedSequence(seed)
        self._compose.set_random_state(
            np.random.Generator(np.random.PCG64(sequence)),
            random.Random(int.from_bytes(sequence.generate_state(4).tobytes(), "little")),
        )
        masks = isinstance(objects, np.ndarray)
        data = {"image": image}
        if self._moves and masks:
            # Where a transform looks at the masks, a photo without objects shows it an empty one.
            data["masks"] = objects * np.uint8(255) if len(objects) else np.zeros((1, *image.shape[:2]), np.uint8)
        elif self._moves and len(objects):
            data["keypoints"] = objects.points.astype(np.float32)
        if self._reads_boxes:
            data["bboxes"] = boxes_inside(objects, *image.shape[:2])
        try:
            data = self._compose(**data)
        except _BehindTheCameraError:
            return image, None
        except Exception as error:  # whatever a transform raises, the user must learn which file asked for it
            size = "{} x {}".format(*image.shape[1::-1])
            raise ConfigError(f"{self.name}: fails on a photo of {size} pixels ({_one_line(error)})") from error
        result = data["image"]
        if result.dtype != np.uint8 or result.ndim != 3 or result.shape[2] != 3:
            raise ConfigError(f"{self.name}: gives {result.dtype} {result.shape}, an RGB photo in uint8 is wanted")
        if masks:
            return result, data["masks"][: len(objects)] > 127 if self._moves else objects.astype(bool)
        points = data["keypoints"].astype(np.float64) if "keypoints" in data else objects.points
        if len(points) != len(objects.points):
            raise ConfigError(f"{self.name}: a transform changes the number of points; register it as one for masks")
        return result, Rings(points, objects.starts, objects.owners).cut(*result.shape[:2]).without_specks()


def _read_pipeline(path: Path) -> A.BasicTransform | A.BaseCompose:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable as YAML ({_one_line(error)})") from None
    if not isinstance(content, dict) or not isinstance(content.get("transform"), dict):
        raise ConfigError(f'{path}: no pipeline; its top is "transform:", as in configs/augmentations/campus.yaml')
    _check_names(content["transform"], path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pipeline = A.from_dict(content)
        except Exception as error:  # constructors raise whatever they like for a bad argument
            raise ConfigError(f"{path}: albumentations refuses it ({_one_line(error)})") from None
    for warning in caught:
        if issubclass(warning.category, UserWarning) and not str(warning.message).startswith(ADVICE):
            raise ConfigError(f"{path}: albumentations warns: {_one_line(warning.message)}")
    return pipeline


def _check_names(node: dict, path: Path) -> None:
    """Raises a ConfigError unless every class named in a pipeline's dict is a known transform."""
    name = node.get("__class_fullname__") if isinstance(node, dict) else None
    known = SERIALIZABLE_REGISTRY.get(shorten_class_name(name)) if isinstance(name, str) else None
    if isinstance(name, str) and name.rpartition(".")[2] in REFUSED:
        name = name.rpartition(".")[2]
        raise ConfigError(f"{path}: {name} has no place here, {REFUSED[name]}; leave it out")
    if known is None or not issubclass(known, A.BasicTransform | A.BaseCompose):
        raise ConfigError(
            f"{path}: {node if name is None else name} is no transform of albumentations {A.__version__}; "
            "give __class_fullname__, for example HorizontalFlip"
        )
    for key in ("bbox_params", "keypoint_params", "additional_targets"):
        if node.get(key):
            raise ConfigError(f"{path}: {key} has no place here, the mapper sets its own; leave it out")
    if "p" not in node and name.rpartition(".")[2] not in ("Compose", "Sequential"):
        raise ConfigError(f"{path}: {name} has no p; say how often it is used, 0 to 1")
    for child in node.get("transforms") or []:
        _check_names(child, path)


def _leaves(node: A.BasicTransform | A.BaseCompose, name: str) -> Iterator[A.BasicTransform]:
    if isinstance(node, A.BaseCompose):
        for child in node.transforms:
            for leaf in _leaves(child, name):
                if isinstance(node, A.SelectiveChannelTransform) and not isinstance(leaf, A.ImageOnlyTransform):
                    raise ConfigError(f"{name}: {type(leaf).__name__} would move some channels and not the objects")
                yield leaf
    else:
        yield node


def _check_leaf(leaf: A.BasicTransform, name: str) -> None:
    kind = type(leaf).__name__
    if kind in REFUSED:
        raise ConfigError(f"{name}: {kind} has no place here, {REFUSED[kind]}; leave it out")
    if not isinstance(leaf, A.ImageOnlyTransform | A.DualTransform) or isinstance(leaf, A.Transform3D):
        raise ConfigError(f"{name}: {kind} is not for photos; leave it out")
    if leaf.invalid_args:
        raise ConfigError(f"{name}: {kind} has no argument {', '.join(leaf.invalid_args)}")
    missing = set(leaf.targets_as_params) - {"image", "masks", "bboxes"}
    if missing:
        raise ConfigError(f"{name}: {kind} wants {', '.join(sorted(missing))} with every photo; leave it out")
    if kind not in HIDING and np.any(getattr(leaf, "fill_mask", None)):
        raise ConfigError(f"{name}: {kind} with fill_mask would make every object fill the border; leave fill_mask out")


def _follows_points(leaf: A.BasicTransform) -> bool:
    """Whether a transform moves straight lines to straight lines, at places that are known exactly."""
    kind = type(leaf).__name__
    if getattr(A, kind, None) is not type(leaf):
        return False  # a user's own, whatever its name
    if kind in HIDING:
        return getattr(leaf, "fill_mask", None) is None and getattr(leaf, "mask_drop_value", None) is None
    # Any border but a constant one shows pieces of objects once more, mirrored, repeated or smeared.
    constant = getattr(leaf, "border_mode", cv2.BORDER_CONSTANT) == cv2.BORDER_CONSTANT
    return constant and kind in PIXEL_CENTRED | CONTINUOUS | ROUNDED_SCALE


def _set_convention(leaf: A.BasicTransform) -> None:
    """Makes a transform take keypoints as continuous points."""
    kind = type(leaf).__name__
    if not _follows_points(leaf) or kind in CONTINUOUS:
        return
    if kind in HIDING:
        leaf.apply_to_keypoints = _unmoved
    else:
        leaf.apply_to_keypoints = _Convention(leaf)
    leaf._set_keys()  # albumentations looks methods up once


def _unmoved(points: np.ndarray, **params) -> np.ndarray:
    return points


class _Convention:
    """`apply_to_keypoints` of one transform, for continuous points. (P, 2 and more) float32 to the same."""

    def __init__(self, leaf: A.BasicTransform):
        self.leaf = leaf

    def __call__(self, points: np.ndarray, **params) -> np.ndarray:
        leaf, points = self.leaf, points.copy()
        if type(leaf).__name__ in ROUNDED_SCALE:
            size = np.array(params["shape"][1::-1])
            scaled = size * params["scale"]
            new_size = scaled.astype(int) if isinstance(leaf, A.RandomScale) else np.maximum(1, np.round(scaled))
            points[:, :2] *= new_size / size
            return points
        points[:, :2] -= 0.5
        if isinstance(leaf, A.Perspective):
            matrix = params["matrix"]
            # w, by which the homography divides, relative to the photo's first pixel, which is in view.
            if (points[:, :2] @ (matrix[2, :2] / matrix[2, 2]) + 1).min() < 0.01:
                raise _BehindTheCameraError
        points = type(leaf).apply_to_keypoints(leaf, points, **params)
        points[:, :2] += 0.5
        return points


def _one_line(error: object) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" For further information")[0]
