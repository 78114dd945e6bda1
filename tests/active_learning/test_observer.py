"""What the observer takes from a model, compared with the model's own layers; a small one with random weights."""

import numpy as np
import pytest
import torch
from drawn import SMALL_MODEL, encode
from small_models import write_run

from campus_seg.active_learning.observer import Observer
from campus_seg.config import load_config, use_run_weights
from campus_seg.inference.predictor import Predictor
from campus_seg.photos import PhotoError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    config_file = str(folder / "config.yaml")
    cfg = load_config(config_file, ["CAMPUS.INFERENCE.ENGINE", "eager", "CAMPUS.INFERENCE.PRECISION", "fp32"])
    use_run_weights(cfg, config_file)
    return Predictor(cfg)


def photo(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(72, 96), (96, 40), (96, 96)])
def test_the_feature_is_the_mean_of_the_map(predictor, shape):
    """At 96 pixels no photo is resized; its sides are padded to multiples of 32."""
    image = photo(*shape)
    look = Observer(predictor).look(image)
    padded = np.zeros((3, *(-(-side // 32) * 32 for side in shape)), np.float32)
    model = predictor.model
    planes = (torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)) - model.pixel_mean) / model.pixel_std
    padded[:, : shape[0], : shape[1]] = planes.numpy()
    with torch.no_grad():
        (level,) = model.backbone(torch.from_numpy(padded)[None])["p5"]
    assert look.feature == pytest.approx(level.mean(dim=(1, 2)).numpy(), abs=1e-4)


def test_what_is_unknown_is_that_of_the_predictions(predictor):
    image = photo(72, 96)
    (found,) = predictor([image])
    look = Observer(predictor).look(image)
    assert len(found) > 1
    for number in range(len(predictor.class_names)):
        own = found[found.pred_classes == number]
        p, mask = own.scores.double(), own.pred_masks[:, 0].double().clamp(1e-12, 1 - 1e-12)
        assert look.found[number] == pytest.approx(float(p.sum()))
        bits = torch.distributions.Bernoulli(p).entropy() / np.log(2)
        assert look.class_bits[number] == pytest.approx(float(bits.sum()), rel=1e-5)
        bits = torch.distributions.Bernoulli(mask).entropy().mean(dim=(1, 2)) / np.log(2)
        assert look.mask_bits[number] == pytest.approx(float((p * bits).sum()), rel=1e-5)


def test_files_are_looked_at_in_their_order(predictor, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in (2, 0, 1)]
    for seed, path in enumerate(paths):
        path.write_bytes(encode(photo(72, 96, seed), ending=".png"))
    paths.insert(1, tmp_path / "broken.png")
    paths[1].write_bytes(b"no photo")
    observer = Observer(predictor)
    seen = list(observer.look_at(paths))
    assert [path for path, _ in seen] == paths
    assert isinstance(seen[1][1], PhotoError)
    for seed, number in ((0, 0), (1, 2), (2, 3)):
        assert seen[number][1].feature == pytest.approx(observer.look(photo(72, 96, seed)[:, :, ::-1]).feature)


def test_a_photo_that_gives_no_finite_numbers_is_named(predictor, tmp_path):
    for name, seed in (("a.png", 0), ("b.png", 1)):
        (tmp_path / name).write_bytes(encode(photo(72, 96, seed), ending=".png"))
    observer = Observer(predictor)
    look, spoilt = observer.look, []

    def look_once(image):
        seen = look(image)
        if not spoilt:
            seen.feature[3] = np.nan
            spoilt.append(seen)
        return seen

    observer.look = look_once
    (_, first), (_, second) = observer.look_at([tmp_path / "a.png", tmp_path / "b.png"])
    assert isinstance(first, PhotoError) and "not finite" in str(first)
    assert np.isfinite(second.feature).all()


def test_another_engine_sees_the_same(tmp_path):
    pytest.importorskip("openvino")
    write_run(tmp_path)
    config_file = str(tmp_path / "config.yaml")
    looks = []
    for engine in ("eager", "openvino"):
        opts = [*SMALL_MODEL, "CAMPUS.INFERENCE.ENGINE", engine, "CAMPUS.INFERENCE.PRECISION", "fp32"]
        cfg = load_config(config_file, opts)
        use_run_weights(cfg, config_file)
        looks.append(Observer(Predictor(cfg)).look(photo(72, 96)))
    assert looks[0].feature == pytest.approx(looks[1].feature, abs=1e-3)
    assert looks[0].class_bits == pytest.approx(looks[1].class_bits, abs=0.05)
