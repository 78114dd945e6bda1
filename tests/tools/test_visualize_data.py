import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import draw_export

from campus_seg.tools.visualize_data import main


@pytest.mark.parametrize("source", ["annotation", "augmented"])
def test_every_photo_is_drawn_with_its_objects(source, tmp_path):
    drawn = draw_export(photos=4)
    drawn.coco["annotations"] = [a for a in drawn.coco["annotations"] if a["image_id"] != 2]
    export = drawn.write_zip(tmp_path / "export.zip")
    arguments = ["--config-file", "mask_rcnn_mini_FPN.yaml", "--source", source, "--output", str(tmp_path / "look")]
    main([*arguments, "--opts", "CAMPUS.EXPORT", str(export), "CAMPUS.INPUT_SIZE", "64"])
    pictures = sorted((tmp_path / "look").iterdir())
    sheet = pictures.pop([path.name for path in pictures].index("contact_sheet.jpg"))
    assert cv2.imread(str(sheet)).shape[1] > 4 * 300
    assert [path.stem for path in pictures] == [name.removesuffix(".jpg") for name in sorted(drawn.photos)]
    for i, path in enumerate(pictures):
        picture = cv2.imread(str(path))
        assert picture.shape == ((96, 128, 3) if source == "annotation" else (48, 64, 3))
        if source == "annotation":
            photo = cv2.imdecode(np.frombuffer(drawn.photos[f"{path.stem}.jpg"], np.uint8), cv2.IMREAD_COLOR)
            changed = np.abs(picture.astype(int) - photo).max(axis=2) > 60
            assert changed.any() == (i != 2)


def test_no_picture_takes_anothers_place(tmp_path):
    """A photo that is called as the contact sheet, and two that differ in their ending alone."""
    drawn = draw_export(photos=3)
    names = ["contact_sheet.jpg", "b.jpg", "b.jpeg"]
    drawn.photos = dict(zip(names, drawn.photos.values(), strict=True))
    for image, name in zip(drawn.coco["images"], names, strict=True):
        image["file_name"] = name
    export = drawn.write_zip(tmp_path / "export.zip")
    arguments = ["--config-file", "mask_rcnn_mini_FPN.yaml", "--source", "annotation", "--output"]
    main([*arguments, str(tmp_path / "look"), "--opts", "CAMPUS.EXPORT", str(export)])
    sizes = {path.name: cv2.imread(str(path)).shape[:2] for path in (tmp_path / "look").iterdir()}
    assert len(sizes) == 4 and sizes.pop("contact_sheet.jpg") != (96, 128)
    assert set(sizes.values()) == {(96, 128)} and "b.jpg" in sizes


def test_an_output_that_is_a_file_is_refused_before_the_export_is_read(tmp_path, capsys):
    (tmp_path / "look").write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["--config-file", "mask_rcnn_mini_FPN.yaml", "--source", "annotation", "--output", str(tmp_path / "look")])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {tmp_path / 'look'}: cannot be written to (Not a directory); give another folder"
    assert (tmp_path / "look").read_text() == "mine"


def test_bad_input_writes_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--config-file", "mask_rcnn_mini_FPN.yaml", "--source", "annotation", "--output", str(tmp_path / "look")])
    assert stopped.value.code == 2
    assert "CAMPUS.EXPORT" in capsys.readouterr().err
    assert not (tmp_path / "look").exists()


def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    export = draw_export(photos=1).write_zip(tmp_path / "export.zip")
    write = Path.write_bytes

    def write_on_full_disk(self, data):
        if self.parent.name == "look":
            write(self, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_on_full_disk)
    arguments = ["--config-file", "mask_rcnn_mini_FPN.yaml", "--source", "annotation", "--output"]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, str(tmp_path / "look"), "--opts", "CAMPUS.EXPORT", str(export)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {tmp_path}/look/00000000-photo_0.jpg: cannot be written (No space left on device); make room, and the "
        "same command draws again"
    )
    assert not list((tmp_path / "look").iterdir())
