"""The command, from a run's config.yaml to pictures, with a small model of random weights."""

import csv
import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from drawn import draw_export
from PIL import Image
from pycocotools import mask as mask_util
from small_models import write_run

from campus_seg.data.datasets import write_datasets
from campus_seg.evaluation.thresholds import write_thresholds
from campus_seg.inference import folder
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.tools.visualize import main
from campus_seg.videos import Frame, VideoReader, VideoWriter

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder as training leaves it: config.yaml and model_final.pth."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    """Two photos, one of them below another folder."""
    (tmp_path / "photos" / "walk").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "walk/b.png")):
        noise = np.random.default_rng(i).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def visualize(run, photos, *more):
    """Runs the command; returns its status and the output folder."""
    output = photos.parent / "masked"
    argv = ["--config-file", run / "config.yaml", "--input", photos, "--output", output, *more]
    return main([str(argument) for argument in argv]), output


def masked_photos(output, kind):
    """The names of the photos in predictions.json, which are those of the pictures of a kind."""
    images = json.loads((output / "predictions.json").read_text())["images"]
    names = sorted(image["file_name"].rpartition(".")[0] for image in images)
    assert sorted(path.stem for path in (output / kind).iterdir()) == names
    return names


def test_a_folder_is_masked(run, photos, capsys):
    (photos / "notes.txt").write_text("")
    status, output = visualize(run, photos, "--confidence-threshold", "0.3")
    assert status == 0
    predictions = json.loads((output / "predictions.json").read_text())
    assert [image["file_name"] for image in predictions["images"]] == ["a.jpg", "walk/b.png"]
    assert [category["name"] for category in predictions["categories"]] == ["bench", "car"]
    assert len(predictions["annotations"]) > 2
    for image in predictions["images"]:
        name = image["file_name"].split(".")[0]
        found = [a for a in predictions["annotations"] if a["image_id"] == image["id"]]
        masks = [mask_util.decode(a["segmentation"]).astype(bool) for a in found]
        union = np.any([*masks, np.zeros((90, 120), bool)], axis=0)
        binary = cv2.imread(str(output / f"binary/{name}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(binary == 255, union)
        ids = cv2.imread(str(output / f"instances/{name}.png"), cv2.IMREAD_UNCHANGED)
        for a, mask in zip(found, masks, strict=True):
            assert a["score"] > 0.3
            assert mask[ids == a["instance_id"]].all()
            assert mask.sum() == a["area"]
        assert (output / f"overlay/{name}.jpg").is_file()
        assert len(list((output / f"cutouts/{name}").glob("*.png"))) == len(found)
    assert json.loads((output / "failures.json").read_text()) == []
    said = capsys.readouterr().out
    assert "photos masked 2\n" in said
    assert f"objects found {len(predictions['annotations'])}\n" in said
    assert "files skipped 1 (neither photos nor videos by their names)\n" in said
    assert "photos/s      " in said
    assert str(output / "overlay") in said
    with (output / "summary.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(predictions["annotations"])
    names = ["bench", "car"]
    for row, a in zip(table, predictions["annotations"], strict=True):
        assert (row["photo"], row["class"]) == (
            predictions["images"][a["image_id"] - 1]["file_name"],
            names[a["category_id"] - 1],
        )
        assert float(row["share"]) == pytest.approx(a["area"] / (90 * 120), rel=1e-5)
    for name in names:
        count = sum(row["class"] == name for row in table)
        assert not count or f"{count} {name}\n" in said
    assert sorted(path.name for path in (output / "thumbnails").rglob("*.jpg")) == ["a.jpg", "b.jpg"]
    assert '"walk/b.png","walk/b",120,90,1,[[1,' in (output / "gallery.js").read_text()
    assert str(output / "summary.csv") in said
    assert f"gallery       {output / 'index.html'} (open it in a browser)\n" in said


def test_videos_are_masked_beside_photos(run, photos, capsys):
    with VideoWriter(photos / "walk" / "b.mp4", Fraction(25), Fraction(1, 25)) as movie:
        for i in range(3):
            movie.add(Frame(i, Fraction(i, 25), np.full((90, 120, 3), 80 * i, np.uint8)))
    (photos / "cut.mov").write_bytes((photos / "walk" / "b.mp4").read_bytes()[:1000])
    status, output = visualize(run, photos, "--confidence-threshold", "0.3")
    assert status == 3
    assert [failure["file_name"] for failure in json.loads((output / "failures.json").read_text())] == ["cut.mov"]
    assert len(list(VideoReader(output / "videos/walk/b.mp4"))) == 3
    assert [image["id"] for image in json.loads((output / "videos/walk/b.json").read_text())["images"]] == [1, 2, 3]
    said = capsys.readouterr().out
    assert "photos: 2, videos: 2\n" in said
    assert "videos masked 1 (3 frames)\n" in said
    assert f"videos failed 1 (see {output / 'failures.json'})\n" in said
    assert f"videos        {output / 'videos'}\n" in said


def test_the_gallery_has_no_pictures_of_an_earlier_run(run, photos):
    visualize(run, photos, "--save", "overlay", "--confidence-threshold", "0")
    _, output = visualize(run, photos, "--save", "binary", "--confidence-threshold", "1", "--overwrite")
    assert (output / "overlay" / "a.jpg").is_file()
    assert '["a.jpg","a",120,90,0,[]]' in (output / "gallery.js").read_text()


def test_the_threshold_is_half_unless_given_and_opts_win(run, photos):
    def scores(*more):
        _, output = visualize(run, photos, "--save", "predictions", "--overwrite", *more)
        return [a["score"] for a in json.loads((output / "predictions.json").read_text())["annotations"]]

    low = scores("--confidence-threshold", "0")
    assert min(low) < 0.3
    assert scores() == [score for score in low if score > 0.5] != []
    assert scores("--confidence-threshold", "1") == []
    assert scores("--confidence-threshold", "1", "--opts", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0") == low


def test_auto_takes_the_thresholds_that_did_best_on_val(run, photos, tmp_path, capsys):
    """By class; of one that has none, 0.5; a number given with it wins."""

    def scores(*more):
        _, output = visualize(copy, photos, "--save", "predictions", "--overwrite", "--confidence-threshold", *more)
        found = json.loads((output / "predictions.json").read_text())["annotations"]
        return {
            name: [a["score"] for a in found if a["category_id"] == i] for i, name in enumerate(("bench", "car"), 1)
        }

    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    everything = scores("0")
    middle = {name: float(np.median(sorted({*values})[:2])) for name, values in everything.items()}
    write_thresholds(copy, "campus_val", {name: {"threshold": value} for name, value in middle.items()})
    assert scores("auto") == {name: [s for s in everything[name] if s > middle[name]] for name in middle}
    assert f"thresholds: bench {middle['bench']:.2f}, car {middle['car']:.2f}\n" in capsys.readouterr().out
    assert scores("auto", "--opts", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0") == everything
    assert "thresholds: " not in capsys.readouterr().out
    assert scores("auto", "car=0") == {**scores("auto"), "car": everything["car"]}
    write_thresholds(copy, "campus_val", {"bench": {"threshold": 0.0}, "car": {"threshold": None}})
    assert scores("auto") == {"bench": everything["bench"], "car": [s for s in everything["car"] if s > 0.5]}


def test_auto_wants_a_run_that_was_evaluated(run, photos, capsys):
    with pytest.raises(SystemExit) as stopped:
        visualize(run, photos, "--confidence-threshold", "auto")
    assert stopped.value.code == 2
    assert f"{run / 'thresholds.json'}: the run's best thresholds cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, model, said",
    [
        (["auto"], "0123", "thresholds.json: these thresholds were chosen for other weights; evaluate the run"),
        (["auto"], None, "thresholds.json: has a class tree, the model knows bench, car; evaluate the run"),
        (["auto", "0.3"], None, "--confidence-threshold auto 0.3: give one for all classes"),
        (["0.3", "car=0.1", "auto"], None, "--confidence-threshold 0.3 auto: give one for all classes"),
    ],
)
def test_thresholds_that_do_not_go_together(given, model, said, run, photos, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    write_thresholds(copy, "campus_val", {"tree": {"threshold": 0.4}}, model)
    with pytest.raises(SystemExit) as stopped:
        visualize(copy, photos, "--confidence-threshold", *given)
    assert stopped.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "masked").exists()


def test_an_unreadable_photo_gives_status_3_and_the_rest_is_masked(run, photos, capsys):
    (photos / "a_cut.jpg").write_bytes((photos / "a.jpg").read_bytes()[:400])
    status, output = visualize(run, photos, "--save", "binary")
    assert status == 3
    assert [f["file_name"] for f in json.loads((output / "failures.json").read_text())] == ["a_cut.jpg"]
    assert sorted(p.name for p in output.rglob("*.png")) == ["a.png", "b.png"]
    assert (output / "index.html").is_file()
    assert f"photos failed 1 (see {output / 'failures.json'})" in capsys.readouterr().out


def test_a_coco_file_as_input(run, photos):
    (photos / "images").mkdir()
    (photos / "a.jpg").rename(photos / "images" / "a.jpg")
    (photos / "test.json").write_text(json.dumps({"images": [{"id": 9, "file_name": "a.jpg"}]}))
    status, output = visualize(run, photos / "test.json", "--output", photos.parent / "masked", "--save", "rgb")
    assert status == 0
    assert masked_photos(photos.parent / "masked", "rgb") == ["a"]


def test_the_import_of_a_folder_is_masked_where_it_lies(run, tmp_path):
    drawn = draw_export(photos=3)
    (tmp_path / "export" / "images").mkdir(parents=True)
    (tmp_path / "export" / "result.json").write_text(json.dumps(drawn.coco))
    for name, content in drawn.photos.items():
        (tmp_path / "export" / "images" / name).write_bytes(content)
    export = read_export(str(tmp_path / "export"), ExportOptions())
    everything = [photo.name for photo in export.photos]
    write_datasets(export, {"train": everything[:1], "val": [], "test": everything[1:]}, tmp_path / "run")
    coco = tmp_path / "run" / "import" / "campus_test.json"
    assert all(Path(image["file_name"]).is_absolute() for image in json.loads(coco.read_text())["images"])
    status, _ = visualize(run, coco, "--output", tmp_path / "masked", "--save", "binary")
    assert status == 0
    assert masked_photos(tmp_path / "masked", "binary") == sorted(Path(name).stem for name in everything[1:])


def test_model_best_goes_before_model_final(run, photos, tmp_path, capsys):
    for name in ("config.yaml", "model_final.pth"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "model_best.pth").write_bytes((run / "model_final.pth").read_bytes())
    visualize(tmp_path, photos, "--save", "predictions")
    assert str(tmp_path / "model_best.pth") in capsys.readouterr().out
    visualize(tmp_path, photos, "--save", "predictions", "--opts", "MODEL.WEIGHTS", tmp_path / "model_final.pth")
    assert str(tmp_path / "model_final.pth") in capsys.readouterr().out


def test_tiles_are_looked_at_where_a_photo_is_larger(run, photos, capsys):
    def annotations(*more):
        _, output = visualize(
            run, photos, "--save", "predictions", "--confidence-threshold", "0.2", "--overwrite", *more
        )
        return json.loads((output / "predictions.json").read_text())["annotations"]

    whole = annotations()
    capsys.readouterr()
    assert annotations("--tile", "120") == whole
    assert ", tiles of 120 px, overlap 0.2, photos: 2\n" in capsys.readouterr().out
    tiled = annotations("--tile", "64", "--overlap", "0.5")
    assert ", tiles of 64 px, overlap 0.5, photos: 2\n" in capsys.readouterr().out
    assert tiled != whole
    for annotation in tiled:
        x, y, w, h = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + w <= 120 and y + h <= 90


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--confidence-threshold", "1.5"], "1.5 is not within 0 and 1"),
        (["--confidence-threshold", "nan"], "nan is not within 0 and 1"),
        (["--confidence-threshold", "high"], "invalid threshold value"),
        (["--confidence-threshold", "0.5", "cat=0.3"], "class cat: the model knows bench, car"),
        (["--confidence-threshold", "car=2"], "car=2 is not within 0 and 1"),
        (["--classes", "car", "cat"], "class cat: the model knows bench, car"),
        (["--min-area", "-1"], "-1 is less than 0"),
        (["--num-gpus", "0"], "0 is less than 1"),
        (["--machine-rank", "1"], "--machine-rank 1: the machines' numbers are 0 to 0"),
        (["--num-machines", "2"], "--dist-url"),
        (["--save", "video"], "'overlay', 'binary', 'rgb', 'instances', 'cutouts', 'predictions'"),
        (["--save"], "expected at least one argument"),
        (["--input", "nowhere"], "nowhere: no such file or folder"),
        (["--config-file", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--opts", "NO.SUCH.KEY", "1"], "NO.SUCH.KEY"),
        (["--opts", "CAMPUS.CLASSES", "['bench']"], "1 names"),
        (["--opts", "MODEL.WEIGHTS", "nowhere.pth"], "nowhere.pth"),
        (["--opts", "CAMPUS.RESIZE", "squash"], 'CAMPUS.RESIZE is "squash"; give one of fit, stretch'),
        (["--opts", "CAMPUS.INPUT_SIZE", "0"], "CAMPUS.INPUT_SIZE is 0"),
        (["--min-area", "much"], "argument --min-area: much is no whole number"),
        (["--tile", "31"], "error: --tile 31: a tile has at least 32 pixels a side"),
        (["--tile", "many"], "argument --tile: invalid int value: 'many'"),
        (["--tile", "64", "--overlap", "1"], "error: --overlap 1: a share from 0 to below 1 is wanted"),
        (["--tile", "64", "--overlap", "much"], "argument --overlap: invalid float value: 'much'"),
        (["--tile", "64", "--overlap", "-0.1"], "error: --overlap -0.1: a share from 0 to below 1"),
        (["--tile", "64", "--overlap", "nan"], "error: --overlap nan: a share from 0 to below 1"),
        (["--tile", "100", "--overlap", "0.99"], "some 10800 tiles of"),
        (["--overlap", "0.2"], "error: --overlap 0.2 is for tiles: give --tile PIXELS too"),
        (["--output", __file__], "test_visualize.py: cannot be written to (Not a directory)"),
    ],
)
def test_bad_commands_have_status_2_and_one_line(run, photos, more, message, capsys):
    with pytest.raises(SystemExit) as error:
        visualize(run, photos, *more)
    assert error.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not (photos.parent / "masked").exists()


def test_a_folder_without_photos_has_status_2(run, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("")
    with pytest.raises(SystemExit) as error:
        visualize(run, tmp_path / "photos")
    assert error.value.code == 2
    assert "no photos or videos here" in capsys.readouterr().err


def test_help_comes_without_torch():
    code = (
        f"import sys; sys.argv = ['visualize.py', '--help']; import runpy; runpy.run_path({str(TOOL)!r}, run_name='x')"
    )
    code += "['get_parser']('x').format_help(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    said = subprocess.run([sys.executable, str(TOOL), "--help"], check=True, capture_output=True, text=True).stdout
    assert "--confidence-threshold" in said


def test_as_a_program_its_status_reaches_the_shell(run, photos):
    (photos / "empty.jpg").touch()
    command = [sys.executable, str(TOOL), "--config-file", str(run / "config.yaml"), "--input", str(photos)]
    done = subprocess.run(
        [*command, "--output", str(photos.parent / "masked"), "--save", "binary"], capture_output=True
    )
    assert done.returncode == 3, done.stderr.decode()


def test_objects_can_be_chosen(run, photos):
    _, output = visualize(run, photos, "--save", "predictions", "--confidence-threshold", "0")
    everything = json.loads((output / "predictions.json").read_text())["annotations"]
    cars = [a for a in everything if a["category_id"] == 2]
    score, area = (sorted(a[name] for a in cars)[len(cars) // 3] for name in ("score", "area"))
    chosen = ["--confidence-threshold", "0.9", f"car={score}", "--classes", "car", "--min-area", area, "--overwrite"]
    _, output = visualize(run, photos, "--save", "predictions", *chosen)
    found = json.loads((output / "predictions.json").read_text())["annotations"]
    wanted = [a for a in cars if a["score"] > score and a["area"] >= area]
    assert 0 < len(wanted) < len(cars) < len(everything)
    assert [(a["bbox"], a["score"]) for a in found] == [(a["bbox"], a["score"]) for a in wanted]


def test_the_same_command_again_masks_nothing_twice(run, photos, capsys):
    visualize(run, photos, "--save", "binary")
    first = {path: path.stat().st_mtime_ns for path in (photos.parent / "masked" / "binary").rglob("*.png")}
    capsys.readouterr()
    assert visualize(run, photos, "--save", "binary")[0] == 0
    said = capsys.readouterr().out
    assert "of an earlier command 2 photos\n" in said and "photos/s" not in said
    assert {path: path.stat().st_mtime_ns for path in first} == first


def test_the_speed_is_that_of_the_photos_that_this_command_masked(run, photos, monkeypatch, capsys):
    visualize(run, photos, "--save", "binary")
    (photos.parent / "masked" / "binary" / "a.png").unlink()
    with VideoWriter(photos / "clip.mp4", Fraction(25), Fraction(1, 25)) as movie:
        movie.add(Frame(0, Fraction(0), np.zeros((32, 32, 3), np.uint8)))
    clock = [0]

    def takes(seconds, function):
        def slow(*arguments):
            clock[0] += seconds
            return function(*arguments)

        return slow

    monkeypatch.setattr(folder, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(folder, "read_photo", takes(4, folder.read_photo))
    monkeypatch.setattr(folder, "mask_video", takes(100, folder.mask_video))  # which is no photo
    capsys.readouterr()
    visualize(run, photos, "--save", "binary")
    said = capsys.readouterr().out
    assert "photos masked 2\n" in said and "photos/s      0.25\n" in said
    assert "of an earlier command 1 photos\n" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--save", "rgb"], "another --save"),
        (["--opts", "CAMPUS.INPUT_SIZE", "64"], "another input size"),
        (["--opts", "TEST.DETECTIONS_PER_IMAGE", "3"], "another model config"),
        (["--opts", "CAMPUS.INFERENCE.ENGINE", "eager"], "another engine"),
    ],
)
def test_results_of_other_options_are_not_mixed(run, photos, more, message, capsys):
    visualize(run, photos, "--save", "binary")
    with pytest.raises(SystemExit) as error:
        visualize(run, photos, "--save", "binary", *more)
    assert error.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in said and "--overwrite to begin anew" in said
