"""Folders masked by a stand-in for the model whose objects are known, compared with numbers worked out by hand."""

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from masked_folders import CLASSES, counted_as, draw, failures_of, files, mask, predict
from PIL import Image
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from campus_seg.errors import ConfigError
from campus_seg.inference.folder import as_the_first_sees_it, mask_photos
from campus_seg.inference.inputs import InputPhoto, find_photos
from campus_seg.inference.selection import Selection
from campus_seg.palette import class_colors


@pytest.fixture
def masked(tmp_path):
    """A masked folder: two sound photos, one without objects, three that cannot be read."""
    draw(tmp_path / "photos" / "b.png")
    draw(tmp_path / "photos" / "walk" / "a.png", seed=1)
    draw(tmp_path / "photos" / "narrow.png", width=40)
    (tmp_path / "photos" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "walk" / "text.png").write_text("no photo")
    summary = mask(tmp_path / "photos", tmp_path / "masked")
    assert counted_as(summary) == (3, 4, 3)
    return tmp_path / "masked"


def test_every_output_of_the_contract_is_there_and_nothing_else(masked):
    names = ("b", "narrow", "walk/a")
    objects = ("001_fire_extinguisher", "002_dog")
    assert set(files(masked)) == {
        "predictions.json",
        "legend.json",
        "failures.json",
        "summary.csv",
        "index.html",
        "gallery.js",
        *(f"thumbnails/{name}.jpg" for name in names),
        *(f"overlay/{name}.jpg" for name in names),
        *(f"{kind}/{name}.png" for kind in ("binary", "rgb", "instances") for name in names),
        *(f"cutouts/{name}/{part}.png" for name in ("b", "walk/a") for part in objects),
    }


def test_pixels_are_those_of_the_objects(masked):
    # 30 x 30 pixels each; they share columns 25 … 34 of rows 20 … 39, where the surer one is in front
    ids = cv2.imread(str(masked / "instances/b.png"), cv2.IMREAD_UNCHANGED)
    assert ids.dtype == np.uint16
    assert ids.shape == (60, 64)
    assert np.bincount(ids.ravel()).tolist() == [60 * 64 - 1600, 900, 700]
    assert (ids[20:50, 25:55] == 1).all()
    binary = cv2.imread(str(masked / "binary/b.png"), cv2.IMREAD_UNCHANGED)
    assert binary.ndim == 2
    assert np.array_equal(binary, np.where(ids > 0, 255, 0))
    rgb = np.asarray(Image.open(masked / "rgb/b.png"))
    colors = class_colors(3)
    assert (rgb[ids == 1] == colors[1]).all()
    assert (rgb[ids == 2] == colors[2]).all()
    assert (rgb[ids == 0] == 0).all()
    overlay = cv2.imread(str(masked / "overlay/b.jpg"))
    assert overlay.shape == (60, 64, 3)


def test_cutouts_hold_the_whole_object_in_the_photos_own_colours(masked, tmp_path):
    photo = np.asarray(Image.open(tmp_path / "photos/walk/a.png"))
    cutout = Image.open(masked / "cutouts/walk/a/002_dog.png")
    assert cutout.mode == "RGBA"
    pixels = np.asarray(cutout)
    assert (pixels[..., 3] == 255).all()  # also what lies behind the other object
    assert np.array_equal(pixels[..., :3], photo[10:40, 5:35])


def test_a_photo_without_objects_has_empty_pictures(masked):
    for kind in ("binary", "rgb", "instances"):
        picture = cv2.imread(str(masked / kind / "narrow.png"), cv2.IMREAD_UNCHANGED)
        assert picture.shape[:2] == (60, 40)
        assert not picture.any()


def test_predictions_are_coco(masked):
    predictions = json.loads((masked / "predictions.json").read_text())
    assert predictions["images"] == [
        {"id": 1, "file_name": "b.png", "width": 64, "height": 60},
        {"id": 2, "file_name": "narrow.png", "width": 40, "height": 60},
        {"id": 3, "file_name": "walk/a.png", "width": 64, "height": 60},
    ]
    assert predictions["categories"] == [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    rows = [(a["id"], a["image_id"], a["category_id"], a["instance_id"]) for a in predictions["annotations"]]
    assert rows == [(1, 1, 2, 1), (2, 1, 3, 2), (3, 3, 2, 1), (4, 3, 3, 2)]
    first = predictions["annotations"][0]
    assert first["score"] == 0.9
    assert first["bbox"] == [25, 20, 30, 30]
    assert first["area"] == 900
    assert first["iscrowd"] == 0
    assert isinstance(first["segmentation"]["counts"], str)
    decoded = mask_util.decode(first["segmentation"])
    assert decoded.shape == (60, 64)
    ids = cv2.imread(str(masked / "instances/b.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded, ids == 1)
    coco = COCO(masked / "predictions.json")
    assert len(coco.getAnnIds(imgIds=[3])) == 2


def test_the_legend_names_every_class(masked):
    legend = json.loads((masked / "legend.json").read_text())
    assert list(legend) == CLASSES
    red, green, blue = class_colors(2)[1]
    assert legend["fire / extinguisher"] == {
        "id": 2,
        "rgb": [red, green, blue],
        "hex": f"#{red:02x}{green:02x}{blue:02x}",
    }


def test_failures_are_listed_with_reasons(masked):
    failures = json.loads((masked / "failures.json").read_text())
    assert [failure["file_name"] for failure in failures] == ["cut.jpg", "empty.jpg", "walk/text.png"]
    assert failures[1]["reason"] == "the file is empty"
    assert all(failure["reason"] for failure in failures)


def test_a_second_run_writes_the_same_bytes_and_removes_nothing(masked, tmp_path):
    first = files(masked)
    (masked / "mine.txt").write_text("keep")
    mask(tmp_path / "photos", masked)
    assert files(masked) == {**first, "mine.txt": b"keep"}
    mask(tmp_path / "photos", masked, overwrite=True)
    assert files(masked) == {**first, "mine.txt": b"keep"}


def test_cutouts_of_an_earlier_run_do_not_stay_among_new_ones(masked, tmp_path):
    for name in ("b/mine.png", "b/0001.png", "b/001_dog.txt", "003_dog.png", "elsewhere/001_dog.png"):
        (masked / "cutouts" / name).parent.mkdir(exist_ok=True)
        (masked / "cutouts" / name).write_text("keep")
    (masked / "cutouts/b/1000_dog.png").write_text("of a run with a thousand objects")

    def surer(photos):
        found = predict(photos)
        return [instances[instances.scores > 0.8] for instances in found]

    photos = find_photos([str(tmp_path / "photos")], masked).photos
    mask_photos(surer, CLASSES, photos, masked, ["binary"], overwrite=True)
    assert (masked / "cutouts/b/002_dog.png").is_file()  # not asked for, so left alone
    mask_photos(surer, CLASSES, photos, masked, overwrite=True)
    assert set(files(masked / "cutouts")) == {
        *("b/001_fire_extinguisher.png", "walk/a/001_fire_extinguisher.png"),
        *("b/mine.png", "b/0001.png", "b/001_dog.txt", "003_dog.png", "elsewhere/001_dog.png"),
    }


def test_a_photo_that_fails_keeps_no_pictures_of_an_earlier_run(masked, tmp_path):
    (tmp_path / "photos/b.png").write_bytes(b"")
    mask(tmp_path / "photos", masked, save=["binary"], overwrite=True)
    assert not (masked / "binary/b.png").exists()
    assert (masked / "overlay/b.jpg").is_file()  # not asked for, so left alone
    mask(tmp_path / "photos", masked, overwrite=True)
    assert {name for name in files(masked) if name.endswith(("/b.png", "/b.jpg")) or "/b/" in name} == set()
    assert (masked / "binary/walk/a.png").is_file()


def test_heic_photos_are_masked(tmp_path):
    pillow_heif.register_heif_opener()
    draw(tmp_path / "photos" / "a.heic", quality=100)
    (tmp_path / "photos" / "cut.heic").write_bytes((tmp_path / "photos" / "a.heic").read_bytes()[:300])
    assert counted_as(mask(tmp_path / "photos", tmp_path / "out")) == (1, 2, 1)
    assert (tmp_path / "out/binary/a.png").is_file()
    assert [failure["file_name"] for failure in failures_of(tmp_path / "out")] == ["cut.heic"]


def test_photos_with_one_stem_do_not_overwrite_each_other(tmp_path):
    for name in ("a.png", "a.bmp", "a.jpg"):
        draw(tmp_path / "photos" / name)
    mask(tmp_path / "photos", tmp_path / "out", save=["binary"])
    pictures = [name for name in files(tmp_path / "out") if name.startswith("binary")]
    assert pictures == ["binary/a.bmp.png", "binary/a.jpg.png", "binary/a.png.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_lie_in_the_upright_photo(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(tmp_path / "photos" / "a.jpg", width=64, height=60, exif=exif)
    mask(tmp_path / "photos", tmp_path / "out")
    size = (64, 60) if orientation < 5 else (60, 64)
    for name in ("overlay/a.jpg", "binary/a.png", "rgb/a.png", "instances/a.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.size == size
            assert not picture.getexif().get(0x0112)  # or it would be turned again
    (image,) = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert (image["width"], image["height"]) == size


@pytest.mark.parametrize("save", [["binary"], ["overlay", "rgb"], ["cutouts"], ["predictions"]])
def test_only_what_is_asked_for_is_drawn_and_the_lists_are_always_written(tmp_path, save):
    draw(tmp_path / "photos" / "a.png")
    mask(tmp_path / "photos", tmp_path / "out", save=save)
    folders = {name.split("/")[0] for name in files(tmp_path / "out") if "/" in name}
    assert folders - {"thumbnails"} == set(save) - {"predictions"}
    assert ("thumbnails" in folders) == ("overlay" in save)
    assert {"predictions.json", "legend.json", "failures.json"} <= set(files(tmp_path / "out"))


@pytest.mark.parametrize("kind", ["overlay", "thumbnails"])
def test_photos_among_the_outputs_are_not_overwritten(tmp_path, kind):
    draw(tmp_path / "out" / kind / "a.jpg")
    with pytest.raises(ConfigError, match="lies among the outputs"):
        mask(tmp_path / "out" / kind, tmp_path / "out")


def test_an_output_that_is_a_file(tmp_path):
    draw(tmp_path / "photos" / "a.png")
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="out: cannot be written to"):
        mask(tmp_path / "photos", tmp_path / "out")


def test_an_error_of_the_model_is_not_a_failure_of_the_photo(tmp_path):
    draw(tmp_path / "photos" / "a.png")

    def broken(photos):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        mask_photos(broken, CLASSES, find_photos([str(tmp_path / "photos")], tmp_path / "out").photos, tmp_path / "out")


def test_file_names_in_any_language(tmp_path):
    draw(tmp_path / "photos" / "Überführung 图书馆.png")
    mask(tmp_path / "photos", tmp_path / "out")
    assert (tmp_path / "out/overlay/Überführung 图书馆.jpg").is_file()
    (image,) = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert image["file_name"] == "Überführung 图书馆.png"


@pytest.mark.skipif(sys.platform != "linux", reason="such names exist only there")
def test_a_file_name_that_is_no_text(tmp_path):
    draw(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "a.png").rename(os.fsdecode(os.fsencode(tmp_path / "photos") + b"/caf\xe9.png"))
    assert counted_as(mask(tmp_path / "photos", tmp_path / "out"))[0] == 1
    (image,) = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert image["file_name"] == "caf\\udce9.png"
    assert (tmp_path / "out/overlay/caf\\udce9.jpg").is_file()


@pytest.mark.parametrize(
    ("selection", "scores"),
    [
        (Selection(), [0.9, 0.7]),
        (Selection(threshold=0.8), [0.9]),
        (Selection(threshold=0.8, by_class={"dog": 0.1}), [0.9, 0.7]),
        (Selection(by_class={"fire / extinguisher": 0.95}), [0.7]),
        (Selection(classes=("dog",)), [0.7]),
        (Selection(classes=("bench",)), []),
        (Selection(min_area=900), [0.9, 0.7]),
        (Selection(min_area=901), []),
    ],
)
def test_only_the_wanted_objects_count(tmp_path, selection, scores):
    draw(tmp_path / "photos" / "a.png")
    summary = mask(tmp_path / "photos", tmp_path / "out", selection=selection)
    annotations = json.loads((tmp_path / "out/predictions.json").read_text())["annotations"]
    assert [annotation["score"] for annotation in annotations] == scores
    assert [annotation["instance_id"] for annotation in annotations] == list(range(1, len(scores) + 1))
    assert counted_as(summary)[1] == len(scores)
    ids = cv2.imread(str(tmp_path / "out/instances/a.png"), cv2.IMREAD_UNCHANGED)
    assert ids.max() == len(scores)


@pytest.mark.parametrize("selection", [Selection(classes=("cat",)), Selection(by_class={"cat": 0.3})])
def test_a_class_that_the_model_does_not_know(tmp_path, selection):
    draw(tmp_path / "photos" / "a.png")
    with pytest.raises(ConfigError, match="class cat: the model knows bench, fire / extinguisher, dog"):
        mask(tmp_path / "photos", tmp_path / "out", selection=selection)


def test_a_pipe_and_too_long_a_name_are_failures(tmp_path):
    photos = tmp_path / "photos"
    draw(photos / "a.png")
    draw(photos / f"{'n' * 250}.jpg")
    for ending in (".jpg", ".png", ".mp4"):  # the photos have one stem, so their outputs would have longer names yet
        (photos / f"{'m' * 251}{ending}").write_bytes((photos / "a.png").read_bytes())
    os.mkfifo(photos / "pipe.jpg")
    found = find_photos([str(photos)], tmp_path / "out")
    summary = mask_photos(predict, CLASSES, found.photos, tmp_path / "out", videos=found.videos)
    assert counted_as(summary) == (2, 4, 3) and summary.failed_videos == 1
    failures = json.loads((tmp_path / "out/failures.json").read_bytes())
    long = "outputs cannot have so long a name, above 250 bytes; rename the file"
    assert [failure["reason"] for failure in failures] == [long, long, "the file is empty", long]


def test_processes_share_out_what_the_first_one_sees(monkeypatch):
    photos, videos = ([InputPhoto(Path(name), name, name[0]) for name in names] for names in ("abcd", "vw"))
    views = [(list("abcdvw"), ["a", "c", "w"])]
    monkeypatch.setattr("detectron2.utils.comm.all_gather", lambda mine: [*views, mine])
    left = [photos[1], photos[3], videos[0]]  # a stale view
    mine = as_the_first_sees_it(left, photos, videos)
    assert mine == ([photos[0], photos[2]], [videos[1]])
    with pytest.raises(ConfigError, match="--input: d is not there for all processes"):
        as_the_first_sees_it(left[:1], photos[:3], videos)
