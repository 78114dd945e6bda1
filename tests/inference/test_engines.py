"""Every engine that is installed gives stock Detectron2's objects; which one is taken, and where."""

import numpy as np
import pytest
import torch
from answers import same_objects, stock_predictor
from detectron2.modeling import build_model
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from drawn import SMALL_MODEL
from installed_engines import INSTALLED, computed_precision

from campus_seg.config import load_config
from campus_seg.errors import ConfigError
from campus_seg.inference import engines, parts
from campus_seg.inference.engines import choose_engine
from campus_seg.inference.predictor import Predictor
from campus_seg.modeling.mini_backbone import register_mini_backbone

CLASSES = ["bench", "car", "dog"]

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn_config(folder, name="mask_rcnn_mini_FPN.yaml", opts=()):
    """Config of a model whose random weights say different things of different places, as trained ones do."""
    cfg = load_config(name, [*SMALL_MODEL, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.05", *opts])
    cfg.CAMPUS.CLASSES = CLASSES
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(CLASSES)
    cfg.MODEL.WEIGHTS = str(folder / "model_final.pth")
    register_mini_backbone()
    torch.manual_seed(0)
    model = build_model(cfg)
    predictor = model.roi_heads.box_predictor
    for layer, std in (
        (predictor.cls_score, 1.0),
        (predictor.bbox_pred, 0.3),
        (model.roi_heads.mask_head.predictor, 1.0),
        (model.proposal_generator.rpn_head.objectness_logits, 1.0),
    ):
        torch.nn.init.normal_(layer.weight, std=std)
    # Without a bias, whatever no feature speaks for would lie just on the threshold.
    torch.nn.init.normal_(model.roi_heads.mask_head.predictor.bias)
    torch.save({"model": model.state_dict()}, cfg.MODEL.WEIGHTS)
    return cfg


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    return drawn_config(tmp_path_factory.mktemp("run"))


def photo(height, width, seed=0):
    """Coloured patches with some noise, without which many places would be just alike: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (9, 9, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 9 // height, np.arange(width) * 9 // width
    return coarse[rows][:, columns] + rng.integers(0, 56, (height, width, 3), dtype=np.uint8)


def with_engine(cfg, name, precision="fp32"):
    cfg = cfg.clone()
    cfg.CAMPUS.INFERENCE.ENGINE, cfg.CAMPUS.INFERENCE.PRECISION = name, precision
    return cfg


@pytest.mark.parametrize("engine", INSTALLED)
@pytest.mark.parametrize(
    "opts", [(), ("CAMPUS.RESIZE", "stretch", "INPUT.FORMAT", "RGB"), ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", "0")]
)
def test_the_same_objects_as_stock_detectron2(engine, opts, tmp_path):
    cfg = drawn_config(tmp_path, opts=opts)
    stock, ours = stock_predictor(cfg), Predictor(with_engine(cfg, engine))
    assert (ours.engine.name, ours.engine.precision, ours.engine.remarks) == (engine, "fp32", ())
    shapes = [(120, 200), (331, 97), (40, 50), (96, 96), (480, 640), (3, 300)]
    photos = [photo(*shape, seed) for seed, shape in enumerate(shapes)]
    counts = [same_objects(found, stock(image)["instances"]) for found, image in zip(ours(photos), photos, strict=True)]
    found, wanted, added = np.sum(counts, axis=0)
    assert wanted > 60
    assert found >= 0.995 * wanted and added <= 0.005 * wanted


@pytest.mark.parametrize("engine", INSTALLED)
def test_the_comparison_can_fail(engine, cfg):
    """With weights a hundredth larger in the last layer, boxes are others."""
    stock, ours = stock_predictor(cfg), Predictor(with_engine(cfg, engine))
    stock.model.roi_heads.box_predictor.bbox_pred.weight.data *= 1.01
    image = photo(120, 200)
    found, wanted, _ = same_objects(ours([image])[0], stock(image)["instances"])
    assert found < 0.9 * wanted


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", INSTALLED)
def test_the_same_photo_gives_the_same_bits(engine, precision, cfg):
    predictor = Predictor(with_engine(cfg, engine, precision))
    image = photo(120, 200)
    first = predictor([image])[0]
    predictor([photo(331, 97)])
    again = predictor([image])[0]
    assert len(first) > 5
    for name, value in first.get_fields().items():
        other = again.get(name)
        assert torch.equal(getattr(value, "tensor", value), getattr(other, "tensor", other))


@pytest.mark.parametrize("engine", INSTALLED)
def test_a_large_photo_leaves_no_memory_behind_and_changes_nothing(engine, cfg, monkeypatch):
    predictor = Predictor(with_engine(cfg, engine))
    image, released = photo(120, 200), []
    first = predictor([image])[0]
    monkeypatch.setattr("campus_seg.inference.predictor.LARGE", image.nbytes - 1)
    for part in vars(predictor.model.computed_parts).values():
        if engine == "openvino":
            release = part.release_memory
            monkeypatch.setattr(part, "release_memory", lambda release=release: released.append(release()))
    for _ in range(2):
        again = predictor([image])[0]
        assert torch.equal(again.pred_boxes.tensor, first.pred_boxes.tensor)
        assert torch.equal(again.pred_masks, first.pred_masks)
    assert len(released) == (6 if engine == "openvino" else 0)


@pytest.mark.parametrize("engine", INSTALLED)
def test_bf16_finds_most_of_the_same(engine, cfg):
    """Random weights are no trained model, and their scores lie close together: this tells a wrong path, not AP."""
    stock, ours = stock_predictor(cfg), Predictor(with_engine(cfg, engine, "bf16"))
    assert ours.engine.precision == computed_precision(engine, "bf16")
    image = photo(120, 200)
    exact, rounded = stock(image)["instances"], ours([image])[0]
    near = (rounded.pred_boxes.tensor[:, None] - exact.pred_boxes.tensor[None]).abs().amax(-1).amin(0) < 5
    assert near.float().mean() > 0.7
    assert rounded.scores.dtype == rounded.pred_masks.dtype == torch.float32


@pytest.mark.parametrize("engine", INSTALLED)
def test_several_photos_and_none_at_all(engine, cfg):
    predictor = Predictor(with_engine(cfg, engine))
    image = photo(120, 200)
    alone = predictor([image])[0]
    together = predictor([image, photo(120, 200, 1), image])
    assert predictor([]) == []
    for found in (together[0], together[2]):
        assert len(found) == len(alone)
        assert torch.allclose(found.pred_boxes.tensor, alone.pred_boxes.tensor, atol=1e-2)


@pytest.mark.parametrize("engine", INSTALLED)
def test_a_photo_without_objects(engine, cfg):
    cfg = with_engine(cfg, engine)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 1.0
    (found,) = Predictor(cfg)([photo(30, 40)])
    assert len(found) == 0 and found.pred_masks.shape == (0, 1, 28, 28)


@pytest.mark.parametrize(
    ("opts", "reason"),
    [
        (("MODEL.ROI_MASK_HEAD.POOLER_TYPE", "ROIAlign"), "ROIAlignV2"),
        (("MODEL.ROI_BOX_HEAD.NUM_FC", "0", "MODEL.ROI_BOX_HEAD.NUM_CONV", "1"), "its ROI heads are not the standard"),
        (("MODEL.KEYPOINT_ON", "True"), "it has a keypoint head"),
    ],
)
def test_a_model_of_another_design_is_computed_by_detectron2(opts, reason, tmp_path):
    cfg = drawn_config(tmp_path, opts=opts)
    ours, stock = Predictor(cfg), stock_predictor(cfg)
    assert ours.engine.name == "eager" and reason in str(ours.engine)
    image = photo(120, 200)
    assert torch.equal(ours([image])[0].scores, stock(image)["instances"].scores)


@pytest.mark.parametrize(
    ("asked", "device", "openvino", "bf16", "expected", "remark"),
    [
        (("auto", "auto"), "cpu", True, True, ("openvino", "bf16"), ""),
        (("auto", "auto"), "cpu", True, False, ("openvino", "fp32"), ""),
        (("auto", "auto"), "cpu", False, True, ("eager", "bf16"), "not installed"),
        (("openvino", "fp32"), "cpu", False, True, ("eager", "fp32"), "not installed"),
        (("eager", "auto"), "cpu", True, True, ("eager", "bf16"), ""),
        (("auto", "bf16"), "cpu", True, False, ("openvino", "bf16"), "computes in fp32"),
        (("auto", "auto"), "cuda", True, False, ("eager", "fp32"), ""),
        (("openvino", "auto"), "cuda", True, False, ("eager", "fp32"), "MODEL.DEVICE cpu"),
    ],
)
def test_auto_takes_what_is_fastest_here(asked, device, openvino, bf16, expected, remark, cfg, monkeypatch):
    cfg = with_engine(cfg, *asked)
    cfg.MODEL.DEVICE = device
    monkeypatch.setattr(engines, "cpu_has_bf16", lambda: bf16)
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: openvino or None)
    engine = choose_engine(cfg)
    assert (engine.name, engine.precision) == expected
    assert remark in str(engine) and bool(engine.remarks) == bool(remark)


def test_an_openvino_that_does_not_load_falls_back_with_its_reason(cfg, monkeypatch):
    def broken(name):
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(engines.importlib, "import_module", broken)
    engine = choose_engine(with_engine(cfg, "auto", "fp32"))
    assert str(engine) == (
        "eager in fp32 (openvino would be faster, but does not load: libopenvino.so: cannot open shared object file)"
    )


@pytest.mark.skipif("openvino" not in INSTALLED, reason="the extra openvino is not installed")
def test_a_model_that_openvino_refuses_is_computed_by_pytorch(cfg, monkeypatch):
    from campus_seg.inference import openvino_parts

    def refuse(*_):
        raise RuntimeError("Cannot convert operation\nand more")

    monkeypatch.setattr(openvino_parts, "cached_models", refuse)
    ours, stock = Predictor(with_engine(cfg, "openvino")), stock_predictor(cfg)
    assert str(ours.engine) == "eager in fp32 (openvino refused the model: Cannot convert operation)"
    image = photo(120, 200)
    found, wanted, added = same_objects(ours([image])[0], stock(image)["instances"])
    assert (found, added) == (wanted, 0) and wanted > 20


def test_detectron2s_own_pooler_gets_what_it_knows():
    """On a GPU it stays, and knows no bfloat16."""
    pooler = ROIPooler(7, [1 / 4, 1 / 8], 0, "ROIAlignV2", canonical_level=3)
    maps = [torch.randn(1, 4, 32, 32).bfloat16(), torch.randn(1, 4, 16, 16).bfloat16()]
    boxes = [Boxes(torch.tensor([[3.0, 4, 90, 101], [50, 50, 60, 61]]))]
    pooled = parts.FloatPooler(pooler)(maps, boxes)
    assert torch.equal(pooled, pooler([features.float() for features in maps], boxes))


def test_a_device_that_cannot_be(cfg):
    cfg = cfg.clone()
    cfg.MODEL.DEVICE = "gpu"
    with pytest.raises(ConfigError, match='MODEL.DEVICE is "gpu"; give cpu or cuda'):
        Predictor(cfg)


@pytest.mark.parametrize(("key", "value"), [("ENGINE", "onnx"), ("PRECISION", "int8")])
def test_keys_that_cannot_be(key, value, cfg):
    cfg = cfg.clone()
    cfg.CAMPUS.INFERENCE[key] = value
    with pytest.raises(ConfigError, match=f'CAMPUS.INFERENCE.{key} is "{value}"; give one of auto, '):
        Predictor(cfg)
