"""Whole commands on photos, runs and results behind URIs: the same bytes as on the disk."""

import json
import zipfile

import cv2
import numpy as np
import pytest
import torch
from fake_bucket import new_command
from small_models import write_run
from small_runs import losses, train

from campus_seg.config import load_config, use_run_weights
from campus_seg.modeling.checkpoint import is_checkpoint
from campus_seg.modeling.weights_file import read_checkpoint
from campus_seg.storage_objects import local_folder
from campus_seg.tools.visualize import main as visualize

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = ("SOLVER.MAX_ITER", 4, "SOLVER.WARMUP_ITERS", 1, "DATASETS.TEST", "()", "SOLVER.CHECKPOINT_PERIOD", 2)


def put(bucket, folder, prefix):
    """Sends a folder into the bucket."""
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.objects[f"b/{prefix}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()


def model_of(folder):
    return torch.load(folder / "model_final.pth", weights_only=True)["model"]


def unpacked(export, folder):
    with zipfile.ZipFile(export) as archive:
        archive.extractall(folder)
    return folder


def test_a_run_in_a_bucket_is_that_on_the_disk_and_goes_on(bucket, export, tmp_path, capsys):
    put(bucket, unpacked(export, tmp_path / "export"), "export")
    train(tmp_path / "export", tmp_path / "run", *SHORT)
    train("s3://b/export", "s3://b/run", *SHORT)
    with pytest.raises(SystemExit) as ended:
        train("s3://b/export", "s3://b/run", *SHORT)
    assert ended.value.code == 2
    assert "error: s3://b/run: holds a trained run already; go on with --resume" in capsys.readouterr().err
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    there = {key.removeprefix("b/run/") for key in bucket.objects if key.startswith("b/run/")}
    assert {name for name in there if "tfevents" not in name} == {name for name in names if "tfevents" not in name}
    with local_folder("s3://b/run", "model_final.pth", "metrics.json") as copy:
        expected, found = model_of(tmp_path / "run"), model_of(copy)
        assert losses(copy) == losses(tmp_path / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    images = json.loads(bucket.objects["b/run/import/campus_train.json"])["images"]
    assert all(image["file_name"].startswith("s3://b/export/images/") for image in images)
    cfg = load_config("s3://b/run/config.yaml")
    use_run_weights(cfg, "s3://b/run/config.yaml")
    assert (cfg.OUTPUT_DIR, cfg.MODEL.WEIGHTS) == ("s3://b/run", "s3://b/run/model_final.pth")
    assert cfg.CAMPUS.SPLIT_FILE == "s3://b/run/split.json"
    assert read_checkpoint(cfg.MODEL.WEIGHTS)["iteration"] == 3
    new_command()
    longer = [*SHORT[2:], "SOLVER.MAX_ITER", 6]
    train(tmp_path / "export", tmp_path / "run", *longer, flags=["--resume"])
    train("s3://b/export", "s3://b/run", *longer, flags=["--resume"])
    with local_folder("s3://b/run", "model_final.pth") as copy:
        expected, found = model_of(tmp_path / "run"), model_of(copy)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_that_cannot_write_its_output_fails_before_training(bucket, export, capsys, monkeypatch):
    monkeypatch.setattr(bucket, "put_file", lambda *_, **__: (_ for _ in ()).throw(PermissionError("AccessDenied")))
    with pytest.raises(SystemExit) as ended:
        train(export, "s3://b/run", *SHORT)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "access is refused; set AWS_ACCESS_KEY_ID" in said and said.count("\n") == 1
    assert not bucket.objects


def test_a_server_that_is_away_for_a_checkpoint_ends_no_training(bucket, export, monkeypatch):
    put_file = bucket.put_file

    def no_periodic(self, lpath, rpath, **kwargs):
        if rpath.endswith("model_0000001.pth") and not getattr(bucket, "back", False):
            bucket.back = True
            raise PermissionError("AccessDenied")
        put_file(self, lpath, rpath)

    monkeypatch.setattr(bucket, "put_file", no_periodic)
    monkeypatch.setattr(bucket, "back", False, raising=False)
    train(export, "s3://b/run", *SHORT)
    assert bucket.back
    checkpoints = {key for key in bucket.objects if is_checkpoint(key.removeprefix("b/run/"))}
    assert {"b/run/model_0000001.pth", "b/run/model_final.pth", "b/run/last_checkpoint"} <= checkpoints


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos" / "walk").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "walk/b.png", "c.jpg")):
        noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / name), noise)
    return tmp_path / "photos"


def masked(run, photos, output, *more):
    return visualize(["--config-file", f"{run}/config.yaml", "--input", str(photos), "--output", str(output), *more])


def test_masks_of_a_bucket_are_those_of_the_disk_and_go_on(bucket, photos, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run")
    put(bucket, tmp_path / "run", "run")
    put(bucket, photos, "photos")
    assert masked(tmp_path / "run", photos, tmp_path / "masked") == 0
    assert masked("s3://b/run", "s3://b/photos", "s3://b/masked") == 0
    assert "gallery       s3://b/masked/index.html" in capsys.readouterr().out
    files = {p.relative_to(tmp_path / "masked").as_posix(): p for p in (tmp_path / "masked").rglob("*") if p.is_file()}
    there = {key.removeprefix("b/masked/"): key for key in bucket.objects if key.startswith("b/masked/")}
    pictures = {name for name in files if not name.startswith(".journal")}
    assert {name for name in there if not name.startswith(".journal")} == pictures
    assert all(bucket.objects[there[name]] == files[name].read_bytes() for name in pictures)
    new_command()
    before = dict(bucket.objects)
    bucket.calls.clear()
    assert masked("s3://b/run", "s3://b/photos", "s3://b/masked") == 0
    assert "of an earliercommand 3 photos" in capsys.readouterr().out.replace("earlier ", "earlier")
    assert {name: bucket.objects[name] for name in before if "journal" not in name} == {
        name: content for name, content in before.items() if "journal" not in name
    }
    del bucket.objects["b/photos/c.jpg"]
    bucket.objects["b/photos/d.jpg"] = b"no photo"
    new_command()
    assert masked("s3://b/run", "s3://b/photos", "s3://b/masked") == 3
    assert [f["file_name"] for f in json.loads(bucket.objects["b/masked/failures.json"])] == ["d.jpg"]
