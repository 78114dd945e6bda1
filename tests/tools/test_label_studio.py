import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn import add_polygon, draw_export, encode
from PIL import Image
from pycocotools.coco import COCO

from campus_seg.label_studio.report import SEVERITY, ImportReport
from campus_seg.tools.label_studio import main

ROOT = Path(__file__).resolve().parents[2]


def spoiled():
    """A drawn export with one missing photo, one rectangle and two outlines that stick out."""
    export = draw_export(photos=4)
    del export.photos[list(export.photos)[3]]
    add_polygon(export, 0, "car", [[1, 1], [9, 1], [9, 9], [1, 9]])["segmentation"] = []
    for _ in range(2):
        add_polygon(export, 1, "dog", [[-9, 1], [9, 1], [9, 9]])
    return export


def test_a_clean_export(tmp_path, capsys):
    export = draw_export(photos=3).write_zip(tmp_path / "export.zip")
    assert main(["check", str(export), "--json", str(tmp_path / "report.json")]) == 0
    said = capsys.readouterr().out
    assert "3 of 3 photos (0 without objects)" in said and "labels without objects: bench" in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error"] is None and report["defects"] == [] and report["counts"]["photos"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "report.json"]


def test_a_report_in_a_bucket_is_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    export = draw_export(photos=1).write_zip(tmp_path / "export.zip")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(export), "--json", "s3://b/r.json"])
    assert stopped.value.code == 2
    assert "s3://b/r.json: a file on this machine is wanted here" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]


def test_defects_are_shown_worst_first(tmp_path, capsys):
    export = spoiled().write_zip(tmp_path / "export.zip")
    assert main(["check", str(export), "--json", str(tmp_path / "new/report.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split()[:2] for line in lines if line.split()[1] in SEVERITY]
    assert rows == [["1", "photo_missing"], ["1", "rectangle"], ["2", "polygon_clipped"]]
    defects = json.loads((tmp_path / "new/report.json").read_text())["defects"]
    assert len(defects) == 4 and all(set(d) == {"code", "photo", "annotation", "action"} for d in defects)


def test_an_unusable_export_is_reported_to_programs_too(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(tmp_path / "absent.zip"), "--json", str(tmp_path / "report.json")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert "absent.zip: no such file" in json.loads((tmp_path / "report.json").read_text())["error"]


def test_a_stopped_check_is_reported_to_programs_too(tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("campus_seg.label_studio.checking.read_export", stop)
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(tmp_path), "--json", str(tmp_path / "report.json")])
    assert stopped.value.code == 130
    assert json.loads((tmp_path / "report.json").read_text())["error"] == "stopped"


def test_a_kind_of_defect_has_one_line(tmp_path, capsys):
    """Whatever was done about each: of two photos labelled twice, one loses two annotations and one a single one."""
    export = draw_export(photos=4)
    for image in (0, 1):
        export.coco["images"].append({**export.coco["images"][image], "id": 7 + image})
        for _ in range(image + 1):
            add_polygon(export, 7 + image, "dog", [[1, 1], [9, 1], [9, 9]])
    assert main(["check", str(export.write_zip(tmp_path / "export.zip"))]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "several_annotators" in line]
    assert len(rows) == 1 and rows[0][0] == "2" and "other" in rows[0]


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_clean_writes_plain_coco_with_its_photos(form, tmp_path):
    drawn = draw_export(photos=3)
    export = drawn.write_zip(tmp_path / "export.zip")
    if form == "folder":
        zipfile.ZipFile(export).extractall(tmp_path / "folder")
        export = tmp_path / "folder"
    classes = ["person", "dog", "car", "tree"]
    assert main(["clean", str(export), "--output", str(tmp_path / "out"), "--classes", *classes]) == 0
    coco = COCO(str(tmp_path / "out/annotations.json"))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == classes
    assert min(coco.anns) == min(coco.imgs) == min(coco.cats) == 1
    names = {image["file_name"] for image in coco.imgs.values()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/images").iterdir()} == drawn.photos
    assert names == set(drawn.photos)
    for annotation in coco.anns.values():
        assert abs(coco.annToMask(annotation).sum() - annotation["area"]) < 0.1 * annotation["area"]


def test_clean_leaves_nothing_half_done(tmp_path, capsys):
    export = draw_export(photos=3)
    last = list(export.photos)[2]
    side = encode(np.zeros((128, 96, 3), np.uint8), orientation=6)
    while (table := side.find(b"\xff\xdb")) >= 0:  # without what its values are to be multiplied by
        side = side[:table] + side[table + 2 + int.from_bytes(side[table + 2 : table + 4], "big") :]
    export.photos[last] = side  # its header is sound, and so is its end
    with pytest.raises(SystemExit) as stopped:
        main(["clean", str(export.write_zip(tmp_path / "e.zip")), "--output", str(tmp_path / "out")])
    assert stopped.value.code == 2 and f"{last}: cannot be read" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_clean_overwrites_nothing(tmp_path, capsys):
    export = draw_export(photos=2).write_zip(tmp_path / "export.zip")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["clean", str(export), "--output", str(tmp_path / "out")])
    assert stopped.value.code == 2 and "is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("target", "told"), [(".", "is a folder"), ("export.json", "is the export itself")])
def test_a_report_overwrites_neither_a_folder_nor_the_export(target, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps(draw_export(photos=1).coco))
    before = (tmp_path / "export.json").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(["check", "export.json", "--json", target])
    assert stopped.value.code == 2 and told in capsys.readouterr().err
    assert (tmp_path / "export.json").read_bytes() == before


@pytest.mark.parametrize("inside", ["out/annotations.json", "out/images/report.json", "out/report.json"])
def test_a_report_is_not_written_into_the_cleaned_export(inside, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_export(photos=1).write_zip(tmp_path / "e.zip")
    with pytest.raises(SystemExit) as stopped:
        main(["clean", "e.zip", "--output", "out", "--json", inside])
    assert stopped.value.code == 2 and "lies in out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_messages_name_this_tools_own_arguments_and_say_what_was_missing(tmp_path, capsys):
    export = draw_export(photos=3)
    names = list(export.photos)
    export.photos = {names[0]: b"no photo", names[1]: encode(np.zeros((50, 50, 3), np.uint8))}
    path = str(export.write_zip(tmp_path / "e.zip"))
    with pytest.raises(SystemExit):
        main(["check", path, "--json", str(tmp_path / "report.json")])
    said = capsys.readouterr().err
    assert "1 missing, such as" in said and "1 unreadable; 1 of another shape" in said
    assert "with --image-root path/to/photos" in said and "CAMPUS." not in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error"] in said
    assert sorted(d["code"] for d in report["defects"]) == ["photo_missing", "photo_of_other_shape", "photo_unreadable"]
    with pytest.raises(SystemExit):
        main(["check", str(draw_export(photos=3).write_zip(tmp_path / "e.zip")), "--classes", "car"])
    assert "is not one of --classes" in capsys.readouterr().err


def test_a_reader_that_wants_no_more_is_no_crash(tmp_path):
    path = draw_export(photos=2).write_zip(tmp_path / "e.zip")
    command = [sys.executable, str(ROOT / "tools/label_studio.py"), "check", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141


def test_names_that_the_terminal_cannot_show(tmp_path):
    export = draw_export(photos=2)
    for category in export.coco["categories"]:
        category["name"] = category["name"].replace("car", "Stühle\x1b[2J")
    path = export.write_zip(tmp_path / "e.zip")
    command = [sys.executable, str(ROOT / "tools/label_studio.py"), "check", str(path)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"St?hle?[2J" in done.stdout


def test_clean_turns_photos_upright_for_programs_that_know_no_exif(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = (250, 0, 0)  # upper left, as seen
    export = draw_export(photos=1)
    export.photos = {"side.jpg": encode(np.ascontiguousarray(np.rot90(pixels)), orientation=6)}
    export.coco["images"] = [{"id": 0, "file_name": "x/side.jpg", "width": 40, "height": 60}]
    assert main(["clean", str(export.write_zip(tmp_path / "e.zip")), "--output", str(tmp_path / "out")]) == 1
    with Image.open(tmp_path / "out/images/side.jpg") as image:
        assert image.size == (60, 40) and image.getexif().get(0x0112, 1) == 1
        assert np.asarray(image)[:18, :28].mean(axis=(0, 1)).argmax() == 0 and np.asarray(image)[22:].max() < 30
    (image,) = json.loads((tmp_path / "out/annotations.json").read_text())["images"]
    assert (image["width"], image["height"]) == (60, 40)


def test_every_code_has_its_place():
    """Every code of the table occurs in the sources, and in the README that explains it."""
    sources = (ROOT / "campus_seg/label_studio").glob("*.py")
    text = "".join(path.read_text() for path in sources if path.name != "report.py")
    assert [code for code in SEVERITY if f'"{code}"' not in text] == []
    readme = (ROOT / "datasets/README.md").read_text(encoding="utf-8")
    assert [code for code in SEVERITY if f"`{code}`" not in readme] == []
    report = ImportReport()
    for code in SEVERITY[::-1]:
        report.defect(code, "a.jpg", 1, "left out")
    assert [row[0] for row in report.table()] == list(SEVERITY)


def test_help_imports_nothing_large():
    code = "import sys, campus_seg.tools.label_studio as t; t.get_parser(); print({'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
