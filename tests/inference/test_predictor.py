"""Sizes, batches and bad configs, on a small model with random weights; its answers are in test_engines.py."""

import numpy as np
import pytest
import torch
from detectron2.layers import paste_masks_in_image
from detectron2.modeling import build_model
from drawn import SMALL_MODEL

from campus_seg.config import load_config
from campus_seg.data.resize import resize_photo
from campus_seg.errors import ConfigError, WeightsError
from campus_seg.inference.paste import found_objects, instance_region
from campus_seg.inference.predictor import Predictor
from campus_seg.modeling.mini_backbone import register_mini_backbone

CLASSES = ["bench", "car", "dog"]
SMALL = [*SMALL_MODEL, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.2", "TEST.DETECTIONS_PER_IMAGE", "20"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    """Config of a model of 3 classes whose random weights lie on the disk."""
    cfg = load_config("mask_rcnn_mini_FPN.yaml", SMALL)
    cfg.CAMPUS.CLASSES = CLASSES
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    cfg.MODEL.WEIGHTS = str(tmp_path_factory.mktemp("run") / "model_final.pth")
    register_mini_backbone()
    torch.manual_seed(0)
    model = build_model(cfg)
    for layer in (model.roi_heads.box_predictor.bbox_pred, model.roi_heads.mask_head.predictor):
        torch.nn.init.normal_(layer.weight, std=0.3)  # boxes that differ from the proposals, masks with edges
    torch.save({"model": model.state_dict()}, cfg.MODEL.WEIGHTS)
    return cfg


def photo(height, width, seed=0):
    """A noisy photo, (height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def postprocessed(predictor, image, cfg):
    """What Detectron2's DefaultPredictor does after its resize, with the same parts of the model."""
    small = resize_photo(image, cfg.CAMPUS.INPUT_SIZE, cfg.CAMPUS.RESIZE)
    if cfg.INPUT.FORMAT == "RGB":
        small = small[:, :, ::-1]
    tensor = torch.as_tensor(small.astype("float32").transpose(2, 0, 1))
    with torch.no_grad():
        entry = {"image": tensor, "height": image.shape[0], "width": image.shape[1]}
        return predictor.model([entry])[0]["instances"]


@pytest.mark.parametrize("input_format", ["BGR", "RGB"])
@pytest.mark.parametrize("resize", ["fit", "stretch"])
@pytest.mark.parametrize("shape", [(120, 200), (331, 97), (40, 50)])
def test_boxes_and_masks_come_into_the_photo_as_detectron2_brings_them(cfg, shape, resize, input_format):
    cfg = cfg.clone()
    cfg.CAMPUS.RESIZE = resize
    cfg.INPUT.FORMAT = input_format
    predictor = Predictor(cfg)
    image = photo(*shape)
    wanted = postprocessed(predictor, image, cfg)
    found = predictor([image])[0]
    assert len(found) == len(wanted) > 3
    assert found.image_size == shape
    assert found.pred_masks.shape == (len(found), 1, 28, 28)
    assert torch.equal(found.pred_boxes.tensor, wanted.pred_boxes.tensor)
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(found.pred_classes, wanted.pred_classes)
    some_edges = False
    for i in range(len(found)):
        mask = instance_region(found, i).full(found.image_size)
        box = wanted.pred_boxes.tensor[i]
        low, high = (
            paste_masks_in_image(found.pred_masks[i], box[None], shape, threshold)[0].numpy()
            for threshold in (0.5 - 1e-5, 0.5 + 1e-5)
        )
        undecided = low != high  # rounding decides there
        assert undecided.mean() < 0.05  # random weights make patches of exactly 0.5
        assert np.array_equal(mask[~undecided], wanted.pred_masks[i].numpy()[~undecided])
        some_edges |= 0 < mask.sum() < 0.9 * float((box[2] - box[0]) * (box[3] - box[1]))
    assert some_edges


def test_a_batch_gives_what_single_photos_give_in_their_order(cfg):
    predictor = Predictor(cfg)
    photos = [photo(120, 200, 1), photo(200, 120, 2), photo(60, 100, 3), photo(50, 50, 4), photo(200, 120, 5)]
    batches = []
    inference = predictor.model.inference
    predictor.model.inference = lambda inputs, **kwargs: batches.append(len(inputs)) or inference(inputs, **kwargs)
    together = predictor(photos)
    assert batches == [2, 2, 1]  # 58 x 96, 96 x 58, 96 x 96
    for image, found in zip(photos, together, strict=True):
        alone = predictor([image])[0]
        assert found.image_size == image.shape[:2]
        assert len(found) == len(alone)
        assert torch.allclose(found.pred_boxes.tensor, alone.pred_boxes.tensor, atol=1e-3)
        assert torch.allclose(found.pred_masks, alone.pred_masks, atol=1e-4)


def test_no_photo_and_a_photo_without_objects(cfg):
    cfg = cfg.clone()
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 1.0
    predictor = Predictor(cfg)
    assert predictor([]) == []
    (found,) = predictor([photo(30, 40)])
    assert len(found) == 0
    assert found.image_size == (30, 40)
    assert list(found_objects(found)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_photos_of_odd_shapes(cfg, shape):
    (found,) = Predictor(cfg)([photo(*shape)])
    assert found.image_size == shape
    for found_object in found_objects(found):
        assert found_object.region.full(shape).any()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("CAMPUS.CLASSES", [], "CAMPUS.CLASSES is empty.*config.yaml"),
        ("CAMPUS.CLASSES", ["bench", "car"], "2 names .bench, car. and the model has .*NUM_CLASSES 3"),
        ("CAMPUS.CLASSES", ["bench", "car", "car"], "names a class twice"),
        ("MODEL.MASK_ON", False, "mask branch"),
        ("MODEL.WEIGHTS", "", "MODEL.WEIGHTS is empty"),
        ("INPUT.FORMAT", "L", 'INPUT.FORMAT is "L"; give one of BGR, RGB'),
        ("INPUT.MASK_FORMAT", "rle", 'INPUT.MASK_FORMAT is "rle"'),
        ("CAMPUS.RESIZE", "squash", 'CAMPUS.RESIZE is "squash"; give one of fit, stretch'),
        ("CAMPUS.INPUT_SIZE", 0, "CAMPUS.INPUT_SIZE is 0"),
    ],
)
def test_configs_that_cannot_predict(cfg, key, value, message):
    cfg = cfg.clone()
    *nodes, leaf = key.split(".")
    node = cfg
    for name in nodes:
        node = node[name]
    node[leaf] = value
    with pytest.raises(ConfigError, match=message):
        Predictor(cfg)


def test_missing_weights_are_named(cfg):
    cfg = cfg.clone()
    cfg.MODEL.WEIGHTS = "no_such.pth"
    with pytest.raises(WeightsError, match="no_such.pth"):
        Predictor(cfg)
