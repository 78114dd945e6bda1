"""The comparison with Detectron2's own loop and torchvision, on a small model with random weights."""

import json

import cv2
import numpy as np
import pytest
from fake_worker import fake_worker
from small_models import write_run

from campus_seg.benchmarks import predicting
from campus_seg.benchmarks.predicting import INFERENCE_SIDES, chosen_photos
from campus_seg.errors import ConfigError
from campus_seg.tools.benchmark import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, with five photos in `photos`."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        photo = rng.integers(0, 256, (60, 80 + number, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "photos" / f"{number}.jpg"), photo)
    return folder


def command(run, *more):
    return ["inference", "--config-file", str(run / "config.yaml"), "--photos", str(run / "photos"), *more]


def test_all_sides_are_compared(run, tmp_path, capsys):
    file = tmp_path / "inference.json"
    assert main(command(run, "--limit", "3", "--repeats", "1", "--threads", "1", "--json", str(file))) == 0
    figures = json.loads(file.read_text())
    assert figures["photos"] == 3
    assert tuple(figures["sides"]) == INFERENCE_SIDES
    for side in figures["sides"].values():
        assert side["seconds_a_photo"] > 0 and side["peak_mb"] > 100
        assert side["seconds_a_photo"] * side["photos_a_second"] == pytest.approx(1)
    seconds = {name: side["seconds_a_photo"] for name, side in figures["sides"].items()}
    assert figures["ratios"]["inference_vs_detectron2"] == seconds["detectron2"] / seconds["ours"]
    assert figures["ratios"]["inference_fp32_vs_detectron2"] == seconds["detectron2"] / seconds["ours_fp32"]
    assert figures["ratios"]["inference_vs_torchvision"] == seconds["torchvision"] / seconds["ours"]
    objects = {name: side["objects_a_photo"] for name, side in figures["sides"].items()}
    assert objects["ours_fp32"] == pytest.approx(objects["detectron2"], abs=1) and objects["detectron2"] > 0
    said = capsys.readouterr().out
    assert figures["table"] in said and "inference_vs_detectron2" in said
    assert figures["table"].count("\n| ") == 5


def test_of_several_repeats_the_median_counts_and_the_order_changes(run, monkeypatch, tmp_path):
    """Two chunks of photos, three repeats; the second chunk of `detectron2` was slow once."""
    taken = {"ours": iter([0, 1, 1, 1, 1, 1, 1]), "detectron2": iter([0, 4, 90, 4, 6, 4, 6])}
    asked = []

    def answer(side, photos, output):
        return next(taken[side]), 2 * len(photos)

    peaks = {"ours": 150.0, "detectron2": 100.0}
    monkeypatch.setattr(predicting, "Worker", fake_worker(answer, asked, peaks))
    monkeypatch.setattr(predicting, "CHUNK", 3)
    file = tmp_path / "i.json"
    more = ["--repeats", "3", "--sides", "ours", "detectron2", "--json", str(file)]
    assert main(command(run, *more)) == 0
    figures = json.loads(file.read_text())
    assert figures["sides"]["ours"]["seconds_a_photo"] == 2 / 5
    assert figures["sides"]["detectron2"]["seconds_a_photo"] == (4 + 6) / 5
    assert figures["sides"]["ours"]["objects_a_photo"] == 2
    assert figures["ratios"] == {"inference_vs_detectron2": 5.0, "memory_vs_detectron2": 1.5}
    order = [(side, len(photos)) for side, (photos, _) in asked]
    warm_up = [("ours", 2), ("detectron2", 2)]
    first, second = [("ours", 3), ("detectron2", 3)], [("detectron2", 2), ("ours", 2)]
    assert order[:6] == [*warm_up, *first, *second]
    assert order[6:10] == [("detectron2", 3), ("ours", 3), ("ours", 2), ("detectron2", 2)]


def test_photos_can_be_scaled_to_the_size_of_a_phones(run, tmp_path):
    photos = chosen_photos(str(run / "photos"), 2, 0.5, tmp_path)
    assert len(photos) == 2
    for path, (width, height) in zip(photos, [(80, 60), (82, 60)], strict=True):
        shape = cv2.imread(str(path)).shape
        assert shape[0] * shape[1] == pytest.approx(0.5e6, rel=0.01)
        assert shape[1] / shape[0] == pytest.approx(width / height, rel=0.01)


def test_a_side_that_is_gone_is_named(run, tmp_path):
    work = predicting.Work(str(run / "config.yaml"), [], 1, 0.05)
    with predicting.Worker(predicting.SIDES_MODULE, "detectron2", work) as worker:
        worker._process.kill()
        worker._process.join()
        with pytest.raises(ConfigError, match="detectron2 ended with status -9"):
            worker.do([run / "photos" / "0.jpg"], tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--limit", "0"], "0 is less than 1"),
        (["--megapixels", "-1"], "-1 is not within 0.01 and 200"),
        (["--confidence-threshold", "7"], "7 is not within 0 and 1"),
        (["--opts", "CAMPUS.RESIZE", "stretch"], 'CAMPUS.RESIZE is "stretch": the other sides know only fit'),
        (["--photos", "nowhere"], "nowhere: no such file or folder"),
        (["--sides", "theirs"], "invalid choice: 'theirs'"),
        (["--config-file", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--opts", "CAMPUS.CLASSES", "[]"], "CAMPUS.CLASSES is empty"),
        (["--json", f"{__file__}/a.json"], "cannot be written to"),
    ],
)
def test_bad_commands_have_status_2_and_one_line(more, message, run, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command(run, *more))
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said
