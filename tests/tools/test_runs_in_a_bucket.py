"""Whole commands on photos, runs and results behind URIs: the same bytes as on the disk."""

import json
import zipfile

import cv2
import numpy as np
import pytest
import torch
from drawn import draw_export
from fake_bucket import new_command
from judged_runs import write_judged_run
from small_models import write_run
from small_runs import losses, train

from campus_seg.config import load_config, use_run_weights
from campus_seg.evaluation.run_files import is_of_run
from campus_seg.modeling.checkpoint import is_checkpoint
from campus_seg.modeling.weights_file import read_checkpoint
from campus_seg.storage_objects import local_folder
from campus_seg.tools.report import main as report
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
    assert all(map(is_of_run, names))
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
    log = bucket.objects["b/run/log.txt"].decode()
    assert "remarks in s3://b/run/import_report.json" in log and "cache" not in log.partition("Environment")[0]
    new_command()
    longer = [*SHORT[2:], "SOLVER.MAX_ITER", 6]
    train(tmp_path / "export", tmp_path / "run", *longer, flags=["--resume"])
    train("s3://b/export", "s3://b/run", *longer, flags=["--resume"])
    with local_folder("s3://b/run", "model_final.pth") as copy:
        expected, found = model_of(tmp_path / "run"), model_of(copy)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_secret_given_to_a_run_that_goes_on_is_written_nowhere(bucket, export, capfd):
    train(export, "s3://b/run", *SHORT)
    before = dict(bucket.objects)
    for key in ("CAMPUS.IMAGE_ROOT", "CAMPUS.SPLIT_FILE", "MODEL.WEIGHTS"):
        with pytest.raises(SystemExit) as ended:
            train(export, "s3://b/run", *SHORT, key, "https://h/x.zip?X-Amz-Signature=hunter2", flags=["--resume"])
        assert ended.value.code == 2
    said = capfd.readouterr()
    assert said.err.count("error: https://h/x.zip: is a signed address") == 3
    assert "hunter2" not in said.out + said.err
    assert bucket.objects == before


def test_runs_in_a_bucket_are_compared_by_their_records_alone(bucket, tmp_path, capsys):
    export = draw_export(photos=40).write_zip(tmp_path / "export.zip")
    for name, share in (("first", 0.3), ("second", 0.95)):
        write_judged_run(tmp_path / name, export, share=share, trained=False)
        put(bucket, tmp_path / name, name)
        bucket.objects[f"b/{name}/model_final.pth"] = b"large"
    before = dict(bucket.objects)
    report(["--compare", str(tmp_path / "first"), str(tmp_path / "second"), "--output", str(tmp_path / "page.html")])
    expected = capsys.readouterr().out.replace(str(tmp_path / "page.html"), "s3://b/second/report/comparison.html")
    records = sum(key.endswith((".json", ".yaml")) for key in bucket.objects)
    report(["--compare", "s3://b/first", "s3://b/second"])
    assert capsys.readouterr().out == expected.replace(str(tmp_path), "s3://b")
    assert bucket.calls["get"] == records
    page = bucket.objects.pop("b/second/report/comparison.html").decode()
    assert bucket.objects == before and "s3://b/first" in page
    for output in ("s3://b/page.html", "s3://page.html"):
        with pytest.raises(SystemExit):
            report(["--compare", "s3://b/first", "s3://b/second", "--output", output])
        assert f"{output}: a file on this machine is wanted here" in capsys.readouterr().err
    report(["--compare", "s3://b/first", "s3://b/first"])
    assert capsys.readouterr().out.count("  s3://b/first") == 2


def test_the_page_of_a_run_in_a_bucket_takes_its_best_model_alone(bucket, tmp_path, monkeypatch):
    write_judged_run(tmp_path / "run", draw_export(photos=40).write_zip(tmp_path / "export.zip"))
    put(bucket, tmp_path / "run", "run")
    for name in ("best", "best_before", "final", "0000001"):
        bucket.objects[f"b/run/model_{name}.pth"] = b"large"
    before, got, get_file = dict(bucket.objects), [], bucket.get_file
    monkeypatch.setattr(bucket, "get_file", lambda self, key, *a, **k: (got.append(key), get_file(self, key, *a, **k)))
    report(["--config-file", "s3://b/run/config.yaml"])
    assert {key for key in got if key.endswith(".pth")} == {"b/run/model_best.pth"}
    assert "b/run/report/index.html" in bucket.objects and before.keys() <= bucket.objects.keys()


def test_all_that_a_run_leaves_is_its_own_and_nothing_else():
    own = (
        "import/images/a\nb.jpg",
        "report/index.html",
        "model_0000001.pth",
        "last_checkpoint",
        "split.json",
        "log.txt",
    )
    assert all(map(is_of_run, own))
    assert not any(
        map(is_of_run, ("notes.md", "last_checkpoint.md", "model_x.pth.zip", "old/split.json", "a\nlog.txt"))
    )


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
    with pytest.raises(SystemExit) as ended:
        masked("s3://b/run", "s3://b/masked/overlay/*.jpg", "s3://b/masked")
    assert ended.value.code == 2 and "lies among the outputs in s3://b/masked" in capsys.readouterr().err
    del bucket.objects["b/photos/c.jpg"]
    bucket.objects["b/photos/d.jpg"] = b"no photo"
    new_command()
    assert masked("s3://b/run", "s3://b/photos", "s3://b/masked") == 3
    assert [f["file_name"] for f in json.loads(bucket.objects["b/masked/failures.json"])] == ["d.jpg"]


def test_where_results_go_is_looked_at_before_any_photo_is(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bucket, "put_file", lambda *_, **__: (_ for _ in ()).throw(PermissionError("AccessDenied")))
    monkeypatch.setattr("campus_seg.inference.inputs.find_photos", lambda *_: pytest.fail("photos were looked for"))
    (tmp_path / "file").touch()
    for output, told in (("s3://b/masked", "access is refused"), (tmp_path / "file" / "out", "cannot be written to")):
        with pytest.raises(SystemExit) as ended:
            masked("s3://b/run", "s3://b/photos", output)
        assert ended.value.code == 2 and told in capsys.readouterr().err


def test_a_photo_that_is_refused_costs_no_other(bucket, photos, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run")
    put(bucket, photos, "photos")
    get_file = bucket.get_file

    def not_that_one(self, rpath, lpath, **kwargs):
        if rpath == "b/photos/walk/b.png":
            raise PermissionError("InvalidObjectState")
        get_file(self, rpath, lpath)

    monkeypatch.setattr(bucket, "get_file", not_that_one)
    assert masked(tmp_path / "run", "s3://b/photos", tmp_path / "masked") == 3
    (failure,) = json.loads((tmp_path / "masked" / "failures.json").read_text())
    assert failure["file_name"] == "walk/b.png" and "the server refuses this file" in failure["reason"]
    assert len(json.loads((tmp_path / "masked" / "predictions.json").read_text())["images"]) == 2
