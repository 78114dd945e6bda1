"""The page of a run without a browser: that it is whole, small, and never at the cost of the run."""

import html
import json
import logging
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drawn import draw_export
from judged_runs import ODD_CLASSES, odd_export, write_folder, write_judged_run

from campus_seg.errors import EvaluationError
from campus_seg.evaluation import report, report_origin, report_sections
from campus_seg.evaluation.report import percent, points, report_run, share, signed, write_report
from campus_seg.evaluation.report_origin import augmented_photos
from campus_seg.evaluation.report_photos import SIDE
from campus_seg.evaluation.report_sections import shown_name
from campus_seg.evaluation.run_files import RunFiles

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
    evaluated = cfg.clone()
    evaluated.MODEL.WEIGHTS = "elsewhere.pth"  # as with --eval-only MODEL.WEIGHTS …
    return cfg, write_report(evaluated)


def test_the_page_is_one_whole_file(judged):
    cfg, path = judged
    assert path == Path(cfg.OUTPUT_DIR, "report/index.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert all(value.startswith(("data:image/", "#")) for value in page.loads)
    for title in ("Losses", "Learning rate and time", "Precision and recall", "F1 over the score threshold"):
        assert title in text
    assert (
        "The best model is that of iteration 79." in text and "100 iterations, 1 minute of steps (0.50 s each)." in text
    )
    assert "those with the best F1 on the validation photos" in text and "could not be drawn" not in text
    assert f"tools/train_net.py --config-file {cfg.OUTPUT_DIR}/config.yaml CAMPUS.EXPORT" in text
    assert "CAMPUS:" in text and "elsewhere.pth" not in text  # the run's configuration, not the evaluation's


def test_an_evaluation_in_a_folder_of_its_own_says_what_was_evaluated(judged, tmp_path):
    """Without validation photos, too, and after two iterations, which have no time."""
    cfg = copied(judged[0], tmp_path / "run")
    cfg.MODEL.WEIGHTS = "some where/model.pth"
    (tmp_path / "run/config.yaml").unlink()
    shutil.rmtree(tmp_path / "run/inference/campus_val")
    analysis = tmp_path / "run/inference/campus_test/analysis.json"
    content = json.loads(analysis.read_text())
    content["thresholds"]["chosen_on"] = ""
    analysis.write_text(json.dumps(content))
    (tmp_path / "run/metrics.json").write_text(json.dumps({"iteration": 1, "lr": 1e-3, "total_loss": 2.0}))
    text = write_report(cfg).read_text(encoding="utf-8")
    Page(text)
    assert "This folder holds no training" in text and "config.yaml" not in text
    command = "tools/train_net.py --config-file evaluated.yaml --eval-only MODEL.WEIGHTS 'some where/model.pth'"
    assert html.unescape(text).count(command) == 2  # again, and on the training photos
    assert "No validation photos chose thresholds" in text and "--confidence-threshold auto" not in text
    assert "2 iterations.\n" in text and "No model is marked as the best" in text


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
    assert re.search(
        "Not evaluated yet: <code>python tools/train_net.py --config-file .*--eval-only</code> does it", text
    )
    assert "not trained in its folder" in text and "Suspected" not in text
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
    pictures = augmented_photos(RunFiles(tmp_path / "run"), cfg)["pictures"]
    assert len(pictures) == 8 and {max(picture.width, picture.height) for picture in pictures} == {SIDE}
    truth = tmp_path / "run/import/campus_train.json"
    content = json.loads(truth.read_text())
    for image in content["images"][:-1]:
        image["file_name"] = str(tmp_path / "moved" / Path(image["file_name"]).name)
    truth.write_text(json.dumps(content))
    text = write_report(cfg).read_text(encoding="utf-8")
    assert "7 could not be drawn" in text and text.count('alt="A training photo as augmented') == 1
    cfg.CAMPUS.AUGMENTATIONS = str(tmp_path / "moved.yaml")
    augmented = augmented_photos(RunFiles(tmp_path / "run"), cfg)
    assert augmented["pictures"] == [] and augmented["album"].unread == 8
    assert "without augmented photos" in caplog.text and "moved.yaml" in caplog.text


def test_a_model_that_has_learned_nothing_is_no_judge_of_labels(judged, tmp_path):
    cfg = write_judged_run(tmp_path / "run", draw_export(photos=10).write_zip(tmp_path / "e.zip"), share=0.0)
    told = (
        "It has hardly learned anything yet.",
        "the model is too weak to tell",
        "has learned too little to judge labels",
    )
    text = write_report(cfg).read_text(encoding="utf-8")
    assert all(words in text for words in told) and "Nothing is suspicious" not in text
    assert not any(words in judged[1].read_text(encoding="utf-8") for words in told)


def test_more_photos_make_no_larger_page(judged, monkeypatch, tmp_path):
    """Pictures have a room of their own, and a list has an end; what is left out is counted."""
    cfg, path = judged
    monkeypatch.setattr(report_sections, "ROOM", {"suspects": 40_000, "classes": 0})
    monkeypatch.setattr(report_origin, "ROOM", 0)
    monkeypatch.setattr(report_sections, "MOST_SUSPECTS", 3)
    monkeypatch.setattr(report_sections, "PICTURED_SUSPECTS", 1)
    small = copied(cfg, tmp_path / "run")
    text = write_report(small).read_text(encoding="utf-8")
    assert 0 < sum(map(len, re.findall(r"data:image/jpeg;base64,([^\"]*)", text))) <= 40_000
    photos = sum(len(each) for each in json.loads((tmp_path / "run/report/suspects.json").read_text()).values())
    assert "2 more photos, without pictures" in text
    assert f"{photos - 3} more photos are in" in text
    classes = text[text.index('id="classes"') : text.index('id="training"')]
    assert "<img" not in classes and all(name in html.unescape(classes) for name in ODD_CLASSES.values())
    without = classes.count("without a picture")
    assert without >= 3 and f"no room for {without} more of these photos" in classes
    assert "no room for 8 more of these photos" in text[text.index('id="data"') :]


@pytest.mark.parametrize(
    "error, told",
    [
        (EvaluationError("run/classes.json: cannot be read"), "No page was made (run/classes.json: cannot be read)"),
        (ZeroDivisionError("division\nby zero"), "No page was made (ZeroDivisionError: division by zero)"),
    ],
)
def test_a_page_that_fails_costs_one_line(error, told, judged, monkeypatch, caplog):
    def fail(cfg, uri):
        raise error

    cfg = judged[0].clone()
    monkeypatch.setattr(report, "write_report", fail)
    caplog.set_level(logging.INFO)
    assert report_run(cfg) is None  # CAMPUS.EVALUATION.REPORT is False
    assert caplog.messages == []
    cfg.CAMPUS.EVALUATION.REPORT = True
    assert report_run(cfg) is None
    (message,) = caplog.messages
    assert message == f"{told}; all else is whole. tools/report.py tries again"


def test_a_page_that_is_made_is_named(judged, monkeypatch):
    cfg = judged[0].clone()
    cfg.CAMPUS.EVALUATION.REPORT = True
    monkeypatch.setattr(report, "write_report", lambda cfg, uri: Path(cfg.OUTPUT_DIR, "page.html"))
    assert report_run(cfg) == Path(cfg.OUTPUT_DIR, "page.html")


def test_numbers_and_names_for_people():
    assert (points(43.62), points(None), points(float("nan"))) == ("43.6", "–", "–")
    assert (share(0.5), share(None)) == ("0.50", "–")
    assert (percent(0.876), percent(None)) == ("88\N{NO-BREAK SPACE}%", "–")
    assert [signed(value) for value in (1.26, -1.26, -0.01, 0)] == ["+1.3", "−1.3", "+0.0", "+0.0"]
    assert shown_name({"file_name": "a/b/c.jpg"}) == "a/b/c.jpg"
    assert shown_name({"file_name": "/photos/a/b/c.jpg"}) == "b/c.jpg"
