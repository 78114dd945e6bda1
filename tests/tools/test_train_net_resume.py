"""Runs that go on, and what of an earlier run a new one keeps."""

import json
import shutil
import zipfile

import pytest
import torch
from drawn import draw_export
from small_runs import schedule_of, snapshot, train

from campus_seg.data.mapper import CampusMapper
from campus_seg.tools.train_net import main
from campus_seg.tools.visualize import main as visualize


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
