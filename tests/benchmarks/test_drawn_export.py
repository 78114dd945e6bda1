import io
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from campus_seg.benchmarks import drawn_export
from campus_seg.benchmarks.drawn_export import draw_export
from campus_seg.errors import ConfigError
from campus_seg.tools.label_studio import main as label_studio

PHOTOS, ANNOTATIONS = 20, 200


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "new" / "export"
    draw_export(folder, PHOTOS, ANNOTATIONS)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_clean(drawn, tmp_path):
    assert label_studio(["check", str(drawn), "--json", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["defects"] == []
    assert report["unused_labels"] == []
    assert (report["counts"]["photos"], report["counts"]["objects"]) == (PHOTOS, ANNOTATIONS)


def test_it_has_label_studios_form(drawn):
    text = (drawn / "result.json").read_text()
    coco = json.loads(text)
    assert list(coco) == ["images", "categories", "annotations", "info"]
    # Byte for byte as Label Studio's writer breaks lines and escapes slashes.
    assert text == json.dumps(coco, indent=2, ensure_ascii=False).replace("/", "\\/")
    for part, count in (("images", PHOTOS), ("annotations", ANNOTATIONS)):
        assert [entry["id"] for entry in coco[part]] == list(range(count))
    owners = [annotation["image_id"] for annotation in coco["annotations"]]
    assert owners == sorted(owners)
    digits = [len(repr(v)) for a in coco["annotations"] for v in a["segmentation"][0]]
    assert np.median(digits) >= 16


def test_its_rings_are_valid_and_inside_and_measured_right(drawn):
    coco = json.loads((drawn / "result.json").read_bytes())
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    counts = set()
    for annotation in coco["annotations"]:
        (ring,) = annotation["segmentation"]
        shape = shapely.Polygon(np.reshape(ring, (-1, 2)))
        assert shape.is_valid
        assert shapely.box(0, 0, *sizes[annotation["image_id"]]).contains(shape)
        assert annotation["area"] == pytest.approx(shape.area)
        x0, y0, x1, y1 = shape.bounds
        assert annotation["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
        counts.add(len(ring) // 2)
    assert (min(counts), max(counts)) == (8, 40)


def test_its_photos_are_sound_and_no_two_are_alike(drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(drawn_export, "TEMPLATES", 4)  # so that pictures come again
    draw_export(tmp_path / "export", PHOTOS, ANNOTATIONS)
    for folder in (drawn, tmp_path / "export"):
        coco = json.loads((folder / "result.json").read_bytes())
        photos = {name: data for name, data in files_of(folder).items() if name.startswith("images/")}
        assert len(set(photos.values())) == len(photos) == PHOTOS
        for stated in coco["images"]:
            assert stated["file_name"].startswith("../ls/data/media/upload/1/")
            data = photos[f"images/{stated['file_name'].rpartition('/')[2]}"]
            with Image.open(io.BytesIO(data)) as photo:
                photo.load()
                assert photo.size == (stated["width"], stated["height"])
                assert photo.getexif()[0x0112] in (1, 3)


def test_the_same_numbers_draw_the_same_bytes(drawn, tmp_path):
    draw_export(tmp_path / "again", PHOTOS, ANNOTATIONS)
    assert files_of(tmp_path / "again") == files_of(drawn)


def test_annotations_in_pieces_go_on_counting(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn_export, "CHUNK", 7)
    draw_export(tmp_path / "export", 5, 20)
    coco = json.loads((tmp_path / "export" / "result.json").read_bytes())
    assert [annotation["id"] for annotation in coco["annotations"]] == list(range(20))
    assert label_studio(["check", str(tmp_path / "export")]) == 0


def test_what_is_drawn_already_stays_and_anything_else_is_refused(drawn, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    draw_export(drawn, PHOTOS, ANNOTATIONS)
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before
    with pytest.raises(ConfigError, match="give a new folder"):
        draw_export(drawn, PHOTOS + 1, ANNOTATIONS)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="give a new folder"):
        draw_export(tmp_path, PHOTOS, ANNOTATIONS)
    assert files_of(tmp_path) == {"mine.txt": b"mine"}
