"""The sides of the comparison in `predicting.py`, each set up in a process of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data.detection_utils import read_image
from detectron2.engine import DefaultPredictor
from detectron2.utils.visualizer import Visualizer
from torchvision.models.detection import maskrcnn_resnet50_fpn

from campus_seg.benchmarks.predicting import SAVE, Work
from campus_seg.config import load_config, use_run_weights
from campus_seg.errors import ConfigError
from campus_seg.inference.folder import mask_photos
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.outputs import PictureWriter
from campus_seg.inference.predictor import Predictor, checked_class_names
from campus_seg.inference.regions import FoundObject, Region
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.photos import read_photo

Mask = Callable[[Sequence[Path], Path], int]  # masks photos into a folder; the number of objects
Timed = Callable[[Sequence[Path], Path], tuple[float, int]]


def run_config(work: Work) -> CfgNode:
    """The run's config for a CPU side, and its compute threads."""
    torch.set_num_threads(work.threads)
    cfg = load_config(work.config_file, [*work.opts, "MODEL.DEVICE", "cpu"])
    use_run_weights(cfg, work.config_file, work.opts)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = work.threshold
    if cfg.CAMPUS.RESIZE != "fit":
        raise ConfigError(f'CAMPUS.RESIZE is "{cfg.CAMPUS.RESIZE}": the other sides know only fit')
    return cfg


def ours(work: Work, precision: str) -> tuple[str, Mask]:
    """This project, as tools/visualize.py does it."""
    cfg = run_config(work)
    cfg.CAMPUS.INFERENCE.PRECISION = precision
    predictor = Predictor(cfg)

    def mask(photos: Sequence[Path], output: Path) -> int:
        options = {"made_with": predictor.made_with, "overwrite": True}
        done = mask_photos(predictor, predictor.class_names, input_photos(photos), output, SAVE, **options)
        return sum(done.counts.objects.values())

    return f"campus_seg, {predictor.engine}", mask


def detectron2(work: Work) -> tuple[str, Mask]:
    """Detectron2's own loop: read_image, DefaultPredictor, Visualizer, imwrite."""
    cfg = run_config(work)
    names = checked_class_names(cfg)
    metadata = MetadataCatalog.get("campus_seg_benchmark").set(thing_classes=names)
    cfg.INPUT.MIN_SIZE_TEST = cfg.INPUT.MAX_SIZE_TEST = cfg.CAMPUS.INPUT_SIZE  # the longest side, as CAMPUS.RESIZE fit
    register_mini_backbone()
    predictor = DefaultPredictor(cfg)

    def mask(photos: Sequence[Path], output: Path) -> int:
        objects = 0
        for path in photos:
            image = read_image(str(path), format="BGR")
            instances = predictor(image)["instances"].to("cpu")
            picture = Visualizer(image[:, :, ::-1], metadata).draw_instance_predictions(instances)
            write(output, path, picture.get_image()[:, :, ::-1], instances.pred_masks.any(dim=0).numpy())
            objects += len(instances)
        return objects

    return "Detectron2: DefaultPredictor, Visualizer, imwrite", mask


def torchvision(work: Work) -> tuple[str, Mask]:
    """torchvision's model of the same design with random weights, read and drawn by this project, the faster way."""  # noqa: D403
    cfg = run_config(work)
    names, size = checked_class_names(cfg), cfg.CAMPUS.INPUT_SIZE
    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=len(names) + 1,
        min_size=size,
        max_size=size,
        box_score_thresh=work.threshold,
        box_detections_per_img=cfg.TEST.DETECTIONS_PER_IMAGE,
    ).eval()
    # All candidates are of one class, so that choosing among them takes no longer than with a trained model.
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias[2:] = -20

    def found(outputs: dict[str, torch.Tensor]) -> Iterator[FoundObject]:
        for label, score, probability in zip(outputs["labels"], outputs["scores"], outputs["masks"], strict=True):
            region = Region(0, 0, (probability[0] >= 0.5).numpy()).tight()
            if region.area:
                yield FoundObject(int(label) - 1, float(score), region)

    @torch.no_grad()
    def mask(photos: Sequence[Path], output: Path) -> int:
        writer = PictureWriter(output, names, SAVE)
        objects = 0
        for photo in input_photos(photos):
            image = read_photo(photo.path)
            planes = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))).float() / 255
            objects += len(writer.draw(photo, image, found(model([planes])[0]))["annotations"])
        return objects

    return "torchvision: maskrcnn_resnet50_fpn, read and drawn by campus_seg", mask


def input_photos(photos: Sequence[Path]) -> list[InputPhoto]:
    """Photos as `mask_photos` takes them."""
    return [InputPhoto(path, path.name, path.name) for path in photos]  # two may have one stem


def write(output: Path, path: Path, overlay: np.ndarray, union: np.ndarray) -> None:
    """Writes what this project writes, with OpenCV's defaults."""
    for name in SAVE:
        (output / name).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(output / "overlay" / f"{path.name}.jpg"), overlay)
    cv2.imwrite(str(output / "binary" / f"{path.name}.png"), union.astype(np.uint8) * 255)


def timed(set_up: Callable[[Work], tuple[str, Mask]]) -> Callable[[Work], tuple[str, Timed]]:
    """A side whose masking also tells the seconds from the first photo's reading to the last one's writing."""

    def set_up_timed(work: Work) -> tuple[str, Timed]:
        what, mask = set_up(work)

        def timed_mask(photos: Sequence[Path], output: Path) -> tuple[float, int]:
            began = time.perf_counter()
            objects = mask(photos, output)
            return time.perf_counter() - began, objects

        return what, timed_mask

    return set_up_timed


SIDES = {
    "ours": timed(lambda work: ours(work, "auto")),
    "ours_fp32": timed(lambda work: ours(work, "fp32")),
    "detectron2": timed(detectron2),
    "torchvision": timed(torchvision),
}
