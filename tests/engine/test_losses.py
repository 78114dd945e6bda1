"""The losses on photos that are not trained on, against the model called photo by photo."""

import zlib

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from drawn import SMALL_MODEL, draw_export
from torch import nn

from campus_seg.config import load_config
from campus_seg.data.datasets import register_datasets
from campus_seg.data.mapper import CampusMapper
from campus_seg.engine.losses import build_loss_loader, photo_losses, undisturbed
from campus_seg.engine.run import prepare_run

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    """Config of a run whose datasets are registered; half of its photos hold no object."""
    folder = tmp_path_factory.mktemp("losses")
    drawn = draw_export(photos=12)
    drawn.coco["annotations"] = [each for each in drawn.coco["annotations"] if each["image_id"] % 2]
    path = drawn.write_zip(folder / "export.zip")
    opts = ["CAMPUS.EXPORT", str(path), "OUTPUT_DIR", str(folder / "run"), "DATALOADER.NUM_WORKERS", "0"]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*SMALL_MODEL, *opts, "CAMPUS.SPLIT", "[0.25, 0.25, 0.5]"])
    prepare_run(cfg)
    register_datasets(folder / "run", cfg.CAMPUS.CLASSES)
    return cfg


@pytest.fixture
def model(cfg):
    torch.manual_seed(0)
    model = build_model(cfg)
    model.train()
    return model


def test_they_are_those_of_the_model_photo_by_photo(cfg, model):
    mapper = CampusMapper(cfg, is_train=True, augmentation=None)
    expected = {}
    for module in model.modules():
        module.training = not isinstance(module, nn.BatchNorm2d)
    for photo in DatasetCatalog.get("campus_test"):
        torch.manual_seed(zlib.crc32(str(photo["image_id"]).encode()))
        with torch.no_grad(), EventStorage():
            for name, loss in model([mapper(photo)]).items():
                expected.setdefault(name, []).append(float(loss))
    model.train()
    losses = photo_losses(model, build_loss_loader(cfg, "campus_test"))
    assert len(expected["loss_mask"]) == 6
    assert {bool(photo["annotations"]) for photo in DatasetCatalog.get("campus_test")} == {True, False}
    assert set(losses) == {*expected, "total_loss"}
    assert set(expected) == {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc"}
    for name, values in expected.items():
        assert losses[name] == pytest.approx(np.mean(values), rel=1e-12)
    assert losses["total_loss"] == pytest.approx(sum(map(np.mean, expected.values())), rel=1e-12)


def test_batches_order_workers_and_earlier_random_numbers_make_no_difference(cfg, model):
    loader = build_loss_loader(cfg, "campus_test")
    losses = photo_losses(model, loader)
    photos = [photo for batch in loader for photo in batch]
    torch.manual_seed(7)
    assert photo_losses(model, [photos[3:][::-1], photos[:3]]) == losses
    other = cfg.clone()
    other.DATALOADER.NUM_WORKERS = 1
    assert photo_losses(model, build_loss_loader(other, "campus_test")) == losses
    assert photo_losses(model, [photos[:3]]) != losses


def test_ranks_make_no_difference(cfg, model, monkeypatch):
    photos = [photo for batch in build_loss_loader(cfg, "campus_test") for photo in batch]
    losses = photo_losses(model, [photos])
    sent = []
    monkeypatch.setattr(comm, "gather", lambda data: sent.append(data) or [])
    assert photo_losses(model, [photos[:4]]) == {}  # as on a rank that is not the main one
    monkeypatch.setattr(comm, "gather", lambda data: [*sent, data])
    assert photo_losses(model, [photos[4:]]) == losses


def test_the_training_does_not_notice(cfg, model):
    model.backbone.bottom_up.eval()  # frozen, say
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with EventStorage(5) as storage:
        losses = photo_losses(model, build_loss_loader(cfg, "campus_val"))
        assert storage.latest() == {}
    assert losses["total_loss"] > 0
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert any("running_mean" in name for name in state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(ZeroDivisionError), undisturbed(model):
        model.eval()
        torch.rand(3)
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == modes and torch.equal(torch.get_rng_state(), random)


class Dropping(nn.Module):
    """Of its four ones half would be dropped in training, and two photos normalised together."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4, affine=False), nn.SyncBatchNorm(4, affine=False))

    def forward(self, photos):
        assert self.training and len(photos) == 1
        return {"loss_cls": self.layers(torch.ones(1, 4)).sum()}


def test_normalisation_and_dropout_are_those_of_prediction():
    losses = photo_losses(Dropping(), [[{"image_id": 1}], [{"image_id": "a"}]])
    assert losses == {"loss_cls": pytest.approx(4, abs=1e-3), "total_loss": pytest.approx(4, abs=1e-3)}


def test_a_model_that_has_diverged():
    """One photo is enough; an error would leave the other ranks waiting for this one."""

    class Diverged(nn.Module):
        def forward(self, photos):
            if photos[0]["image_id"] == 2:
                raise FloatingPointError
            return {"loss_cls": torch.ones(())}

    assert photo_losses(Diverged(), [[{"image_id": 1}]]) == {"loss_cls": 1, "total_loss": 1}
    losses = photo_losses(Diverged(), [[{"image_id": i}] for i in (1, 2, 3)])
    assert set(losses) == {"total_loss"} and np.isnan(losses["total_loss"])


def test_no_photo():
    assert photo_losses(Dropping(), []) == {}
