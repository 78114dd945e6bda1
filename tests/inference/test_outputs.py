"""What the writer draws, keeps and holds in memory, with objects made on demand."""

import json
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from campus_seg.errors import ConfigError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.outputs import OUTPUTS, PictureWriter, check_apart, is_kept
from campus_seg.inference.regions import FoundObject, Region

CLASSES = ["bench", "Bücherei", "dog"]


def named(name):
    """A photo that is not read here."""
    return InputPhoto(Path(f"{name}.jpg"), f"{name}.jpg", name)


def objects(shape, count, seed=0, smallest=0.1, made=None):
    """Random ellipses, one at a time, by falling score."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        height, width = (int(side * rng.uniform(smallest, 1)) for side in shape)
        y, x = int(rng.integers(0, shape[0] - height + 1)), int(rng.integers(0, shape[1] - width + 1))
        mask = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height)).astype(bool)
        if made is not None:
            assert not any(reference() is not None for reference in made)  # the earlier masks are gone
            made.append(weakref.ref(mask))
        found = FoundObject(int(rng.integers(0, 3)), 1 - i / count, Region(x, y, mask).tight())
        del mask
        yield found
        del found


def files(folder):
    """{path below the folder: bytes}."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("save", [OUTPUTS, ("predictions",), ("cutouts",), ("overlay",)])
def test_no_mask_is_kept_while_the_next_one_is_made(tmp_path, save):
    made = []
    image = np.zeros((80, 100, 3), np.uint8)
    PictureWriter(tmp_path, CLASSES, save).draw(named("a"), image, objects(image.shape[:2], 10, made=made))
    assert len(made) == 10


def test_memory_does_not_grow_with_the_number_of_large_objects(tmp_path):
    image = np.full((1200, 1600, 3), 90, np.uint8)
    pixels = 1200 * 1600
    writer = PictureWriter(tmp_path, CLASSES, OUTPUTS)
    peaks = []
    for count in (2, 40):
        tracemalloc.start()
        try:
            writer.draw(named(str(count)), image, objects((1200, 1600), count, smallest=0.8))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # ids (2 bytes a pixel) and a mask (1), and bands of some MB
    assert peaks[1] < 3.5 * pixels + 6e6 < 40 * 0.6 * pixels / 2
    assert peaks[1] < peaks[0] + 5e6


def test_threads_draw_what_one_draws_after_the_other(tmp_path):
    photos = [named(f"{i}") for i in range(8)]
    images = [np.random.default_rng(i).integers(0, 256, (150, 200, 3), dtype=np.uint8) for i in range(8)]

    def draw(writer, i):
        return writer.draw(photos[i], images[i].copy(), objects((150, 200), 12, seed=i))

    alone, together = PictureWriter(tmp_path / "alone", CLASSES), PictureWriter(tmp_path / "together", CLASSES)
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda i: draw(together, i), range(8)))
    assert records == [draw(alone, i) for i in range(8)]
    assert len(files(tmp_path / "alone")) == 8 * (5 + 12)
    assert files(tmp_path / "alone") == files(tmp_path / "together")


def test_threads_may_write_into_one_folder(tmp_path):
    # two photos of a folder have their pictures in one folder as well: temporary files must not have one name
    writer = PictureWriter(tmp_path, CLASSES, ["binary"])
    image = np.zeros((40, 50, 3), np.uint8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: writer.draw(named(f"{i}"), image, objects((40, 50), 1, seed=i)), range(200)))
    pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "binary").iterdir()]
    assert len(pictures) == 200
    assert all(picture is not None and picture.any() for picture in pictures)


def test_the_photo_is_only_drawn_on_for_the_overlay(tmp_path):
    image = np.full((60, 70, 3), 90, np.uint8)
    PictureWriter(tmp_path, CLASSES, set(OUTPUTS) - {"overlay"}).draw(named("a"), image, objects((60, 70), 3))
    assert (image == 90).all()
    PictureWriter(tmp_path, CLASSES, OUTPUTS).draw(named("a"), image, objects((60, 70), 3))
    assert not (image == 90).all()
    options = [cv2.IMWRITE_JPEG_QUALITY, 92]
    assert (tmp_path / "overlay/a.jpg").read_bytes() == cv2.imencode(".jpg", image, options)[1].tobytes()
    cutouts = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "cutouts/a").iterdir()]
    assert len(cutouts) == 3
    assert all((cutout[cutout[..., 3] > 0, :3] == 90).all() for cutout in cutouts)


def test_records_can_be_kept_on_the_disk(tmp_path):
    writer = PictureWriter(tmp_path, CLASSES, ["predictions"])
    drawn = writer.draw(named("a"), np.zeros((60, 70, 3), np.uint8), objects((60, 70), 2))
    assert json.loads(json.dumps(drawn)) == drawn
    assert drawn["image"] == {"file_name": "a.jpg", "width": 70, "height": 60}
    assert [annotation["instance_id"] for annotation in drawn["annotations"]] == [1, 2]


@pytest.mark.parametrize("path", ["s3://b/masked/overlay/a.jpg", "s3://b/masked/videos/a.mp4"])
def test_what_was_drawn_behind_a_uri_is_not_masked(path):
    with pytest.raises(ConfigError, match=f"{path}: lies among the outputs in s3://b/masked"):
        check_apart([named("a"), InputPhoto(path, "a.jpg", "a")], "s3://b/masked")
    check_apart([InputPhoto(path, "a.jpg", "a")], "s3://b/mask")
    check_apart([InputPhoto(path, "a.jpg", "a")], Path("masked"))


def test_only_what_a_later_command_goes_on_from_is_kept():
    assert all(map(is_kept, ("overlay/a.jpg", "videos/a.mp4", "thumbnails/a.jpg", ".journal/0.jsonl")))
    assert not any(map(is_kept, ("predictions.json", "walk/a.jpg", "run/config.yaml")))
