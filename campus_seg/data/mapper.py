"""From a Detectron2 dataset dict to what the model trains on: read, resize, augment, pack."""

import zlib
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks

from campus_seg.data.augmentations import Augmentation
from campus_seg.data.geometry import Rings, decode_rle, rasterise
from campus_seg.data.resize import check_input_keys, resize_photo, to_tensor
from campus_seg.errors import ExportError
from campus_seg.photos import PhotoError, read_photo
from campus_seg.storage import place


class CampusMapper:
    """A callable for `build_detection_train_loader` and `build_detection_test_loader`.

    1. Read the photo upright, as RGB.
    2. Resize it by `CAMPUS.INPUT_SIZE` and `CAMPUS.RESIZE`, the same in training and prediction.
    3. In training, bring the objects along and apply the albumentations pipeline to both in one call.
    4. Pack the photo as a tensor in `INPUT.FORMAT`, the objects as `Instances`.

    Objects stay polygons unless a photo holds an RLE mask, the pipeline cannot move outlines exactly, or
    `INPUT.MASK_FORMAT` is "bitmask"; then all objects of the photo are `BitMasks`.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentation: Augmentation | None,
        input_size: int,
        resize: str,
        image_format: str,
        mask_format: str,
        seed: int,
    ):
        """Called with a config or with explicit arguments.

        Args:
            is_train: whether to give "instances". True without an augmentation gives them as they are, for the
                loss on validation photos.
            augmentation: the pipeline, None for none.
            input_size: of what the model sees, in pixels.
            resize: "fit" or "stretch".
            image_format: colour order of the tensor, "BGR" or "RGB".
            mask_format: "polygon" or "bitmask".
            seed: of the run, not negative.

        Raises:
            ConfigError: a value that is none of these.
        """
        check_input_keys(input_size=input_size, resize=resize, image_format=image_format, mask_format=mask_format)
        self.is_train = is_train
        self.augmentation = augmentation
        self.input_size = input_size
        self.resize = resize
        self.image_format = image_format
        self.wants_masks = mask_format == "bitmask" or (augmentation is not None and augmentation.needs_masks)
        self.seed = seed

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        """Arguments of `__init__` for a config; validation and prediction are not augmented."""
        name = cfg.CAMPUS.AUGMENTATIONS
        return {
            "is_train": is_train,
            "augmentation": Augmentation.from_file(name) if is_train and name else None,
            "input_size": cfg.CAMPUS.INPUT_SIZE,
            "resize": cfg.CAMPUS.RESIZE,
            "image_format": cfg.INPUT.FORMAT,
            "mask_format": cfg.INPUT.MASK_FORMAT,
            "seed": max(0, cfg.SEED),
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """What Detectron2's loaders call, see `map_photo`."""
        return self.map_photo(dataset_dict)

    def map_photo(self, dataset_dict: dict) -> dict:
        """Maps one photo.

        Args:
            dataset_dict: in Detectron2's standard form, polygons absolute and continuous in the upright photo or COCO
                RLE; "epoch", "copy" (int, 0 where missing) and "image_id" (int or str) choose the random draw, so that
                neither the worker nor the order matters. Without "epoch", as in loaders that are not ours, numpy's
                random state does, or each epoch would bring the same. It is not changed.

        Returns:
            A copy without "annotations", and with "image" (3, h, w) uint8 in `INPUT.FORMAT`, "height" and "width" of
            the upright photo, and in training "instances" at the size of "image": gt_boxes (tight, XYXY_ABS),
            gt_classes (int64) and gt_masks. Crowds, and objects of which less than a pixel is left, are not among them.

        Raises:
            ExportError: the photo is not of the size the annotations are for, or an annotation has no outline.
            ConfigError: the augmentation cannot be applied.
        """
        # 1. Read. A shallow copy will do: no value of the dict is changed, only keys are.
        dataset_dict = dict(dataset_dict)
        annotations = dataset_dict.pop("annotations", [])
        image = _read(dataset_dict["file_name"])
        height, width = image.shape[:2]
        _check_size(dataset_dict, height, width)
        dataset_dict.update(height=height, width=width)

        # 2. Resize.
        image = resize_photo(image, self.input_size, self.resize)

        # 3. Augment.
        if self.is_train:
            annotations = [annotation for annotation in annotations if not annotation.get("iscrowd", 0)]
            segmentations = [annotation.get("segmentation") for annotation in annotations]
            _check_outlines(segmentations, dataset_dict["file_name"], height, width)
            seed, objects = self._draw_seed(dataset_dict), None
            if not self.wants_masks and not any(isinstance(segmentation, dict) for segmentation in segmentations):
                new_height, new_width = image.shape[:2]
                rings = Rings.from_polygons(segmentations).scaled(new_width / width, new_height / height)
                augmented, objects = self._augment(image, rings.cut(new_height, new_width), seed)
            if objects is None:
                masks = self._masks(segmentations, image.shape[:2], (height, width))
                augmented, objects = self._augment(image, masks, seed)
            image = augmented

        # 4. Pack.
        dataset_dict["image"] = to_tensor(image, "RGB", self.image_format)
        if self.is_train:
            classes = [annotation["category_id"] for annotation in annotations]
            dataset_dict["instances"] = _to_instances(objects, classes, image.shape[:2])
        return dataset_dict

    def _draw_seed(self, dataset_dict: dict) -> tuple[int, ...]:
        epoch = dataset_dict.get("epoch", 0)
        if self.augmentation and "epoch" not in dataset_dict:
            epoch = np.random.randint(2**31)
        seed = (self.seed, epoch, _number(dataset_dict.get("image_id", 0)))
        return (*seed, dataset_dict["copy"]) if dataset_dict.get("copy") else seed

    def _augment(self, image: np.ndarray, objects: Rings | np.ndarray, seed: tuple[int, ...]):
        if self.augmentation:
            return self.augmentation(image, objects, seed)
        return image, objects.without_specks() if isinstance(objects, Rings) else objects

    def _masks(self, segmentations: list, size: tuple[int, int], photo_size: tuple[int, int]) -> np.ndarray:
        """(N, h, w) uint8 masks, 0 or 1, at the size the model sees; `photo_size` is that of the photo, both (h, w)."""
        masks = np.zeros((len(segmentations), *size), dtype=np.uint8)
        scale = np.array(size[::-1]) / photo_size[::-1]
        for mask, segmentation in zip(masks, segmentations, strict=True):
            if isinstance(segmentation, dict):
                whole = decode_rle(segmentation) * np.uint8(255)
                mask[:] = resize_photo(whole, self.input_size, self.resize) > 127
            else:
                rings = [(np.reshape(ring, (-1, 2)) * scale).reshape(-1) for ring in segmentation]
                mask[:] = rasterise(rings, *size)
        return masks


def _read(file_name: str) -> np.ndarray:
    try:
        return read_photo(place(Path(), file_name), "RGB")
    except PhotoError as error:
        raise ExportError(f"{file_name}: {error}; replace the photo, or leave it out of the export") from None


def _check_size(dataset_dict: dict, height: int, width: int) -> None:
    expected = dataset_dict.get("height", height), dataset_dict.get("width", width)
    if expected != (height, width):
        raise ExportError(
            f"{dataset_dict['file_name']}: the photo is {width} x {height} pixels upright, its annotations are for "
            f"{expected[1]} x {expected[0]}; export again with this photo, or put back the one that was labelled"
        )


def _check_outlines(segmentations: list, file_name: str, height: int, width: int) -> None:
    for index, segmentation in enumerate(segmentations):
        if isinstance(segmentation, dict):
            fault = None if list(segmentation["size"]) == [height, width] else "a mask of another size"
        else:
            fault = None if segmentation and min(map(len, segmentation)) >= 6 else "no outline of three points or more"
        if fault:
            raise ExportError(f"{file_name}: annotation {index} has {fault}; check the export")


def _number(image_id: int | str) -> int:
    """A photo's id as a number that is not negative and the same in every process (unlike `hash`)."""
    return image_id if isinstance(image_id, int) and image_id >= 0 else zlib.crc32(str(image_id).encode())


def _to_instances(objects: Rings | np.ndarray, classes: list[int], size: tuple[int, int]) -> Instances:
    """What is left of the objects, at `size` (height, width), with the classes of those that are."""
    if isinstance(objects, Rings):
        kept, boxes, polygons = objects.objects()
        boxes, masks = Boxes(torch.from_numpy(boxes.astype(np.float32))), PolygonMasks(polygons)
    else:
        kept = np.flatnonzero(objects.any(axis=(1, 2)))
        masks = BitMasks(torch.from_numpy(np.ascontiguousarray(objects[kept], dtype=bool)))
        boxes = masks.get_bounding_boxes()
    instances = Instances(size)
    instances.gt_boxes = boxes
    instances.gt_classes = torch.tensor([classes[index] for index in kept.tolist()], dtype=torch.int64)
    instances.gt_masks = masks
    return instances
