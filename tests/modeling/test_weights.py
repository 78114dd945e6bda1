import pickle

import pytest
import torch
from detectron2.modeling import build_model

from campus_seg.config import load_config
from campus_seg.errors import WeightsError
from campus_seg.modeling.checkpoint import CampusCheckpointer
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights import COCO_CLASSES, load_weights, transfer
from campus_seg.modeling.weights_file import read_checkpoint

SMALL = ["CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 8, 8, 8]", "MODEL.FPN.OUT_CHANNELS", "8", "MODEL.DEVICE", "cpu"]
SMALL += ["MODEL.ROI_BOX_HEAD.FC_DIM", "16", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8"]


def small_model(classes, seed=0, *opts):
    register_mini_backbone()
    torch.manual_seed(seed)
    number = ["MODEL.ROI_HEADS.NUM_CLASSES", str(classes)]
    return build_model(load_config("mask_rcnn_mini_FPN.yaml", [*SMALL, *number, *opts]))


@pytest.fixture
def zoo_file(tmp_path):
    """A file of the model zoo's form: 80 classes, arrays in a pickle."""
    model = small_model(80, seed=1)
    path = tmp_path / "model_final_f10217.pkl"
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    content = {"model": arrays, "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path, model.state_dict()


def test_transfer_takes_rows_by_class_name(zoo_file, caplog):
    path, given = zoo_file
    classes = ["bench", "fire extinguisher", "Person", "car"]
    model = small_model(4, seed=2)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    report = transfer(model, read_checkpoint(str(path)), classes)
    state = model.state_dict()
    predictors = ["roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred"]
    predictors += ["roi_heads.mask_head.predictor"]
    for name in state:
        if not name.startswith(tuple(predictors)):
            assert torch.equal(state[name], given[name]), name
    coco = {"bench": 13, "Person": 0, "car": 2}  # places in COCO's list of 80
    assert [COCO_CLASSES[i] for i in coco.values()] == ["bench", "person", "car"]
    for own, name in enumerate(classes):
        for key in ("weight", "bias"):
            scores, boxes, masks = (f"{layer}.{key}" for layer in predictors)
            source, place = (given, coco[name]) if name in coco else (fresh, own)
            assert torch.equal(state[scores][own], source[scores][place])
            assert torch.equal(state[boxes][4 * own : 4 * own + 4], source[boxes][4 * place : 4 * place + 4])
            assert torch.equal(state[masks][own], source[masks][place])
    assert torch.equal(
        state["roi_heads.box_predictor.cls_score.weight"][4], given["roi_heads.box_predictor.cls_score.weight"][80]
    )
    assert report.classes_taken == ["bench", "Person", "car"]
    assert report.classes_new == ["fire extinguisher"]
    assert report.new == []
    with caplog.at_level("INFO", logger="campus_seg"):
        report.log("zoo.pkl")
    assert "Taken over from zoo.pkl" in caplog.text and "bench, Person, car" in caplog.text
    assert "Starting new: classes fire extinguisher" in caplog.text


def test_transfer_from_our_own_checkpoint_by_its_classes(tmp_path):
    source = small_model(3, seed=1)
    CampusCheckpointer(source, str(tmp_path), classes=["dog", "car", "tree"]).save("model_final")
    model = small_model(2, seed=2)
    report = transfer(model, read_checkpoint(str(tmp_path / "model_final.pth")), ["car", "horse"])
    name = "roi_heads.mask_head.predictor.weight"
    assert torch.equal(model.state_dict()[name][0], source.state_dict()[name][1])
    assert (report.classes_taken, report.classes_new) == (["car"], ["horse"])


def test_transfer_from_a_backbone_alone_says_what_is_new(tmp_path):
    source = small_model(3, seed=1)
    weights = {k: v for k, v in source.state_dict().items() if k.startswith("backbone.bottom_up")}
    torch.save({"model": weights}, tmp_path / "backbone.pth")
    model = small_model(2, seed=2)
    report = transfer(model, read_checkpoint(str(tmp_path / "backbone.pth")), ["car", "dog"])
    assert set(report.taken) == set(weights)
    assert set(report.new) == set(model.state_dict()) - set(weights)
    assert report.classes_taken == []


PREDICTED = [f"roi_heads.{layer}" for layer in ("box_predictor.cls_score", "box_predictor.bbox_pred")]
PREDICTED = [
    f"{layer}.{kind}" for layer in [*PREDICTED, "roi_heads.mask_head.predictor"] for kind in ("weight", "bias")
]


@pytest.mark.parametrize(
    "prefix, heuristics", [("", False), ("module.", False), ("", True)], ids=["plain", "DDP", "zoo's matching"]
)
def test_classes_that_a_checkpoint_does_not_name_are_not_taken_over_by_place(prefix, heuristics, caplog):
    """It has three, as our model, and they may be any."""
    source, model = small_model(3, seed=1).state_dict(), small_model(3, seed=2)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    checkpoint = {"model": {prefix + name: value for name, value in source.items()}}
    if heuristics:
        checkpoint |= {"matching_heuristics": True, "__author__": "someone"}
    report = transfer(model, checkpoint, ["car", "dog", "person"])
    for name, value in model.state_dict().items():
        assert torch.equal(value, (fresh if name in PREDICTED else source)[name]), name
    assert (report.classes_taken, report.classes_new) == ([], ["car", "dog", "person"])
    assert sorted(report.new) == sorted(report.unnamed) == sorted(PREDICTED)
    assert not set(report.taken) & set(PREDICTED)
    with caplog.at_level("INFO", logger="campus_seg"):
        report.log("a.pth")
    assert "a.pth does not say which classes it is for" in caplog.text and PREDICTED[0] in caplog.text


def test_other_names_before_a_predictors_own_change_nothing():
    """By the zoo's matching the ends of names are enough."""
    source, model = small_model(3, seed=1).state_dict(), small_model(3, seed=2)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    weights = {name.removeprefix("roi_heads."): value for name, value in source.items()}
    report = transfer(model, {"model": weights, "matching_heuristics": True}, ["car", "dog", "person"])
    state = model.state_dict()
    assert torch.equal(state["roi_heads.box_head.fc1.weight"], source["roi_heads.box_head.fc1.weight"])
    assert all(torch.equal(state[name], fresh[name]) for name in PREDICTED)
    assert set(report.new) == set(PREDICTED)


def test_classes_of_a_distributed_checkpoint_are_taken_over_by_name():
    source, model = small_model(3, seed=1).state_dict(), small_model(3, seed=2)
    weights = {f"module.{name}": value for name, value in source.items()}
    report = transfer(model, {"model": weights, "classes": ["z", "q", "r"]}, ["x", "y", "z"])
    name = "roi_heads.mask_head.predictor.weight"
    assert torch.equal(model.state_dict()[name][2], source[name][0])
    assert not torch.equal(model.state_dict()[name][0], source[name][0])
    assert (report.classes_taken, report.classes_new, report.new, report.unnamed) == (["z"], ["x", "y"], [], [])


def test_class_agnostic_predictors_are_taken_over_whole():
    agnostic = ["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True", "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", "True"]
    source, model = small_model(3, 1, *agnostic).state_dict(), small_model(2, 2, *agnostic)
    report = transfer(model, {"model": source}, ["car", "dog"])
    assert all(torch.equal(model.state_dict()[name], source[name]) for name in PREDICTED[2:])
    assert report.new == report.unnamed == PREDICTED[:2]


def test_predicting_wants_just_these_weights(tmp_path):
    source = small_model(2, seed=1)
    CampusCheckpointer(source, str(tmp_path), classes=["car", "dog"]).save("model_final")
    path = str(tmp_path / "model_final.pth")
    model = small_model(2, seed=2)
    load_weights(model, path, ["car", "dog"])
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), source.state_dict().values(), strict=True)
    )
    with pytest.raises(WeightsError, match="trained for the classes"):
        load_weights(model, path, ["dog", "car"])
    other = small_model(2, 0, "MODEL.ROI_BOX_HEAD.FC_DIM", "24")
    with pytest.raises(WeightsError, match="weights of another model"):
        load_weights(other, path, ["car", "dog"])
