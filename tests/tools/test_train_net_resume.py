"""Runs that go on, and what of an earlier run a new one keeps."""

import json
import math
import re
import shutil
import zipfile

import pytest
import torch
from drawn import draw_export
from small_runs import schedule_of, snapshot, train

from campus_seg.data.mapper import CampusMapper
from campus_seg.tools.train_net import main
from campus_seg.tools.visualize import main as visualize

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.fixture(scope="module")
def finished(export, tmp_path_factory):
    """Four iterations with AdamW, evaluated after each second; its folder is not to be changed."""
    output = tmp_path_factory.mktemp("finished") / "output"
    opts = [
        "SOLVER.MAX_ITER",
        4,
        "SOLVER.WARMUP_ITERS",
        1,
        "TEST.EVAL_PERIOD",
        2,
        "CAMPUS.BEST_METRIC",
        "val/total_loss",
    ]
    train(export, output, *opts)
    return output


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "output")


def cosine(base, iteration, total):
    return base * (1 + math.cos(math.pi * iteration / total)) / 2


# Keys given with --resume: what the run then does, which is the error, or (the rate of iteration 4, and the
# hyperparameters of the groups without and with normalisation in the end).
SIX = ["SOLVER.MAX_ITER", 6]
NO_TEST = ["DATASETS.TEST", "()"]
RESUMED = {
    "no other rate": (SIX, (cosine(0.002, 4, 6), {"weight_decay": 0.05}, {"weight_decay": 0.0})),
    "epochs": (["CAMPUS.EPOCHS", 2], (cosine(0.002, 4, 7), {}, {})),  # 14 photos at 4 a batch, twice
    "rate": ([*SIX, "SOLVER.BASE_LR", "1e-5"], (cosine(1e-5, 4, 6), {"initial_lr": 1e-5}, {"initial_lr": 1e-5})),
    "no rate": ([*SIX, "SOLVER.BASE_LR", 0], (0.0, {"initial_lr": 0.0}, {})),
    "decay": ([*SIX, "SOLVER.WEIGHT_DECAY", 0.3], (cosine(0.002, 4, 6), {"weight_decay": 0.3}, {"weight_decay": 0.0})),
    "decay of norms": ([*SIX, "SOLVER.WEIGHT_DECAY_NORM", 0.2], (cosine(0.002, 4, 6), {}, {"weight_decay": 0.2})),
    "curve": ([*SIX, "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", "(3,)"], (0.0002, {}, {})),
    "warm-up": ([*SIX, "SOLVER.WARMUP_ITERS", 5], (0.002 * (0.001 / 5 + 4 / 5 * cosine(1, 5, 6)), {}, {})),
    "end": ([*SIX, "SOLVER.BASE_LR_END", 0.001], (0.001 + cosine(0.001, 4, 6), {}, {})),
    "photos for testing": ([*SIX, *NO_TEST], (cosine(0.002, 4, 6), {}, {})),
    "size": ([*SIX, "CAMPUS.INPUT_SIZE", 96], (cosine(0.002, 4, 6), {}, {})),
    "optimizer": ([*SIX, "CAMPUS.OPTIMIZER", "SGD"], "CAMPUS.OPTIMIZER SGD: .*model_final.pth was trained with AdamW"),
    "frozen": ([*SIX, "MODEL.BACKBONE.FREEZE_AT", 2], "MODEL.BACKBONE.FREEZE_AT: leave the key out"),
    "width": ([*SIX, "MODEL.FPN.OUT_CHANNELS", 24], "weights of another model .*go on with the config.yaml"),
    "channels": ([*SIX, "CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16]"], "four stages are wanted"),
    "classes": ([*SIX, "CAMPUS.CLASSES", "['person', 'dog', 'car']"], "their order is frozen with the run"),
    "export": ([*SIX, "CAMPUS.EXPORT", "other.zip"], "was imported from"),
    "batch": ([*SIX, "SOLVER.IMS_PER_BATCH", 2], "keeps its batch of 4"),
    "metric": ([*SIX, "CAMPUS.BEST_METRIC", "test/total_loss"], "those for testing choose no model"),
    "schedule": ([*SIX, "SOLVER.BASE_LR_END", 1], "no learning-rate schedule"),
    "batch norm": ([*SIX, "TEST.PRECISE_BN.ENABLED", "True"], "TEST.PRECISE_BN.ENABLED True: .*could not repeat"),
}


@pytest.mark.parametrize("case", RESUMED)
def test_keys_given_on_resume(case, export, copy, capsys):
    opts, expected = RESUMED[case]
    before = snapshot(copy), (copy / "log.txt").read_bytes()
    if isinstance(expected, str):
        with pytest.raises(SystemExit) as stopped:
            train(export, copy, *opts, flags=["--resume"])
        error = capsys.readouterr().err.splitlines()
        assert stopped.value.code == 2 and len(error) == 1 and re.search(expected, error[0]), error
        assert (snapshot(copy), (copy / "log.txt").read_bytes()) == before
        return
    rate, plain, norms = expected
    train(export, copy, *opts, "TEST.EVAL_PERIOD", 1, *NO_TEST, flags=["--resume"])
    lines = [json.loads(line) for line in (copy / "metrics.json").read_text().splitlines()]
    assert [line["lr"] for line in lines if line["iteration"] == 4] == [pytest.approx(rate)]
    groups = torch.load(copy / "model_final.pth")["trainer"]["_trainer"]["optimizer"]["param_groups"]
    for group, wanted in zip(groups, (plain, norms), strict=True):
        assert {**group, **wanted} == group


def evaluated(output):
    """What the log says of the model evaluated last."""
    return [line for line in (output / "log.txt").read_text().splitlines() if "The model evaluated is" in line][-1]


@pytest.mark.parametrize(
    "opts, said",
    [
        ([], r"the best, of iteration \d with val/total_loss [\d.]+ on campus_val; [^;]*\. Its"),
        (["CAMPUS.BEST_METRIC", "bbox/AP"], r"with val/total_loss .*; nothing was evaluated by bbox/AP yet\. Its"),
    ],
)
def test_a_finished_run_keeps_its_best_model(opts, said, copy, export):
    """By the metric that chose it, and by another one, which has nothing to choose from."""
    before = (copy / "model_best.pth").read_bytes()
    figures = {path: path.read_bytes() for path in copy.glob("inference/*/metrics.json")}
    train(export, copy, "SOLVER.MAX_ITER", 4, "TEST.EVAL_PERIOD", 2, *opts, flags=["--resume"])
    assert (copy / "model_best.pth").read_bytes() == before
    assert figures and {path: path.read_bytes() for path in figures} == figures
    assert re.search(said, evaluated(copy))
    assert "Nothing is left to train; a larger SOLVER.MAX_ITER would go on" in (copy / "log.txt").read_text()


def test_another_metric_in_the_middle_of_a_run(copy, export):
    train(export, copy, *SIX, "CAMPUS.BEST_METRIC", "bbox/AP", flags=["--resume"])
    assert torch.load(copy / "model_best.pth")["metric"] == "bbox/AP"
    assert "; judged by bbox/AP since iteration 5. Its segm/AP" in evaluated(copy)


def test_the_best_model_lives_through_a_resume_without_validation(copy, export):
    before = (copy / "model_best.pth").read_bytes()
    train(export, copy, *SIX, *NO_TEST, flags=["--resume"])
    assert (copy / "model_best.pth").read_bytes() == before
    train(export, copy, *SIX, "DATASETS.TEST", "('campus_val',)", flags=["--resume"])
    assert (copy / "model_best.pth").read_bytes() == before
    assert "; after iteration 3 nothing was evaluated there. Its segm/AP: campus_val" in evaluated(copy)


def test_the_report_on_the_import_is_gone(copy, export):
    """The import is made again, by the run's own split; what was trained stays."""
    split, metrics = (copy / "split.json").read_bytes(), (copy / "metrics.json").read_bytes()
    before = (copy / "model_best.pth").read_bytes()
    (copy / "import_report.json").unlink()
    train(export, copy, *SIX, *NO_TEST, "CAMPUS.SPLIT_SEED", 5, flags=["--resume"])
    assert (copy / "import_report.json").is_file() and (copy / "split.json").read_bytes() == split
    assert (copy / "metrics.json").read_bytes().startswith(metrics)
    assert (copy / "model_best.pth").read_bytes() == before
    assert torch.load(copy / "model_final.pth")["iteration"] == 5


def test_an_epoch_too_few_is_named_by_the_key_that_counts(export, tmp_path):
    opts = ["CAMPUS.EPOCHS", 1, *NO_TEST]
    train(export, tmp_path, *opts)
    train(export, tmp_path, *opts, flags=["--resume"])
    assert "Nothing is left to train; a larger CAMPUS.EPOCHS would go on" in (tmp_path / "log.txt").read_text()


def test_too_little_memory_leaves_the_config_as_it_was(copy, export, monkeypatch):
    """It shows in the trial step, when the run is set up already."""
    before = (copy / "config.yaml").read_bytes()

    def forward(self, image):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("campus_seg.modeling.mini_backbone.MiniBackbone.forward", forward)
    with pytest.raises(SystemExit):
        train(export, copy, *SIX, "CAMPUS.INPUT_SIZE", 256, flags=["--resume"])
    assert (copy / "config.yaml").read_bytes() == before
