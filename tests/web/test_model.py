"""What people download is what visualize.py writes, byte for byte, and no model runs for it a second time."""

import argparse
import io
import json
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from blobs import draw
from drawn import encode
from PIL import Image
from preannotated import Model, photo
from small_models import write_run

from campus_seg.errors import ConfigError
from campus_seg.inference import run_model
from campus_seg.inference.predictor import Predictor
from campus_seg.photos import PhotoError
from campus_seg.tools.visualize import main
from campus_seg.web import model as web_model
from campus_seg.web import results as web_results
from campus_seg.web.limits import KEEP, KINDS, SWEEP
from campus_seg.web.model import DemoModel, load_demo_model
from campus_seg.web.page_answer import wanted

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = ["bench", "car"]
BOXES = [(12, 8, 44, 20), (50, 3, 60, 30), (5, 25, 25, 38), (65, 5, 78, 25)]


def noise(seed, height=180, width=240):
    """(H, W, 3) uint8 RGB, in which a random model finds all sorts of things."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def sample_photos():
    """{file name: bytes} of photos that are read in different ways."""
    grey = (noise(3)[..., 0].astype(np.uint16) << 8) + 77
    film = encode(noise(5)) + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\0" * 200
    progressive = io.BytesIO()
    Image.fromarray(noise(6)).save(progressive, "JPEG", progressive=True)
    return {
        "turned.jpg": encode(noise(0), orientation=6),
        "mirrored.jpg": encode(noise(1), orientation=5),
        "Büro <b>1<b>.png": encode(noise(2), ending=".png"),
        "grey.16.png": cv2.imencode(".png", grey)[1].tobytes(),
        "film.jpg": film,
        "passes.JPG": progressive.getvalue(),
        "boxes.png": photo(*BOXES, orientation=8, classes=[0, 1, 1, 0]),
        "nothing.png": encode(draw((40, 80), [])[..., ::-1], ending=".png"),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, of a model whose scores are spread and which finds both classes."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    weights = torch.load(folder / "model_final.pth")
    weights["model"]["roi_heads.box_predictor.cls_score.weight"] *= 0.15
    weights["model"]["roi_heads.box_predictor.cls_score.bias"] += torch.tensor([0, 1.7, 0])
    torch.save(weights, folder / "model_final.pth")
    return folder


def loaded(run):
    """As the tool does it."""
    return load_demo_model(argparse.Namespace(config_file=str(run / "config.yaml"), opts=[]))


def masked(run, folder, name, content, threshold, classes):
    """{kind: bytes, or bytes by name} of what visualize.py writes of one photo."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / name).write_bytes(content)
    argv = ["--config-file", run / "config.yaml", "--input", folder / "in", "--output", folder / "out"]
    argv += ["--confidence-threshold", threshold]
    argv += [] if classes is None else ["--classes", *(CLASSES[i] for i in classes)]
    assert main([str(argument) for argument in argv]) == 0
    stem, out = Path(name).stem, folder / "out"
    files = {
        kind: (out / kind / f"{stem}{KINDS[kind]}").read_bytes() for kind in ("overlay", "binary", "rgb", "instances")
    }
    files["predictions"] = (out / "predictions.json").read_bytes()
    files["cutouts"] = {path.name: path.read_bytes() for path in (out / "cutouts" / stem).glob("*")}
    return files


def unzipped(content):
    """{name: bytes} of a .zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.mark.parametrize("model", ["eye", "random"])
@pytest.mark.parametrize(
    ("threshold", "classes"), [(0.05, None), (0.5, [1]), (0.7, [0]), (None, None), (0.999, [0, 1])]
)
def test_every_download_is_what_visualize_writes(run, tmp_path, monkeypatch, model, threshold, classes):
    loads = {}  # by threshold: of one there are many commands

    def load(cfg):
        least = cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST
        if least not in loads:
            loads[least] = Predictor(cfg)
        return loads[least]

    monkeypatch.setattr(run_model, "Predictor", (lambda _: Model()) if model == "eye" else load)
    demo = loaded(run)
    found = {}
    for name, content in sample_photos().items():
        if model == "eye" and not name.startswith(("boxes", "nothing")):
            continue  # it sees an object in every colour
        result = demo.predict(name, content)
        scores = [one.score for one in result.objects]
        least = threshold or (scores[len(scores) // 2] if scores else 0.5)  # an object's own score: it counts
        expected = masked(run, tmp_path / name, name, content, repr(least), classes)
        for kind in ("overlay", "binary", "rgb", "instances", "predictions"):
            assert demo.draw(result, kind, least, classes) == expected[kind], (name, kind)
        annotations = json.loads(expected["predictions"])["annotations"]
        shown = wanted(result, least, range(2) if classes is None else classes)
        assert [(one.class_id + 1, round(one.score, 6), one.area) for one in shown] == [
            (one["category_id"], one["score"], one["area"]) for one in annotations
        ]
        if annotations:
            assert unzipped(demo.draw(result, "cutouts", least, classes)) == expected["cutouts"]
        else:
            assert expected["cutouts"] == {}
            with pytest.raises(PhotoError, match="nothing to cut out"):
                demo.draw(result, "cutouts", least, classes)
        found[name] = len(annotations)
    if threshold == 0.999:
        assert not any(found.values())
    elif model == "eye":
        assert found["nothing.png"] == 0
        assert found["boxes.png"] == {0.05: 4, 0.5: 2, None: 3}.get(threshold, found["boxes.png"])
    else:
        assert sum(map(bool, found.values())) >= 7
        assert threshold == 0.05 or max(found.values()) < 100


def test_no_class_is_no_object():
    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES))
    assert len(demo.selected(result, 0.05)) == 4
    assert len(demo.selected(result, 0.05, [])) == len(wanted(result, 0.05, [])) == 0
    assert not cv2.imdecode(np.frombuffer(demo.draw(result, "binary", 0.05, []), np.uint8), 0).any()
    assert json.loads(demo.draw(result, "predictions", 0.05, []))["annotations"] == []


def test_pictures_need_no_model():
    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES, classes=[0, 1, 0, 1]))
    for threshold in (0.05, 0.6, 0.9):
        for classes in (None, [0], [1], []):
            demo.draw(result, "view", threshold, classes)
            demo.draw(result, "rgb", threshold, classes)
    assert len(demo.predictor.seen) == 1


def test_a_photo_is_looked_through_once(monkeypatch):
    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES))
    monkeypatch.setattr(web_model, "receive", None)
    for kind in KINDS:
        assert demo.draw(result, kind, 0.05)


def test_a_view_fits_the_screen_and_shows_the_same_objects():
    demo = DemoModel(Model())
    boxes = [(100, 100, 900, 500), (1200, 300, 1700, 1100)]
    result = demo.predict("a.png", encode(draw((1200, 2400), boxes)[..., ::-1], ending=".png"))
    assert (result.width, result.height) == (2400, 1200)
    view = cv2.imdecode(np.frombuffer(demo.draw(result, "view", 0.05), np.uint8), cv2.IMREAD_COLOR)
    assert view.shape == (800, 1600, 3)
    plain = cv2.imdecode(np.frombuffer(demo.draw(result, "view", 0.05, []), np.uint8), cv2.IMREAD_COLOR)
    changed = np.abs(view.astype(int) - plain).sum(2) > 60
    for x0, y0, x1, y1 in (np.array(boxes) * 2 // 3).tolist():
        assert changed[y0 + 5 : y1 - 5, x0 + 5 : x1 - 5].mean() > 0.95
    assert not changed[600:780, 20:700].any()


def test_results_are_small(run):
    demo = loaded(run)
    result = demo.predict("a.jpg", encode(noise(0, 900, 1200)))
    assert len(result.instances) > 3
    assert result.instances.pred_masks.shape[1:] == (1, 28, 28)
    storages = [value.untyped_storage() for value in (result.instances.pred_masks, result.instances.pred_boxes.tensor)]
    assert sum(storage.nbytes() for storage in storages) == len(result.instances) * (28 * 28 + 4) * 4
    assert result.size < len(result.content) + 1200 * 900


def test_a_picture_is_drawn_while_another_photo_is_predicted():
    began, may_end = threading.Event(), threading.Event()

    class Slow(Model):
        def __call__(self, photos):
            began.set()
            assert may_end.wait(60)
            return super().__call__(photos)

    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES))
    demo.predictor = Slow()
    other = threading.Thread(target=demo.predict, args=("b.png", photo(*BOXES)))
    other.start()
    try:
        assert began.wait(60)
        for kind in KINDS:
            assert demo.draw(result, kind, 0.05)
        assert other.is_alive()
    finally:
        may_end.set()
        other.join(60)


def test_a_predictor_is_asked_by_one_thread_at_a_time():
    inside, most = [], []

    class Counting(Model):
        def __call__(self, photos):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.02)
            inside.pop()
            return super().__call__(photos)

    demo = DemoModel(Counting())
    threads = [threading.Thread(target=demo.predict, args=("a.png", photo(*BOXES))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(most), max(most)) == (6, 1)


def test_what_is_no_photo_is_never_predicted():
    demo = DemoModel(Model(), max_megapixels=0.001)
    for content in (b"", b"text", photo(*BOXES)):
        with pytest.raises(PhotoError, match="This (file|photo) is"):
            demo.predict("a.png", content)
    assert demo.predictor.seen == []


def test_cut_outs_that_are_too_large_say_so(monkeypatch):
    monkeypatch.setattr(web_model, "MAX_CUTOUTS", 300)
    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES))
    with pytest.raises(PhotoError, match="too large to be sent"):
        demo.draw(result, "cutouts", 0.05)


def test_a_photo_counts_from_its_arrival(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(web_results, "time", SimpleNamespace(monotonic=lambda: now[0]))
    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES), 990.0)
    assert result.arrived == 990
    now[0] = 990 + KEEP - SWEEP - 1
    assert demo.results.get(result.token) is result
    now[0] += 1
    assert demo.results.get(result.token) is None


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr("tempfile.mkstemp", None)
    demo = DemoModel(Model())
    result = demo.predict("a.png", photo(*BOXES))
    for kind in KINDS:
        assert demo.draw(result, kind, 0.05)


def test_what_a_run_is_loaded_with(run):
    given = {"config_file": str(run / "config.yaml"), "max_megapixels": 1}
    with pytest.raises(ConfigError, match="give --confidence-threshold"):
        load_demo_model(argparse.Namespace(**given, opts=["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.4"]))
    demo = load_demo_model(argparse.Namespace(**given, opts=[]))
    assert min(one.score for one in demo.predict("a.png", encode(noise(0))).objects) < 0.4
    with pytest.raises(PhotoError, match="at most 1 are taken"):
        demo.predict("a.png", encode(np.zeros((1100, 1000, 3), np.uint8), ending=".png"))
