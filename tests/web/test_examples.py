"""Photos of the run to begin with."""

import json

import cv2
import numpy as np
import pytest
from drawn import draw_export
from judged_runs import write_folder, write_judged_run

from campus_seg.photos import PhotoError, read_photo_bytes
from campus_seg.web.examples import _place, find_examples, spread


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An import of 40 photos, 12 of them for testing."""
    folder = tmp_path_factory.mktemp("examples")
    write_judged_run(folder / "run", write_folder(draw_export(photos=40), folder / "export"), trained=False)
    return folder / "run"


def anything(name, content):
    return None


def split_of(run, split):
    return [image["file_name"] for image in json.loads((run / f"import/campus_{split}.json").read_text())["images"]]


def test_test_photos_spread_over_the_list(run):
    names = split_of(run, "test")
    assert len(names) == 12
    examples, skipped = find_examples(str(run / "config.yaml"), anything)
    assert [example.name for example in examples] == [name.rpartition("/")[2] for name in names[::2]] and skipped == 0
    for name, example in zip(names[::2], examples, strict=True):
        assert example.content == (run / "import/images" / name).read_bytes()


def test_thumbnails(run):
    examples, _ = find_examples(str(run / "config.yaml"), anything)
    photo = read_photo_bytes(examples[0].content)
    small = cv2.imdecode(np.frombuffer(examples[0].thumbnail, np.uint8), cv2.IMREAD_COLOR)
    scale = min(1, 256 / max(photo.shape))
    assert small.shape == (round(photo.shape[0] * scale), round(photo.shape[1] * scale), 3)
    assert np.abs(small.mean((0, 1)) - photo.mean((0, 1))).max() < 3


def test_large_photos_have_small_thumbnails_upright(run, tmp_path):
    from PIL import Image

    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, :450] = 255  # the left is white: turned by 90 degrees clockwise, the top
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = tmp_path / "run"
    (folder / "import/images").mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "import/images/a.jpg", exif=exif)
    (folder / "import/campus_test.json").write_text('{"images": [{"file_name": "a.jpg", "id": 1}]}')
    (folder / "config.yaml").touch()
    examples, _ = find_examples(str(folder / "config.yaml"), anything)
    small = cv2.imdecode(np.frombuffer(examples[0].thumbnail, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (256, 85, 3) and small[:100].min() > 200 and small[156:].max() < 50


def test_photos_with_objects_come_first(run, tmp_path):
    import shutil

    folder = shutil.copytree(run, tmp_path / "run")
    file = folder / "import/campus_test.json"
    coco = json.loads(file.read_text())
    images = coco["images"]
    full = [images[3], images[7]]
    coco["annotations"] = [{**coco["annotations"][0], "image_id": image["id"]} for image in (*full, full[0])]
    file.write_text(json.dumps(coco))
    others = [image for image in images if image not in full]
    expected = [*full, *[others[number * 10 // 6] for number in range(4)]]
    examples, _ = find_examples(str(folder / "config.yaml"), anything)
    assert [example.name for example in examples] == [image["file_name"].rpartition("/")[2] for image in expected]


def test_what_cannot_be_shown_is_skipped(run, tmp_path):
    import shutil

    folder = shutil.copytree(run, tmp_path / "run")
    names = split_of(folder, "test")
    (folder / "import/images" / names[0]).unlink()
    (folder / "import/images" / names[2]).write_bytes(b"no photo")

    def usable(name, content):
        if name == names[4].rpartition("/")[2]:
            raise PhotoError("not this one")

    examples, skipped = find_examples(str(folder / "config.yaml"), usable)
    expected = [*names[6::2], *names[1:6:2]]  # those between take the places
    assert [example.name for example in examples] == [name.rpartition("/")[2] for name in expected] and skipped == 3


def test_files_that_are_too_large_are_not_read(tmp_path, monkeypatch):
    (tmp_path / "import/images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "import/images" / name), np.zeros((9, 9, 3), np.uint8))
    with (tmp_path / "import/images/a.png").open("r+b") as file:
        file.truncate(1_000_001)
    (tmp_path / "import/campus_test.json").write_text(
        '{"images": [{"file_name": "a.png", "id": 1}, {"file_name": "b.png", "id": 2}]}'
    )
    (tmp_path / "config.yaml").touch()
    read, config = [], str(tmp_path / "config.yaml")

    def look(name, content):
        read.append(name)

    examples, skipped = find_examples(config, look, 1_000_000)
    assert [example.name for example in examples] == read == ["b.png"] and skipped == 1
    monkeypatch.setattr("campus_seg.web.examples.MOST_BYTES", 10)
    assert find_examples(config, look, 1_000_000) == ([], 2) and read == ["b.png"]


@pytest.mark.parametrize(("without", "taken"), [(["test"], "val"), (["test", "val"], "train")])
def test_other_photos_where_there_are_none_for_testing(run, tmp_path, without, taken):
    import shutil

    folder = shutil.copytree(run, tmp_path / "run")
    for split in without:
        (folder / f"import/campus_{split}.json").write_text('{"images": []}' if split == "test" else "{damaged")
    examples, _ = find_examples(str(folder / "config.yaml"), anything)
    assert examples and {example.name for example in examples} <= {
        name.rpartition("/")[2] for name in split_of(folder, taken)
    }


def test_a_run_without_an_import(tmp_path):
    (tmp_path / "config.yaml").touch()
    assert find_examples(str(tmp_path / "config.yaml"), anything) == ([], 0)


def test_order():
    assert spread([]) == [] and spread(["a", "b"]) == ["a", "b"]
    assert spread([str(n) for n in range(13)]) == ["0", "2", "4", "6", "8", "10", "1", "3", "5", "7", "9", "11", "12"]


def test_places_behind_uris():
    assert _place("s3://b/run", "x/a.jpg") == "s3://b/run/import/images/x/a.jpg"
    assert _place("s3://b/run", "s3://c/a.jpg") == _place("/run", "s3://c/a.jpg") == "s3://c/a.jpg"
