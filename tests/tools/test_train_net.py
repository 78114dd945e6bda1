"""Whole runs of the command on small drawn exports."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import draw_export
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from small_runs import command_line, losses, schedule_of, snapshot, train
from terminal import on_a_terminal

from campus_seg.config import load_config
from campus_seg.data.mapper import CampusMapper
from campus_seg.engine.trainer import Trainer
from campus_seg.tools.train_net import main
from campus_seg.tools.visualize import main as visualize

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_leaves_what_the_contract_says(run):
    names = ["config.yaml", "classes.json", "split.json", "import_report.json", "log.txt", "metrics.json"]
    names += ["model_final.pth", "last_checkpoint", "losses.png", "thresholds.json"]
    for dataset in ("campus_val", "campus_test"):
        files = ("coco_instances_results.json", "metrics.json", "analysis.json")
        names += [f"inference/{dataset}/{name}" for name in files]
    assert [name for name in names if not (run / name).is_file()] == []
    assert list(run.glob("events.out.tfevents*"))
    assert json.loads((run / "classes.json").read_text()) == ["car", "dog", "person"]
    splits = json.loads((run / "split.json").read_text())
    assert {split: len(names) for split, names in splits.items()} == {"train": 14, "val": 2, "test": 4}
    assert losses(run)[-1] < losses(run)[0]
    assert f"Done: the model and its figures lie in {run}." in (run / "log.txt").read_text()  # no page was asked for
    assert "NaN" not in (run / "metrics.json").read_text()  # which is no JSON
    assert not list(run.rglob("*.part*"))


def test_the_metrics_are_cocoevals_own(run):
    truth = COCO(str(run / "import/campus_test.json"))
    results = run / "inference/campus_test/coco_instances_results.json"
    metrics = json.loads((run / "inference/campus_test/metrics.json").read_text())
    assert set(metrics) == {"bbox", "segm"}
    for task in ("bbox", "segm"):
        assert json.loads(results.read_text())
        evaluation = COCOeval(truth, truth.loadRes(str(results)), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert metrics[task]["AP"] == pytest.approx(100 * evaluation.stats[0], abs=1e-6)


def test_an_evaluation_from_the_runs_own_config_gives_the_same_figures(run, tmp_path, monkeypatch):
    """Moved, from another working folder, without the export: nothing but inference/ is written."""
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    config = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(re.sub(r"EXPORT: .*", "EXPORT: gone/export.zip", config))
    before = snapshot(moved)
    figures = (moved / "inference/campus_test/metrics.json").read_bytes()
    shutil.rmtree(moved / "inference")
    monkeypatch.chdir(tmp_path)
    main(["--config-file", str(moved / "config.yaml"), "--eval-only"])
    assert (moved / "inference/campus_test/metrics.json").read_bytes() == figures
    assert snapshot(moved) == before


def test_an_evaluation_elsewhere_keeps_the_runs_split(run, export, tmp_path):
    drawn = draw_export(photos=24)  # the same 20 photos and four new ones
    newer = drawn.write_zip(tmp_path / "newer.zip")
    arguments = ["--config-file", str(run / "config.yaml"), "--eval-only", "OUTPUT_DIR", str(tmp_path / "eval")]
    main([*arguments, "CAMPUS.EXPORT", str(newer)])
    old, new = (json.loads((folder / "split.json").read_text()) for folder in (run, tmp_path / "eval"))
    assert all(set(old[split]) <= set(new[split]) for split in old)
    assert sum(map(len, new.values())) == 24
    assert (tmp_path / "eval/inference/campus_test/metrics.json").is_file()
    assert not (tmp_path / "eval/model_final.pth").exists()


def test_one_large_group_is_named_in_the_log(tmp_path):
    drawn = draw_export(photos=6).write_zip(tmp_path / "e.zip")
    for pattern, named in [("^photo_[0-4]", False), ("^(photo)_[0-3]", True)]:
        output = tmp_path / f"output{named}"
        train(drawn, output, "SOLVER.MAX_ITER", 1, "CAMPUS.GROUP_BY", pattern, "DATASETS.TEST", "()")
        assert ("4 of the photos are one group by CAMPUS.GROUP_BY" in (output / "log.txt").read_text()) == named


def test_checkpoints_hold_the_class_names(run, tmp_path, capsys):
    assert torch.load(run / "model_final.pth")["classes"] == ["car", "dog", "person"]
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("- car\n  - dog\n", "- dog\n  - car\n"))
    with pytest.raises(SystemExit) as stopped:
        visualize(["--config-file", str(other / "config.yaml"), "--input", str(run), "--output", str(tmp_path / "o")])
    assert stopped.value.code == 2
    assert "trained for the classes ['car', 'dog', 'person']" in capsys.readouterr().err


def test_fine_tuning_takes_classes_over_by_name(run, tmp_path):
    """From our own run, whose classes stand in another order there."""
    drawn = draw_export(photos=8)
    for category in drawn.coco["categories"]:
        category["name"] = category["name"].replace("car", "zebra")  # dog, person, zebra
    output = tmp_path / "output"
    weights = run / "model_final.pth"
    train(
        drawn.write_zip(tmp_path / "e.zip"),
        output,
        "SOLVER.MAX_ITER",
        1,
        "SOLVER.BASE_LR",
        "1e-12",
        "MODEL.WEIGHTS",
        weights,
    )
    log = (output / "log.txt").read_text()
    assert "Taken over from" in log and "Classes taken over by name: dog, person" in log
    assert "Starting new: classes zebra; parameters none" in log
    given, taken = (torch.load(path)["model"] for path in (weights, output / "model_final.pth"))
    for name in ("roi_heads.box_predictor.cls_score.weight", "roi_heads.mask_head.predictor.weight"):
        torch.testing.assert_close(taken[name][:2], given[name][1:3])
        assert not torch.allclose(taken[name][2], given[name][0])


def test_the_same_run_gives_the_same_numbers(run, export, tmp_path):
    again = tmp_path / "again"
    train(export, again, "SOLVER.MAX_ITER", 40, "SOLVER.WARMUP_ITERS", 10, "DATALOADER.NUM_WORKERS", 2)
    assert losses(again) == losses(run)
    first, second = (torch.load(path / "model_final.pth")["model"] for path in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_photo_alone(tmp_path):
    output = tmp_path / "output"
    train(draw_export(photos=1).write_zip(tmp_path / "e.zip"), output, "SOLVER.MAX_ITER", 2)
    assert (output / "model_final.pth").is_file() and not (output / "inference").exists()


def test_adamw_is_what_trains(export, tmp_path):
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = Trainer.build_optimizer(cfg, model)
    assert isinstance(optimizer, torch.optim.AdamW)
    decays = [group["weight_decay"] for group in optimizer.param_groups for _ in group["params"]]
    assert sorted(decays) == [0, 0, 0.05, 0.05]  # the norm's weight and bias are not decayed
    cfg.CAMPUS.OPTIMIZER = "SGD"
    assert isinstance(Trainer.build_optimizer(cfg, model), torch.optim.SGD)


def test_photos_without_objects_and_an_export_without_test_photos(tmp_path):
    drawn = draw_export(photos=4)
    drawn.coco["annotations"] = [a for a in drawn.coco["annotations"] if a["image_id"] in (0, 1)]
    output = tmp_path / "output"
    train(drawn.write_zip(tmp_path / "e.zip"), output, "SOLVER.MAX_ITER", 3, "CAMPUS.SPLIT", "[0.75, 0.25, 0.0]")
    assert np.isfinite(torch.load(output / "model_final.pth")["model"]["proposal_generator.rpn_head.conv.bias"]).all()
    assert not (output / "inference/campus_test").exists()


def test_a_rate_of_0_changes_no_weight(run, export, tmp_path):
    output = tmp_path / "output"
    opts = ["MODEL.WEIGHTS", run / "model_final.pth", "SOLVER.BASE_LR", "0.0", "MODEL.BACKBONE.FREEZE_AT", 2]
    train(export, output, "SOLVER.MAX_ITER", 2, "DATASETS.TEST", "()", *opts)
    given, kept = (torch.load(path / "model_final.pth")["model"] for path in (run, output))
    for name, value in kept.items():
        frozen = name.startswith(("backbone.bottom_up.stem", "backbone.bottom_up.res2"))
        if frozen or not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(value, given[name], rtol=0, atol=0)


def test_photos_of_a_rare_class_come_more_often(tmp_path, monkeypatch):
    """Dogs are in 1 of 4 photos and the threshold is 1: sqrt(1 / 0.25) = twice; cars, in all, once."""
    drawn = draw_export(photos=4)
    labels = {category["name"]: category["id"] for category in drawn.coco["categories"]}
    drawn.coco["annotations"] = [a for a in drawn.coco["annotations"] if a["image_id"] < 4]
    for annotation in drawn.coco["annotations"]:
        annotation["category_id"] = labels["car"]
    first = {a["image_id"]: a for a in reversed(drawn.coco["annotations"])}
    last = [a for a in drawn.coco["annotations"] if a["image_id"] == 2][-1]
    assert last is not first[2]
    last["category_id"] = labels["dog"]
    seen = []
    read = CampusMapper.__call__
    monkeypatch.setattr(
        CampusMapper, "__call__", lambda self, photo: (seen.append(Path(photo["file_name"]).name), read(self, photo))[1]
    )
    output = tmp_path / "output"
    sampling = ["DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD", 1]
    opts = ["SOLVER.IMS_PER_BATCH", 2, "CAMPUS.EPOCHS", 2, "CAMPUS.SPLIT", "[1.0, 0.0, 0.0]"]
    train(drawn.write_zip(tmp_path / "e.zip"), output, *sampling, *opts)
    assert schedule_of(output)[:2] == (5, 3)  # an epoch is 3 + 2 = 5 photos
    for epoch in (seen[:5], seen[5:]):
        assert sorted(epoch) == sorted([f"{i:08x}-photo_{i}.jpg" for i in (0, 1, 2, 2, 3)])


def test_a_run_goes_the_same_way_without_the_dry_run(run, export, tmp_path, monkeypatch):
    monkeypatch.setattr("campus_seg.engine.preflight.dry_run", lambda model, cfg: None)
    again = tmp_path / "again"
    train(export, again, "SOLVER.MAX_ITER", 40, "SOLVER.WARMUP_ITERS", 10, "DATASETS.TEST", "()")
    first, second = (torch.load(path / "model_final.pth")["model"] for path in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_bar_on_a_terminal_and_a_log_in_the_file(export, tmp_path):
    output = tmp_path / "output"
    status, shown = on_a_terminal(command_line(export, output, "SOLVER.MAX_ITER", 21, "DATASETS.TEST", "()"))
    assert status == 0
    assert re.search(r"100%\|.{12}\| 21/21 \S+<00:00, total_loss \d", shown)
    assert "iter: 19" not in shown and "| all photos " in shown
    assert "iter: 19" in (output / "log.txt").read_text()
