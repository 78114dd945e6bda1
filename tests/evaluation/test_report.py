"""The page of a run without a browser: that it is whole, small, and never at the cost of the run."""

import json
import logging
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_export
from judged_runs import ODD_CLASSES, odd_export, write_folder, write_judged_run

from campus_seg.errors import EvaluationError, ExportError
from campus_seg.evaluation import report, report_sections
from campus_seg.evaluation.report import percent, points, report_run, share, signed, write_report
from campus_seg.evaluation.report_photos import SIDE, Album
from campus_seg.evaluation.report_sections import best_iteration, data_section, shown_name
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.photos import PhotoError

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Whether what is opened is closed, and what the page would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run with odd names and its page; not to be changed."""
    folder = tmp_path_factory.mktemp("judged")
    cfg = write_judged_run(folder / "run", write_folder(odd_export(20), folder / "export"))
    return cfg, write_report(cfg)


def test_the_page_is_one_whole_file(judged):
    cfg, path = judged
    assert path == Path(cfg.OUTPUT_DIR, "report/index.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert all(value.startswith(("data:image/", "#")) for value in page.loads)
    assert len(text) < 8_000_000
    for title in ("Losses", "Learning rate and time", "Precision and recall", "F1 over the score threshold"):
        assert title in text
    assert "The best model is that of iteration 79." in text and "100 iterations, 1 minutes of steps" in text
    assert "CAMPUS:" in text and "polygons brought" not in text


def test_all_suspects_are_there_for_programs(judged):
    cfg, path = judged
    listed = json.loads((path.parent / "suspects.json").read_text(encoding="utf-8"))
    assert set(listed) == {"val", "test"}
    images = {image["file_name"] for image in RunFiles(Path(cfg.OUTPUT_DIR)).truths["test"]["images"]}
    assert listed["test"] and {photo["file_name"] for photo in listed["test"]} <= images
    kinds = {one["kind"] for photo in listed["test"] for one in photo["suspects"]}
    assert kinds <= {"missing", "class", "place", "unseen"} and "class" in kinds
    assert {one["label"] for photo in listed["test"] for one in photo["suspects"]} <= {*ODD_CLASSES.values(), None}


def test_a_run_that_was_neither_trained_nor_evaluated_here_has_its_data(tmp_path):
    drawn = draw_export(photos=6)
    cfg = write_judged_run(tmp_path / "run", drawn.write_zip(tmp_path / "e.zip"), trained=False)
    shutil.rmtree(tmp_path / "run/inference")
    text = write_report(cfg).read_text(encoding="utf-8")
    assert "Not evaluated" in text and "not trained in its folder" in text and "Suspected" not in text
    assert not (tmp_path / "run/report/suspects.json").exists()
    Page(text)


def copied(cfg, folder):
    """The config of a copy of a run, to be changed."""
    shutil.copytree(cfg.OUTPUT_DIR, folder, ignore=shutil.ignore_patterns("report"))
    other = cfg.clone()
    other.OUTPUT_DIR = str(folder)
    return other


def test_augmented_photos_are_small_and_do_without_what_has_moved(judged, tmp_path, caplog):
    cfg = copied(judged[0], tmp_path / "run")
    cfg.CAMPUS.INPUT_SIZE = 2 * SIDE
    pictures = data_section(RunFiles(tmp_path / "run"), cfg)["augmented"]["pictures"]
    assert len(pictures) == 8 and {max(picture.width, picture.height) for picture in pictures} == {SIDE}
    truth = tmp_path / "run/import/campus_train.json"
    content = json.loads(truth.read_text())
    for image in content["images"][:-1]:
        image["file_name"] = str(tmp_path / "moved" / Path(image["file_name"]).name)
    truth.write_text(json.dumps(content))
    text = write_report(cfg).read_text(encoding="utf-8")
    assert "7 could not be drawn" in text and text.count('alt="A training photo as augmented') == 1
    cfg.CAMPUS.AUGMENTATIONS = str(tmp_path / "moved.yaml")
    augmented = data_section(RunFiles(tmp_path / "run"), cfg)["augmented"]
    assert augmented["pictures"] == [] and augmented["album"].unread == 8
    assert "without augmented photos" in caplog.text and "moved.yaml" in caplog.text


def test_more_photos_make_no_larger_page(judged, monkeypatch, tmp_path):
    """Pictures have a room of their own, and a list has an end; what is left out is counted."""
    cfg, path = judged
    monkeypatch.setattr(report_sections, "ROOM", {"suspects": 40_000, "classes": 0, "augmented": 0})
    monkeypatch.setattr(report_sections, "MOST_SUSPECTS", 3)
    monkeypatch.setattr(report_sections, "PICTURED_SUSPECTS", 1)
    small = copied(cfg, tmp_path / "run")
    text = write_report(small).read_text(encoding="utf-8")
    assert 0 < sum(map(len, re.findall(r"data:image/jpeg;base64,([^\"]*)", text))) <= 40_000
    photos = sum(len(each) for each in json.loads((tmp_path / "run/report/suspects.json").read_text()).values())
    assert "2 more photos, without pictures" in text
    assert f"{photos - 3} more photos are in" in text


def noise(seed):
    """What draws a photo of which there are two pictures."""
    pictures = np.random.default_rng(seed).integers(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    return lambda: [(pictures[0], f"{seed} left"), (pictures[1], f"{seed} right")]


def unreadable(error):
    def draw():
        raise error

    return draw


def test_an_album_is_full_when_it_is_full(caplog):
    gone = [unreadable(PhotoError("photo.jpg: gone")), unreadable(ExportError("other.jpg: of another size"))]
    album = Album(18_000)
    photos = album.add([noise(0), *gone, *(noise(seed) for seed in range(1, 9))])
    assert [(picture.alt, picture.width, picture.height) for picture in photos[0]] == [
        *(("0 left", 50, 40), ("0 right", 50, 40))
    ]
    assert photos[1:3] == [(), ()] and album.unread == 2
    assert "photo.jpg: gone" in caplog.text and "other.jpg: of another size" in caplog.text
    shown = [photo for photo in photos if photo]
    assert all(len(photo) == 2 for photo in shown)
    assert 1 < len(shown) < 9 and sum(len(picture.uri) for photo in shown for picture in photo) <= 18_000
    assert photos.index((), 3) == len(shown) + 2  # the first ones are there
    assert album.without == 9 - len(shown)
    assert album.add([noise(9)]) == [()] and album.without == 10 - len(shown)


@pytest.mark.parametrize(
    "error, told",
    [
        (EvaluationError("run/classes.json: cannot be read"), "No page was made (run/classes.json: cannot be read)"),
        (ZeroDivisionError("division\nby zero"), "No page was made (ZeroDivisionError: division by zero)"),
    ],
)
def test_a_page_that_fails_costs_one_line(error, told, judged, monkeypatch, caplog):
    def fail(cfg):
        raise error

    cfg = judged[0].clone()
    monkeypatch.setattr(report, "write_report", fail)
    caplog.set_level(logging.INFO)
    report_run(cfg)  # CAMPUS.EVALUATION.REPORT is False
    assert caplog.messages == []
    cfg.CAMPUS.EVALUATION.REPORT = True
    report_run(cfg)
    (message,) = caplog.messages
    assert message == f"{told}; all else is whole. tools/report.py tries again"


@pytest.mark.parametrize(
    "metric, values, best",
    [
        ("segm/AP", {9: {"campus_val/segm/AP": 3.0}, 19: {"campus_val/segm/AP": 5.0}}, 19),
        ("segm/AP", {9: {"campus_val/segm/AP": 5.0}, 19: {"campus_val/segm/AP": 5.0}}, 9),  # the first of equal ones
        ("val/total_loss", {9: {"val/total_loss": 3.0}, 19: {"val/total_loss": 5.0}}, 9),
        ("bbox/AP", {9: {"campus_val/segm/AP": 3.0}}, None),
    ],
)
def test_the_best_iteration(metric, values, best):
    assert best_iteration([{"iteration": i, **line} for i, line in values.items()], metric) == best


def test_numbers_and_names_for_people():
    assert (points(43.62), points(None), points(float("nan"))) == ("43.6", "–", "–")
    assert (share(0.5), share(None)) == ("0.50", "–")
    assert (percent(0.876), percent(None)) == ("88\N{NO-BREAK SPACE}%", "–")
    assert [signed(value) for value in (1.26, -1.26, -0.01, 0)] == ["+1.3", "−1.3", "+0.0", "+0.0"]
    assert shown_name({"file_name": "a/b/c.jpg"}) == "a/b/c.jpg"
    assert shown_name({"file_name": "/photos/a/b/c.jpg"}) == "b/c.jpg"
