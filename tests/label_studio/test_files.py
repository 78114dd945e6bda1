"""The files of an export: the forms it comes in, and photos found by name."""

import json
import zipfile
from urllib.parse import unquote

import numpy as np
import pytest
from drawn import add_polygon, annotations_of, draw_export, encode, read_drawn

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


def one_photo(tmp_path, file_name, *files):
    """Writes an export in a folder, of one photo by the name of `file_name`, which lies there under other names."""
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = file_name
    folder = tmp_path / "folder"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(export.photos["00000000-photo_0.jpg"])
    (folder / "result.json").write_text(json.dumps(export.coco))
    return folder


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


def test_every_photo_is_placed_under_a_name_of_its_own(tmp_path):
    export = draw_export(photos=4)
    names = ["a/2_p.jpg", "b/p.jpg", "c/p.jpg", "d/P.JPG"]
    export.photos = dict(zip(names, export.photos.values(), strict=True))
    for image, name in zip(export.coco["images"], names, strict=True):
        image["file_name"] = f"images/{name}"
    placed = read_drawn(export, tmp_path).place_photos(tmp_path / "placed")
    assert {name.casefold() for name in placed.values()} == {"2_p.jpg", "p.jpg", "3_p.jpg", "4_p.jpg"}
    for name, file in placed.items():
        assert (tmp_path / "placed" / file).read_bytes() == export.photos[name.removeprefix("images/")]


def test_folder_zip_and_bare_json_give_the_same(tmp_path):
    export = draw_export(photos=4)
    archive = export.write_zip(tmp_path / "export.zip")
    folder = tmp_path / "folder"
    with zipfile.ZipFile(archive) as z:
        z.extractall(folder)
    by_form = {
        "zip": read_export(str(archive), ExportOptions()),
        "folder": read_export(str(folder), ExportOptions()),
        "json": read_export(str(folder / "result.json"), ExportOptions()),
        "json elsewhere": read_export(str(folder / "result.json"), ExportOptions(image_root=str(folder / "images"))),
    }
    cocos = []
    for form, result in by_form.items():
        target = tmp_path / form
        placed = result.place_photos(target)
        cocos.append(result.to_coco(result.photos, {p.name: p.name.split("/")[-1] for p in result.photos}))
        for photo in result.photos:
            assert (target / placed[photo.name]).read_bytes() == export.photos[photo.name.split("/")[-1]]
    assert all(coco == cocos[0] for coco in cocos)


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


def test_several_coco_files_are_listed(tmp_path):
    folder = one_photo(tmp_path, "a.jpg", "a.jpg")
    (folder / "old").mkdir()
    (folder / "old/result_coco.json").write_text((folder / "result.json").read_text())
    with pytest.raises(ExportError, match=r"several files of labels \(.*old/result_coco.json, .*folder/result.json\)"):
        read_export(str(folder), ExportOptions())
    assert len(read_export(str(folder / "result.json"), ExportOptions()).photos) == 1


def test_a_zip_bomb_is_refused_unread(tmp_path, monkeypatch):
    """Twenty entries that share the same 100 MB of zeros would unpack to 2 GB."""
    archive = draw_export(photos=2).write_zip(tmp_path / "bomb.zip")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        z.writestr("zeros.bmp", bytes(100_000_000))
        z.filelist += [z.filelist[-1]] * 19
        z._didModify = True
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(ExportError, match="bomb.zip: claims to hold 2 GiB in 0.. MiB"):
        read_export(str(archive), ExportOptions())


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    export = draw_export(photos=2)
    secret = export.photos.pop("00000001-photo_1.jpg")
    (tmp_path / "secret.jpg").write_bytes(secret)
    archive = export.write_zip(tmp_path / "e.zip")
    with zipfile.ZipFile(archive, "a") as z:
        link = zipfile.ZipInfo("images/00000001-photo_1.jpg")
        link.external_attr = 0o120777 << 16
        z.writestr(link, "../secret.jpg")
    (defect,) = read_export(str(archive), ExportOptions()).report.defects
    assert defect["code"] == "photo_unreadable" and "a link in the zip" in defect["action"]


def test_links_in_a_folder_lead_to_photos_inside_it_alone(tmp_path):
    folder = one_photo(tmp_path, "images/a.jpg", "real/b.jpg")
    (folder / "images").mkdir()
    (folder / "images/a.jpg").symlink_to("../real/b.jpg")
    assert read_export(str(folder), ExportOptions()).photos[0].name == "images/a.jpg"
    (folder / "images/a.jpg").unlink()
    (folder / "real/b.jpg").rename(tmp_path / "b.jpg")
    (folder / "images/a.jpg").symlink_to(tmp_path / "b.jpg")
    with pytest.raises(ExportError, match="none of its 1 photos is there"):
        read_export(str(folder), ExportOptions())


def test_a_zip_whose_labels_are_packed_as_tightly_as_a_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", b"[" + b"[]," * 15_000_000 + b"[]]")
    with pytest.raises(ExportError, match="is packed as no labels are"):
        read_export(str(tmp_path / "e.zip"), ExportOptions())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_a_zip(method, tmp_path):
    export = draw_export(photos=3)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("result.json", json.dumps(export.coco))
        for name, content in export.photos.items():
            archive.writestr(f"images/{name}", content, compress_type=method)
    content = bytearray((tmp_path / "e.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "e.zip") as archive:
        info = archive.infolist()[2]
    middle = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "e.zip").write_bytes(content)
    report = read_export(str(tmp_path / "e.zip"), ExportOptions()).report
    assert [(d["code"], d["photo"]) for d in report.defects] == [("photo_unreadable", info.filename)]


def test_a_name_twice_in_a_zip(tmp_path):
    export = draw_export(photos=3)
    archive = export.write_zip(tmp_path / "e.zip")
    names = [f"images/{name}" for name in export.photos]
    contents = list(export.photos.values())
    with zipfile.ZipFile(archive, "a") as z, pytest.warns(UserWarning, match="Duplicate name"):
        z.writestr(names[0], contents[0])  # the same once more does no harm
        z.writestr(names[1], contents[2])
    (defect,) = read_export(str(archive), ExportOptions()).report.defects
    assert (defect["code"], defect["photo"]) == ("photo_unreadable", names[1]) and "twice" in defect["action"]


def test_utf8_names_that_a_zip_does_not_declare(tmp_path, monkeypatch):
    """As macOS packs them."""
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = "x/Süd.jpg"
    export.photos = {"Süd.jpg": export.photos.popitem()[1]}
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda self: (self.filename.encode(), self.flag_bits))
    archive = export.write_zip(tmp_path / "e.zip")
    assert [photo.name for photo in read_export(str(archive), ExportOptions()).photos] == ["images/Süd.jpg"]


def test_a_zip_of_windows_that_was_unpacked_with_its_backslashes(tmp_path):
    folder = one_photo(tmp_path, r"images\a.jpg", r"images\a.jpg")
    assert [photo.name for photo in read_export(str(folder), ExportOptions()).photos] == [r"images\a.jpg"]


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


def test_names_that_a_zip_of_windows_has(tmp_path):
    export = draw_export(photos=2)
    for image in export.coco["images"]:
        image["file_name"] = "images\\" + image["file_name"].rpartition("/")[2]
    archive = tmp_path / "e.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("result.json", json.dumps(export.coco))
        for name, content in export.photos.items():
            z.writestr(f"images\\{name}", content)
    assert [p.name for p in read_export(str(archive), ExportOptions()).photos] == [f"images/{n}" for n in export.photos]


@pytest.mark.parametrize(
    "name, written",
    [
        ("IMG_0081", "IMG_0081.png"),  # without an ending: by its content
        ("IMG 0081.final version", "IMG 0081.final version.png"),
        ("..", "photo.png"),
        ('a<b>:"c|d?*.jpg', "a_b___c_d__.jpg"),
        ("\u00fc" * 300 + ".jpeg", "\u00fc" * 100 + ".jpeg"),
    ],
)
def test_photos_are_written_under_names_that_every_system_takes(name, written, tmp_path):
    export = draw_export(photos=1)
    export.coco["images"][0]["file_name"] = f"x/{name}"
    content = encode(np.full((96, 128, 3), 9, np.uint8), ending=".png")
    export.photos = {name: content}
    result = read_drawn(export, tmp_path)
    assert list(result.place_photos(tmp_path / "out").values()) == [written]
    assert (tmp_path / "out" / written).read_bytes() == content
    assert [path.name for path in (tmp_path / "out").iterdir()] == [written]


def test_a_url_is_a_name_and_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it was fetched"))
    folder = one_photo(tmp_path, "https://example.org/bucket/a%20b.jpg?signature=x/y", "images/a b.jpg")
    assert read_export(str(folder), ExportOptions()).photos[0].name == "images/a b.jpg"
