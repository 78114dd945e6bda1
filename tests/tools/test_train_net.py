"""Whole runs of the command on small drawn exports, and every bad input."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import draw_export
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from terminal import on_a_terminal

from campus_seg.config import load_config
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.sampler import EpochSampler
from campus_seg.engine.trainer import Trainer
from campus_seg.tools.train_net import main
from campus_seg.tools.visualize import main as visualize

TINY = [
    *("CAMPUS.INPUT_SIZE", "128", "CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16, 16, 16]"),
    *("MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "16"),
    *("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0"),
]


def train(export, output, *opts, flags=()):
    arguments = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags]
    main([*arguments, "CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), *TINY, *map(str, opts)])


def losses(output):
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    return [line["total_loss"] for line in lines if "total_loss" in line]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=20).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


@pytest.fixture(scope="module")
def run(export, tmp_path_factory):
    """A short training; its folder is not to be changed."""
    output = tmp_path_factory.mktemp("run") / "output"
    train(export, output, "SOLVER.MAX_ITER", 40, "SOLVER.WARMUP_ITERS", 10)
    return output


def test_a_run_leaves_what_the_contract_says(run):
    names = ["config.yaml", "classes.json", "split.json", "import_report.json", "log.txt", "metrics.json"]
    names += ["model_final.pth", "last_checkpoint", "losses.png"]
    for dataset in ("campus_val", "campus_test"):
        names += [f"inference/{dataset}/coco_instances_results.json", f"inference/{dataset}/metrics.json"]
    assert [name for name in names if not (run / name).is_file()] == []
    assert list(run.glob("events.out.tfevents*"))
    assert json.loads((run / "classes.json").read_text()) == ["car", "dog", "person"]
    splits = json.loads((run / "split.json").read_text())
    assert {split: len(names) for split, names in splits.items()} == {"train": 14, "val": 2, "test": 4}
    assert losses(run)[-1] < losses(run)[0]
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


def snapshot(folder):
    """Every file that an evaluation must leave as it is."""
    files = (path for path in folder.rglob("*") if path.is_file() and "inference" not in path.parts)
    return {path.name: path.read_bytes() for path in files if path.name != "log.txt"}


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


def test_a_second_run_on_a_renamed_and_larger_export_moves_no_photo(run, tmp_path):
    drawn = draw_export(photos=26)  # the same 20 photos and six new ones
    for image in drawn.coco["images"]:
        image["file_name"] = f"../ls/data/media/upload/9/{99 - image['id']:08x}-IMG_{image['id']}.jpg"
    names = [image["file_name"].rpartition("/")[2] for image in drawn.coco["images"]]
    drawn.photos = dict(zip(names, drawn.photos.values(), strict=True))
    saved = tmp_path / "earlier.json"
    shutil.copy(run / "split.json", saved)
    output = tmp_path / "output"
    opts = ["CAMPUS.SPLIT_FILE", saved, "CAMPUS.SPLIT_SEED", 3, "DATASETS.TEST", "()"]
    newer = drawn.write_zip(tmp_path / "newer.zip")
    train(newer, output, "SOLVER.MAX_ITER", 1, *opts)
    old, new = (json.loads((folder / "split.json").read_text()) for folder in (run, output))
    assert all(set(old[split].values()) <= set(new[split].values()) for split in old)
    assert sum(map(len, new.values())) == 26 and set(new) == {"train", "val", "test"}
    assert not {name for names in old.values() for name in names} & {name for names in new.values() for name in names}
    assert "20 of them stay where an earlier run's split.json has them" in (output / "log.txt").read_text()

    saved.unlink()  # the run's own split.json holds all of it now
    train(newer, output, "SOLVER.MAX_ITER", 2, *opts, flags=["--resume"])
    moved = tmp_path / "moved"
    output.rename(moved)
    main(["--config-file", str(moved / "config.yaml"), "--eval-only"])
    assert json.loads((moved / "split.json").read_text()) == new

    fewer = draw_export(photos=5).write_zip(tmp_path / "fewer.zip")
    arguments = ["--config-file", str(moved / "config.yaml"), "OUTPUT_DIR", str(tmp_path / "third")]
    main([*arguments, "CAMPUS.EXPORT", str(fewer), "SOLVER.MAX_ITER", "1"])  # a run's config stands for its split, too
    third = json.loads((tmp_path / "third/split.json").read_text())
    for split in old:
        assert {*third[split].values(), *third["absent"][split]} == {*new[split].values()}


def test_a_run_that_stopped_before_its_first_checkpoint_keeps_its_split(run, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(run, stopped, ignore=shutil.ignore_patterns("*.pth", "last_checkpoint", "inference"))
    main(
        [
            *("--config-file", str(stopped / "config.yaml"), "--resume", "CAMPUS.SPLIT_SEED", "9"),
            *("SOLVER.MAX_ITER", "1", "DATASETS.TEST", "()"),
        ]
    )
    assert (stopped / "model_final.pth").is_file()
    assert (stopped / "split.json").read_bytes() == (run / "split.json").read_bytes()


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


def test_resume_goes_on_where_it_stopped(export, tmp_path, capsys, monkeypatch):
    seen = []
    read = CampusMapper.__call__
    monkeypatch.setattr(
        CampusMapper,
        "__call__",
        lambda self, photo: (seen.append((photo["image_id"], photo.get("epoch"))), read(self, photo))[1],
    )
    whole = tmp_path / "whole"
    train(export, whole, "SOLVER.MAX_ITER", 6, "DATASETS.TEST", "()")
    never_interrupted = list(seen)
    output = tmp_path / "output"
    train(export, output, "SOLVER.MAX_ITER", 4, "DATASETS.TEST", "()")
    files = {name: (output / name).read_bytes() for name in ("split.json", "import_report.json", "classes.json")}
    with pytest.raises(SystemExit) as stopped:
        train(export, output, "SOLVER.MAX_ITER", 6)
    assert stopped.value.code == 2
    assert "holds a trained run already; go on with --resume" in capsys.readouterr().err
    # Another seed of the draw must not move a photo of a run that goes on.
    seen.clear()
    train(export, output, "SOLVER.MAX_ITER", 6, "CAMPUS.SPLIT_SEED", 5, "DATASETS.TEST", "()", flags=["--resume"])
    assert seen[:8] == never_interrupted[16:24]
    assert torch.load(output / "model_final.pth")["iteration"] == 5
    assert "Going on at iteration 4" in (output / "log.txt").read_text()
    assert {name: (output / name).read_bytes() for name in files} == files
    for opts, message in [
        (["CAMPUS.CLASSES", "['person', 'dog', 'car']"], "their order is frozen with the run"),
        (["CAMPUS.EXPORT", "other.zip"], "was imported from"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            train(export, output, "SOLVER.MAX_ITER", 8, *opts, flags=["--resume"])
        assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_the_last_checkpoint_is_gone(export, tmp_path, capsys):
    output = tmp_path / "output"
    train(export, output, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", "()")
    (output / "model_final.pth").unlink()
    with pytest.raises(SystemExit) as stopped:
        train(export, output, "SOLVER.MAX_ITER", 2, flags=["--resume"])
    assert stopped.value.code == 2 and "model_final.pth: is gone" in capsys.readouterr().err


def test_photos_that_lie_elsewhere_and_were_moved(tmp_path, capsys):
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(draw_export(photos=6).write_zip(tmp_path / "e.zip")) as archive:
        archive.extractall(folder)
    output = tmp_path / "output"
    train(folder, output, "SOLVER.MAX_ITER", 1)
    config = str(output / "config.yaml")
    photos = str(output / "import/campus_test.json")
    assert visualize(["--config-file", config, "--input", photos, "--output", str(tmp_path / "masked")]) == 0
    folder.rename(tmp_path / "moved")
    before = snapshot(output)
    with pytest.raises(SystemExit) as stopped:
        main(["--config-file", config, "--resume", "SOLVER.MAX_ITER", "2"])
    assert stopped.value.code == 2 and "of the run's 6 photos" in capsys.readouterr().err
    assert snapshot(output) == before


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


def schedule_of(output):
    """MAX_ITER, EVAL_PERIOD and BASE_LR in a run's config.yaml."""
    cfg = load_config(str(output / "config.yaml"))
    return cfg.SOLVER.MAX_ITER, cfg.TEST.EVAL_PERIOD, cfg.SOLVER.BASE_LR


def test_epochs_become_iterations_and_a_resumed_run_keeps_them(export, tmp_path):
    """14 training photos: at 2 a batch an epoch is 7 iterations."""
    output = tmp_path / "output"
    expected = (11, 7, pytest.approx(0.002 * 0.5**0.5))  # 1.5 * 7 = 10.5, rounded up
    train(export, output, "CAMPUS.EPOCHS", 1.5, "SOLVER.IMS_PER_BATCH", 2, "DATASETS.TEST", "()")
    assert schedule_of(output) == expected
    assert torch.load(output / "model_final.pth")["iteration"] == 10
    log = (output / "log.txt").read_text()
    assert "0.00141421 for a batch of 2, scaled by the square root (AdamW)" in log
    assert "Schedule: 11 iterations = 1.571 epochs of 14 photos, 2 a batch" in log
    assert not (output / "inference").exists()
    train(export, output, "DATASETS.TEST", "()", flags=["--resume"])  # neither key said again
    assert schedule_of(output) == expected
    train(export, output, "CAMPUS.EPOCHS", 2, "DATASETS.TEST", "()", flags=["--resume"])
    assert schedule_of(output)[0] == 14 and torch.load(output / "model_final.pth")["iteration"] == 13

    # Anew from the run's own config, on fewer photos: its epochs count, not its iterations.
    fewer = draw_export(photos=5).write_zip(tmp_path / "fewer.zip")
    arguments = ["--config-file", str(output / "config.yaml"), "OUTPUT_DIR", str(tmp_path / "anew")]
    main([*arguments, "CAMPUS.EXPORT", str(fewer), "CAMPUS.SPLIT_FILE", "", "CAMPUS.SPLIT", "[1.0, 0.0, 0.0]"])
    assert schedule_of(tmp_path / "anew")[:2] == (5, 3)  # 2 * 5 / 2; 2.5 rounded up


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


def command_line(export, output, *opts):
    tool = Path(__file__).resolve().parents[2] / "tools" / "train_net.py"
    config = ["--config-file", "configs/mask_rcnn_mini_FPN.yaml", "CAMPUS.EXPORT", export, "OUTPUT_DIR", output]
    return [sys.executable, str(tool), *map(str, [*config, *TINY, *opts])]


def test_losses_that_are_no_numbers_stop_the_run(export, tmp_path):
    output = tmp_path / "output"
    opts = ["SOLVER.BASE_LR", "1e30", "SOLVER.MAX_ITER", 9, "SOLVER.CHECKPOINT_PERIOD", 1, "DATASETS.TEST", "()"]
    done = subprocess.run(command_line(export, output, *opts), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    iteration = int(re.match(r"error: iteration (\d+): the losses are no numbers any more", line)[1])
    images = json.loads((output / "import/campus_train.json").read_text())["images"]
    drawn = itertools.islice(EpochSampler(14, seed=42), 4 * iteration, 4 * iteration + 4)
    names = [images[position % 14]["file_name"] for position in drawn]
    assert re.findall(r"images/(\S+?\.jpg)", line) == names
    assert "Traceback" not in done.stdout + done.stderr
    assert "Traceback" in (output / "log.txt").read_text()
    assert [path.name for path in output.glob("model_*.pth")]


def test_a_bar_on_a_terminal_and_a_log_in_the_file(export, tmp_path):
    output = tmp_path / "output"
    status, shown = on_a_terminal(command_line(export, output, "SOLVER.MAX_ITER", 21, "DATASETS.TEST", "()"))
    assert status == 0
    assert re.search(r"100%\|.{12}\| 21/21 \S+<00:00, total_loss \d", shown)
    assert "iter: 19" not in shown and "| all photos " in shown
    assert "iter: 19" in (output / "log.txt").read_text()


def test_too_little_memory_is_found_before_the_first_step(export, tmp_path, monkeypatch, capsys):
    def forward(self, image):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("campus_seg.modeling.mini_backbone.MiniBackbone.forward", forward)
    with pytest.raises(SystemExit) as stopped:
        train(export, tmp_path / "output", "SOLVER.MAX_ITER", 2)
    assert stopped.value.code == 2
    assert "lower SOLVER.IMS_PER_BATCH (4) or CAMPUS.INPUT_SIZE (128)" in capsys.readouterr().err.splitlines()[-1]


def no_change(export, tmp_path):
    return export.write_zip(tmp_path / "export.zip")


def without_photos(export, tmp_path):
    export.photos.clear()
    return no_change(export, tmp_path)


def without_objects(export, tmp_path):
    export.coco["annotations"] = []
    return no_change(export, tmp_path)


def objects_in_test_alone(export, tmp_path):
    """Objects only where an earlier split has its test photos."""
    names = [f"images/{name}" for name in export.photos]
    (tmp_path / "split.json").write_text(json.dumps({"train": [], "val": [], "test": names[:2]}))
    export.coco["annotations"] = [a for a in export.coco["annotations"] if a["image_id"] in (0, 1)]
    return no_change(export, tmp_path)


def other_json(export, tmp_path):
    (tmp_path / "export.json").write_text('{"hello": 1}')
    return tmp_path / "export.json"


def empty(export, tmp_path):
    (tmp_path / "export.zip").touch()
    return tmp_path / "export.zip"


def text(tmp_path, name):
    (tmp_path / name).write_text("these are words\n")
    return tmp_path / name


NO_NETWORK = "http://127.0.0.1:9/model_final_f10217.pkl"
BAD = {
    "no export": (lambda e, t: "", [], "CAMPUS.EXPORT"),
    "missing": (lambda e, t: t / "absent.zip", [], "absent.zip: no such file"),
    "empty": (empty, [], "export.zip: the file is empty"),
    "other json": (other_json, [], "export.json is other JSON"),
    "no photos": (without_photos, [], "none of its 4 photos is there"),
    "no objects": (without_objects, [], "not one object"),
    "unknown key": (no_change, ["CAMPUS.EXPROT", "x"], "Non-existent key: CAMPUS.EXPROT"),
    "wrong type": (no_change, ["CAMPUS.INPUT_SIZE", "large"], "CAMPUS.INPUT_SIZE"),
    "odd pairs": (no_change, ["CAMPUS.INPUT_SIZE"], "KEY VALUE pairs"),
    "policy": (no_change, ["CAMPUS.RECTANGLES", "maybe"], "choose one of mask, drop, error"),
    "optimizer": (no_change, ["CAMPUS.OPTIMIZER", "adam"], "choose SGD or AdamW"),
    "sampler": (no_change, ["DATALOADER.SAMPLER_TRAIN", "RandomSubset"], "choose TrainingSampler or RepeatFactor"),
    "epochs": (no_change, ["CAMPUS.EVAL_EPOCHS", "-1"], "CAMPUS.EVAL_EPOCHS -1.0"),
    "scheduler": (no_change, ["SOLVER.LR_SCHEDULER_NAME", "Cosine"], "Unknown LR scheduler"),
    "resize": (no_change, ["CAMPUS.RESIZE", "squash"], "CAMPUS.RESIZE"),
    "augmentations": (no_change, ["CAMPUS.AUGMENTATIONS", "absent.yaml"], "campus.yaml, original_2023.yaml"),
    "unknown dataset": (no_change, ["DATASETS.TEST", "('campus_tset',)"], "no dataset is called campus_tset"),
    "channels": (no_change, ["CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16]"], "four stages are wanted"),
    "backbone": (no_change, ["MODEL.BACKBONE.NAME", "foo"], "the model cannot be built"),
    "device": (no_change, ["MODEL.DEVICE", "nonsense"], "the model cannot be built"),
    "labels outside training": (
        objects_in_test_alone,
        ["CAMPUS.SPLIT_FILE", "split.json"],
        "no photo for training holds an object",
    ),
    "no such split": (
        no_change,
        ["CAMPUS.SPLIT_FILE", "absent.json"],
        "absent.json: no split that can be read (No such",
    ),
    "text as split": (no_change, ["CAMPUS.SPLIT_FILE", "words.pth"], "words.pth: no split that can be read"),
    "evaluate on no split": (
        no_change,
        ["--eval-only", "MODEL.WEIGHTS", "words.pth", "CAMPUS.SPLIT_FILE", "words.pth"],
        "words.pth: no split that can be read",
    ),
    "name pattern": (no_change, ["CAMPUS.GROUP_BY", "("], "CAMPUS.GROUP_BY '(': no regular expression"),
    "name pattern that finds nothing": (no_change, ["CAMPUS.GROUP_BY", "percptual"], "names, such as photo_0.jpg"),
    "evaluate text": (no_change, ["--eval-only", "MODEL.WEIGHTS", "words.pth"], "neither a torch checkpoint"),
    "evaluate nothing": (no_change, ["--eval-only", "MODEL.WEIGHTS", ""], "MODEL.WEIGHTS is empty"),
    "shares": (no_change, ["CAMPUS.SPLIT", "[1.0, 1.0, 1.0]"], "CAMPUS.SPLIT"),
    "frozen classes": (no_change, ["CAMPUS.CLASSES", "['car']"], "is not one of CAMPUS.CLASSES"),
    "text as weights": (no_change, ["MODEL.WEIGHTS", "words.pth"], "words.pth: neither a torch checkpoint"),
    "no such weights": (no_change, ["MODEL.WEIGHTS", "absent.pth"], "absent.pth"),
    "no network": (no_change, ["MODEL.WEIGHTS", NO_NETWORK], "MODEL.WEIGHTS path/to/model_final_f10217.pkl"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, monkeypatch, capsys):
    make, opts, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    text(tmp_path, "words.pth")
    path = make(draw_export(photos=4), tmp_path)
    output = tmp_path / "output"
    flags = [opt for opt in opts if opt.startswith("--")]
    with pytest.raises(SystemExit) as stopped:
        train(path, output, "SOLVER.MAX_ITER", 2, *(opt for opt in opts if opt not in flags), flags=flags)
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()
    lines = [line for line in error if line.startswith("error: ")]
    assert len(lines) == 1 and error[-1] == lines[0], error
    assert message in lines[0]
    assert not output.exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not a YAML config"),
        ("MODEL: {NO_SUCH_KEY: 1}", "Non-existent config key: MODEL.NO_SUCH_KEY"),
        ("!!python/object/apply:os.system ['touch pwned']", "not a YAML config"),
        ("_BASE_: absent.yaml", "absent.yaml"),
        (None, "no such file; give a path, or one of those shipped"),
    ],
)
def test_bad_configs(content, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "my.yaml").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main(["--config-file", "my.yaml", "CAMPUS.EXPORT", "x.zip"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pwned").exists()


def test_the_command_itself(tmp_path):
    """As a process: status 2, the one line alone on standard error, no traceback."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "train_net.py"
    command = [sys.executable, str(tool), "--config-file", "configs/mask_rcnn_mini_FPN.yaml"]
    done = subprocess.run([*command, "CAMPUS.EXPORT", "absent.zip"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: absent\.zip: no such file.*\n", done.stderr)
    assert not list(tmp_path.iterdir())
