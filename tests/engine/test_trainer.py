"""Whole runs: which model is the best, and that all figures and pictures are of that one."""

import json
import re
import shutil

import pytest
import torch
from drawn import SMALL_MODEL, draw_export
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from campus_seg.config import load_config
from campus_seg.engine.best import BestModel
from campus_seg.engine.trainer import Trainer
from campus_seg.modeling.cpu_training import QuickConv2d
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights_file import file_digest
from campus_seg.tools.train_net import main
from campus_seg.tools.visualize import main as visualize

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=20).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


@pytest.fixture
def figures(monkeypatch):
    """Iteration -> what every run takes for its metric there."""
    figures = {}
    monkeypatch.setattr(BestModel, "_value", lambda self: figures.get(self.trainer.iter))
    return figures


def train(export, output, *opts, flags=()):
    given = ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", "0", *map(str, opts)]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *SMALL_MODEL, *given])


def thresholds_model(output):
    return json.loads((output / "thresholds.json").read_text())["model"]


def test_the_best_model_is_what_the_figures_and_the_tools_use(export, tmp_path, figures):
    output = tmp_path / "run"
    figures.update({9: 20.0, 19: 41.2, 24: 40.8})
    train(export, output, "SOLVER.MAX_ITER", 25, "SOLVER.WARMUP_ITERS", 5, "TEST.EVAL_PERIOD", 10)
    best, last = (torch.load(output / f"model_{name}.pth") for name in ("best", "final"))
    assert (best["iteration"], best["value"], last["iteration"]) == (19, 41.2, 24)
    assert (output / "last_checkpoint").read_text() == "model_final.pth"
    log = (output / "log.txt").read_text()
    assert "is the best, of iteration 19 with segm/AP 41.2 on campus_val; the last one had 40.8. Its segm/AP: " in log
    name = "roi_heads.box_predictor.cls_score.weight"
    assert not torch.equal(best["model"][name], last["model"][name])

    splits = ("val", "test")
    written = {split: (output / f"inference/campus_{split}/metrics.json").read_bytes() for split in splits}
    assert thresholds_model(output) == file_digest(str(output / "model_best.pth"))
    arguments = ["--config-file", str(output / "config.yaml")]
    for weights, same in [(None, True), ("model_best.pth", True), ("model_final.pth", False)]:
        shutil.rmtree(output / "inference")
        main([*arguments, "--eval-only", *(["MODEL.WEIGHTS", str(output / weights)] if weights else [])])
        again = {split: (output / f"inference/campus_{split}/metrics.json").read_bytes() for split in splits}
        assert (again == written) == same
        assert (thresholds_model(output) == file_digest(str(output / "model_best.pth"))) == same

    predicted = []
    for opts in (
        [],
        ["MODEL.WEIGHTS", str(output / "model_best.pth")],
        ["MODEL.WEIGHTS", str(output / "model_final.pth")],
    ):
        masked = tmp_path / f"masked{len(predicted)}"
        photos = str(output / "import/campus_test.json")
        given = ["--input", photos, "--output", str(masked), "--save", "predictions", "--confidence-threshold", "0.01"]
        visualize([*arguments, *given, *(["--opts", *opts] if opts else [])])
        predicted.append(json.loads((masked / "predictions.json").read_text())["annotations"])
    assert predicted[0] == predicted[1] != predicted[2]

    events = EventAccumulator(str(output)).Reload()
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    for name in ("val/total_loss", "test/loss_mask", "campus_val/segm/AP"):
        drawn = [(event.step, event.value) for event in events.Scalars(name)]
        assert drawn == [(line["iteration"], pytest.approx(line[name])) for line in lines if name in line]
        assert [step for step, _ in drawn] == [9, 19, 24]


def test_early_stopping_ends_a_run_in_good_order(export, tmp_path, figures):
    output = tmp_path / "run"
    figures.update({1: 5.0, 3: 1.0, 5: 2.0, 7: 9.0})
    opts = ["SOLVER.MAX_ITER", 40, "TEST.EVAL_PERIOD", 2, "CAMPUS.PATIENCE", 2]
    train(export, output, *opts)
    assert torch.load(output / "model_final.pth")["iteration"] == 5
    assert torch.load(output / "model_best.pth")["iteration"] == 1
    for name in ("losses.png", "inference/campus_val/metrics.json", "inference/campus_test/metrics.json"):
        assert (output / name).is_file()
    log = (output / "log.txt").read_text()
    assert "Stopping early: segm/AP has not become better than 5.0 of iteration 1 in 2 evaluations" in log
    assert "Traceback" not in log and "iteration 1 with segm/AP 5.0 on campus_val; the last one had 2.0" in log
    metrics = (output / "metrics.json").read_bytes()
    assert [json.loads(line)["iteration"] for line in metrics.splitlines()] == [1, 3, 5]

    train(export, output, *opts, flags=["--resume"])
    assert "This run was stopped early" in (output / "log.txt").read_text()
    assert (output / "metrics.json").read_bytes() == metrics
    train(export, output, *opts, "CAMPUS.PATIENCE", 0, "SOLVER.MAX_ITER", 8, flags=["--resume"])
    assert torch.load(output / "model_best.pth")["iteration"] == 7
    assert not (output / "model_best_before.pth").exists()


def test_without_validation_photos_the_last_model_counts(export, tmp_path, monkeypatch):
    """And a fault of an analysis ends no training."""

    def fails(*args):
        raise ZeroDivisionError("one\nfault")

    monkeypatch.setattr("campus_seg.engine.trainer.write_analyses", fails)
    output = tmp_path / "run"
    train(export, output, "SOLVER.MAX_ITER", 3, "CAMPUS.SPLIT", "[0.8, 0.0, 0.2]", "TEST.EVAL_PERIOD", 2)
    assert not (output / "model_best.pth").exists()
    log = (output / "log.txt").read_text()
    assert "is the last iteration's: no validation photos chose a best one" in log
    assert "No analysis was made (ZeroDivisionError: one fault); all else is whole" in log
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "test/total_loss" in line] == [1, 2]
    assert (output / "inference/campus_test/metrics.json").is_file()


def test_validation_photos_without_objects(tmp_path):
    """AP is undefined: the model that learned longest is kept, and no NaN gets into a file."""
    drawn = draw_export(photos=8)
    names = list(drawn.photos)
    split = {"train": names[2:6], "val": names[:2], "test": names[6:]}
    (tmp_path / "split.json").write_text(json.dumps({k: [f"images/{name}" for name in v] for k, v in split.items()}))
    drawn.coco["annotations"] = [each for each in drawn.coco["annotations"] if each["image_id"] > 1]
    output = tmp_path / "run"
    given = ["CAMPUS.SPLIT_FILE", tmp_path / "split.json", "CAMPUS.PATIENCE", 1]
    train(drawn.write_zip(tmp_path / "e.zip"), output, "SOLVER.MAX_ITER", 3, "TEST.EVAL_PERIOD", 1, *given)
    assert torch.load(output / "model_best.pth")["iteration"] == 2
    assert "since segm/AP was undefined on campus_val throughout" in (output / "log.txt").read_text()
    assert "NaN" not in (output / "metrics.json").read_text()


def test_a_model_without_masks(export, tmp_path):
    """It has figures of boxes, and no analysis, which is about masks."""
    output = tmp_path / "run"
    opts = ["MODEL.MASK_ON", "False", "CAMPUS.BEST_METRIC", "bbox/AP"]
    train(export, output, "SOLVER.MAX_ITER", 1, *opts)
    main(["--config-file", str(output / "config.yaml"), "--eval-only"])
    log = (output / "log.txt").read_text()
    assert re.search(r"is the best, of iteration 0 with bbox/AP .* Its bbox/AP: campus_val \d", log)
    assert re.search(r"Done: the figures lie in \S+/metrics.json$", log, re.MULTILINE)
    assert list(json.loads((output / "inference/campus_test/metrics.json").read_text())) == ["bbox"]
    assert not list(output.rglob("analysis.json")) and "WARNING" not in log


def test_a_new_run_forgets_the_best_of_one_that_has_no_checkpoint(export, tmp_path):
    output = tmp_path / "run"
    output.mkdir()
    (output / "model_best.pth").write_bytes(b"of a run that was killed early")
    (output / "metrics.json").write_text('{"iteration": 1, "total_loss": 9.0}\n')
    (output / "thresholds.json").write_text("{}")
    (output / "inference/campus_val/kept").mkdir(parents=True)
    (output / "inference/campus_val/coco_instances_results.json").write_text("[]")
    train(export, output, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", "()")
    assert not (output / "model_best.pth").exists() and not (output / "thresholds.json").exists()
    assert [path.name for path in (output / "inference/campus_val").iterdir()] == ["kept"]
    assert [json.loads(line)["iteration"] for line in (output / "metrics.json").read_text().splitlines()] == [0]


def test_a_metric_on_the_photos_for_testing_is_refused(export, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(export, tmp_path / "run", "CAMPUS.BEST_METRIC", "test/total_loss")
    assert stopped.value.code == 2 and "those for testing choose no model" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_cpu_by_any_name_trains_the_quick_way(device):
    register_mini_backbone()
    opts = [*SMALL_MODEL, "MODEL.DEVICE", device, "MODEL.ROI_HEADS.NUM_CLASSES", "2"]
    model = Trainer.build_model(load_config("mask_rcnn_mini_FPN.yaml", opts))
    assert any(isinstance(module, QuickConv2d) for module in model.modules())
