"""The files of an export: the forms it comes in, zips that are damaged or made to harm, and names to write."""

import json
import zipfile

import numpy as np
import pytest
from drawn import draw_export, encode, one_photo, read_drawn

from campus_seg.errors import ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions


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
