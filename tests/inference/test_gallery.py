"""What is written for the gallery; tests/pages has it in a browser."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from campus_seg.inference.gallery import THUMBNAIL, make_thumbnail, page, write_gallery

CLASSES, COLORS = ["bench", "</script>"], [(230, 25, 75), (0, 0, 9)]


def draw_overlay(folder, name, size=(640, 480)):
    path = folder / "overlay" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)
    return path


def photo(name, objects=1):
    found = {"category_id": 2, "instance_id": 1, "score": 0.5, "bbox": [1, 2, 3, 4], "area": 9, "iscrowd": 0}
    image = {"file_name": f"{name}.png", "width": 640, "height": 480}
    return {"name": name, "image": image, "annotations": [{**found, "segmentation": {}}] * objects}


def data(folder):
    """gallery.js, which but for a name in front and the last comma of the photos is JSON."""
    text = (folder / "gallery.js").read_bytes().decode("ascii")
    assert "<" not in text
    return json.loads(text.removeprefix("const GALLERY = ").replace(",\n]};\n", "\n]}").replace("[\n]};\n", "[]}"))


def test_the_page_has_the_data_and_a_thumbnail_each(tmp_path):
    for name in ("a", "walk/Süd 学 #1"):
        draw_overlay(tmp_path, name)
    records = [photo("a"), {"file_name": "b", "reason": "damaged"}, photo("walk/Süd 学 #1", 0), photo("</script>", 2)]
    write_gallery(tmp_path, iter(records), CLASSES, COLORS)
    found = [1, 1, 0.5, 1, 2, 3, 4, 9]
    assert data(tmp_path) == {
        "classes": [["bench", "#e6194b"], ["</script>", "#000009"]],
        "table": None,
        "videos": [],
        "photos": [
            ["a.png", "a", 640, 480, 1, [found]],
            ["walk/Süd 学 #1.png", "walk/Süd 学 #1", 640, 480, 1, []],
            ["</script>.png", "</script>", 640, 480, 0, [found, found]],
        ],
    }
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page()
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    thumbnails = ["thumbnails/a.jpg", "thumbnails/walk/Süd 学 #1.jpg"]
    assert names == ["gallery.js", "index.html", "overlay/a.jpg", "overlay/walk/Süd 学 #1.jpg", *thumbnails]
    with Image.open(tmp_path / "thumbnails/a.jpg") as thumbnail:
        assert thumbnail.size == (480, 360)


def test_the_page_links_to_the_table_where_there_is_one(tmp_path):
    (tmp_path / "summary.csv").touch()
    write_gallery(tmp_path, [], CLASSES, COLORS)
    assert data(tmp_path)["table"] == "summary.csv"


def test_overlays_of_other_records_are_not_shown(tmp_path):
    draw_overlay(tmp_path, "a")
    write_gallery(tmp_path, [photo("a")], CLASSES, COLORS, overlays=False)
    assert data(tmp_path)["photos"][0][4] == 0
    assert not (tmp_path / "thumbnails").exists()


def test_the_page_is_whole_and_asks_nobody():
    html = page()
    assert "page.css" not in html
    assert "page.js" not in html
    for foreign in ("http:", "https:", "//cdn", "@import", "fetch(", "XMLHttpRequest", "innerHTML"):
        assert foreign not in html.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (480, 360)), ((3000, 4000), (270, 360)), ((120, 90), (120, 90)), ((20000, 100), (480, 2))],
)
def test_a_thumbnail_fits(tmp_path, size, expected):
    draw_overlay(tmp_path, "a", size)
    assert make_thumbnail(tmp_path, "a")
    with Image.open(tmp_path / "thumbnails/a.jpg") as thumbnail:
        assert thumbnail.size == expected
        assert thumbnail.size[0] <= THUMBNAIL[0]
        assert np.allclose(np.asarray(thumbnail).mean(axis=(0, 1)), (200, 30, 30), atol=4)


def test_a_thumbnail_is_made_anew_where_the_overlay_is_newer(tmp_path):
    overlay = draw_overlay(tmp_path, "a")
    make_thumbnail(tmp_path, "a")
    thumbnail = tmp_path / "thumbnails" / "a.jpg"
    os.utime(thumbnail, ns=(0, 10**18))  # long ago: some kernels give files of the same moment one time
    first = thumbnail.stat()
    os.utime(overlay, ns=(0, first.st_mtime_ns - 1))
    make_thumbnail(tmp_path, "a")
    assert thumbnail.stat().st_ino == first.st_ino
    os.utime(overlay, ns=(0, first.st_mtime_ns))
    make_thumbnail(tmp_path, "a")
    assert thumbnail.stat().st_mtime_ns > first.st_mtime_ns


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut"])
def test_an_overlay_that_is_no_picture_has_no_thumbnail(tmp_path, content):
    draw_overlay(tmp_path, "a").write_bytes(content)
    assert not make_thumbnail(tmp_path, "a")
    assert not (tmp_path / "thumbnails").exists()


def test_an_overlay_that_was_cut_short_has_no_thumbnail(tmp_path):
    path = draw_overlay(tmp_path, "a")
    path.write_bytes(path.read_bytes()[:-400])
    assert not make_thumbnail(tmp_path, "a")
