"""Photos of an export, found by name."""

import json
import zipfile
from urllib.parse import unquote

import pytest
from drawn import add_polygon, annotations_of, draw_export, one_photo, read_drawn

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions


def test_photos_are_found_by_name(tmp_path):
    export = draw_export(photos=4)
    images, photos = export.coco["images"], export.photos
    images[0]["file_name"] = images[0]["file_name"].replace("/", "\\")
    photos["Süd Übersicht.jpg"] = photos.pop("00000001-photo_1.jpg")
    images[1]["file_name"] = "/data/upload/1/S%C3%BCd%20%C3%9Cbersicht.jpg"  # decoded in the zip
    photos["S%C3%BCd%20Nord.jpg"] = photos.pop("00000002-photo_2.jpg")
    images[2]["file_name"] = "/data/upload/1/S%C3%BCd%20Nord.jpg"  # as it stands in the zip
    del photos["00000003-photo_3.jpg"]
    result = read_drawn(export, tmp_path)
    assert sorted(photo.name for photo in result.photos) == [
        "images/00000000-photo_0.jpg",
        "images/S%C3%BCd%20Nord.jpg",
        "images/Süd Übersicht.jpg",
    ]
    assert result.report.counts["photo_missing"] == 1


@pytest.mark.parametrize(
    "file_name, files, found",
    [
        ("images/a.jpg", ["images/a.jpg", "b/images/a.jpg"], "images/a.jpg"),
        ("a.jpg", ["a.jpg", "b/a.jpg"], "a.jpg"),
        (r"..\root\setB\a.jpg", ["setA/a.jpg", "setB/a.jpg"], "setB/a.jpg"),
        ("../root/set%20B/a.jpg", ["set A/a.jpg", "set B/a.jpg"], "set B/a.jpg"),
        ("x/u\u0308.jpg", ["images/\u00fc.jpg"], "images/\u00fc.jpg"),
        ("x/\u00fc.jpg", ["images/u\u0308.jpg"], "images/u\u0308.jpg"),
        ("x/a%20b.jpg", ["images/a b.jpg", "images/a%20b.jpg"], "images/a%20b.jpg"),
        ("upload/1/e65ead5a-IMG.jpg", ["IMG.jpg"], "IMG.jpg"),
        ("IMG.jpg", ["images/e65ead5a-IMG.jpg"], "images/e65ead5a-IMG.jpg"),
        ("images/14b5397c__1ff778fd-IMG.jpg", ["IMG.jpg"], "IMG.jpg"),
        ("images/14b5397c__1ff778fd-IMG.jpg", ["00000000__1ff778fd-IMG.jpg"], "00000000__1ff778fd-IMG.jpg"),
        (
            "upload/1/1ff778fd-S%C3%BCd.jpg",
            ["14b5397c__1ff778fd-S%C3%BCd.jpg", "S\u00fcd.jpg"],
            "14b5397c__1ff778fd-S%C3%BCd.jpg",
        ),
    ],
)
def test_the_closest_name_wins(file_name, files, found, tmp_path):
    folder = one_photo(tmp_path, file_name, *files)
    (photo,) = read_export(str(folder), ExportOptions()).photos
    assert photo.name == found


def test_another_upload_of_a_name_is_another_photo(tmp_path):
    folder = one_photo(tmp_path, "upload/1/aaaaaaaa-IMG.jpg", "images/bbbbbbbb-IMG.jpg")
    with pytest.raises(ExportError, match="none of its 1 photos is there"):
        read_export(str(folder), ExportOptions())


def test_an_ambiguous_name_lists_the_candidates_and_a_way_out(tmp_path):
    folder = one_photo(tmp_path, "../set/a.jpg", "x/set/a.jpg", "y/set/a.jpg", "z/a.jpg")
    with pytest.raises(ExportError, match=r"could be any of x/set/a.jpg, y/set/a.jpg; give CAMPUS.IMAGE_ROOT"):
        read_export(str(folder), ExportOptions())
    (photo,) = read_export(str(folder), ExportOptions(image_root=str(folder / "y/set"))).photos
    assert photo.name == "y/set/a.jpg"


def test_image_root_adds_to_the_photos_of_the_export(tmp_path):
    export = draw_export(photos=4)
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    (root / "images/00000000-photo_0.jpg").write_bytes(b"not this one: the export has its own")
    (root / "images/photo_1.jpg").write_bytes(export.photos.pop("00000001-photo_1.jpg"))
    result = read_drawn(export, tmp_path, image_root=str(root))
    assert [photo.name for photo in result.photos] == [
        "images/00000000-photo_0.jpg",
        "images/00000002-photo_2.jpg",
        "images/00000003-photo_3.jpg",
        "images/photo_1.jpg",
    ]
    placed = result.place_photos(tmp_path / "placed")
    assert placed["images/photo_1.jpg"] == str(root / "images/photo_1.jpg")
    assert result.report.counts["photos"] == 4 and not result.report.defects


def test_the_photos_of_the_export_come_first(tmp_path):
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = "00000000-photo_0.jpg"  # as BRUSH_TO_COCO writes it
    (tmp_path / "00000000-photo_0.jpg").write_bytes(b"no photo")
    (photo,) = read_drawn(export, tmp_path, image_root=str(tmp_path)).photos
    assert photo.name == "images/00000000-photo_0.jpg"


def test_beside_a_json_lies_what_image_root_lacks(tmp_path):
    folder = one_photo(tmp_path, "upload/1/a.jpg", "a.jpg")
    root = tmp_path / "root"
    root.mkdir()
    assert read_export(str(folder / "result.json"), ExportOptions(image_root=str(root))).photos[0].name == "a.jpg"
    (root / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    result = read_export(str(folder / "result.json"), ExportOptions(image_root=str(root)))
    assert result.index.path(result.photos[0].name) == root / "a.jpg"


def test_what_was_drawn_beside_a_json_is_not_taken_for_its_photos(tmp_path):
    """As visualize_data.py leaves it, under the photos' own names."""
    folder = one_photo(tmp_path, "upload/1/a.jpg", "output/look/a.jpg")
    with pytest.raises(ExportError, match="none of its 1 photos is there"):
        read_export(str(folder / "result.json"), ExportOptions())
    (folder / "images").mkdir()
    (folder / "images/a.jpg").write_bytes((folder / "output/look/a.jpg").read_bytes())
    assert read_export(str(folder / "result.json"), ExportOptions()).photos[0].name == "images/a.jpg"


def two_of_one_name(tmp_path, *files):
    """Writes an export of setB/IMG.jpg with a dog and setA/IMG.jpg with a car; photos lie under the given names."""
    export = draw_export(photos=2)
    export.coco["annotations"] = []
    for i, (part, label) in enumerate([("setB", "dog"), ("setA", "car")]):
        export.coco["images"][i]["file_name"] = f"../root/{part}/IMG.jpg"
        add_polygon(export, i, label, [[10, 10], [30, 10], [30, 40]])
    export.photos = dict(zip(files, export.photos.values(), strict=False))
    return export


def test_labels_of_a_missing_photo_land_on_no_other(tmp_path):
    result = read_drawn(two_of_one_name(tmp_path, "setA/IMG.jpg"), tmp_path)
    assert [a.label for a in annotations_of(result, "setA/IMG.jpg")] == ["car"]
    (defect,) = result.report.defects
    assert (defect["code"], defect["photo"]) == ("photo_missing", "../root/setB/IMG.jpg")
    both = read_drawn(two_of_one_name(tmp_path, "setA/IMG.jpg", "setB/IMG.jpg"), tmp_path)
    assert [a.label for photo in both.photos for a in photo.annotations] == ["car", "dog"]
    with pytest.raises(ExportError, match=r"both ../root/setB/IMG.jpg and ../root/setA/IMG.jpg lead to it"):
        read_drawn(two_of_one_name(tmp_path, "IMG.jpg"), tmp_path)


def test_a_real_export_lacking_one_photo_that_lies_in_image_root(real_exports, tmp_path):
    """The server leaves it out of the zip for its name; in the server's own folder the name is not encoded."""
    with zipfile.ZipFile(real_exports / "coco_with_images_host.zip") as archive:
        (name,) = (name for name in archive.namelist() if "__1ff778fd-" in name)
        content = archive.read(name)
    lacking = str(real_exports / "coco_with_images.zip")
    assert read_export(lacking, ExportOptions()).report.counts["photo_missing"] == 1
    upload = unquote(name.partition("__")[2])
    for file in (upload, upload.partition("-")[2]):
        root = tmp_path / file
        root.mkdir()
        (root / file).write_bytes(content)
        counts = read_export(lacking, ExportOptions(image_root=str(root))).report.counts
        assert counts["photo_missing"] == 0
        assert counts["photos"] == len({i["file_name"] for i in coco_of(lacking)["images"]})


def coco_of(archive):
    with zipfile.ZipFile(archive) as z:
        return json.loads(z.read("result.json"))


def test_an_image_root_that_is_no_path(tmp_path):
    folder = one_photo(tmp_path, "a.jpg", "a.jpg")
    with pytest.raises(ExportError, match="no such folder; CAMPUS.IMAGE_ROOT"):
        read_export(str(folder), ExportOptions(image_root="x" * 5000))


@pytest.mark.parametrize(
    "file_name, file, named",
    [
        ("../root/b/IMG_1.jpg", "a/IMG_1.jpg", True),
        ("../root/b/IMG_1.jpg", "b/IMG_1.jpg", False),
        ("images/IMG_1.jpg", "a/IMG_1.jpg", False),  # as COCO with images calls them all
        ("../data/media/upload/1/e65ead5a-IMG_1.jpg", "a/e65ead5a-IMG_1.jpg", False),  # a name of its own
        ("IMG_1.jpg", "a/IMG_1.jpg", False),
    ],
)
def test_a_photo_found_in_a_folder_of_another_name_is_named(file_name, file, named, tmp_path):
    counts = read_export(str(one_photo(tmp_path, file_name, file)), ExportOptions()).report.counts
    assert counts["photos"] == 1 and counts["photo_elsewhere"] == named


def test_a_url_is_a_name_and_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it was fetched"))
    folder = one_photo(tmp_path, "https://example.org/bucket/a%20b.jpg?signature=x/y", "images/a b.jpg")
    assert read_export(str(folder), ExportOptions()).photos[0].name == "images/a b.jpg"
