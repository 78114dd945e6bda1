"""Commands that are stopped, killed, out of room or run again: each goes on where the last one was."""

import json
import sys

import pytest
from masked_folders import CLASSES, counted_as, draw, failures_of, files, mask, predict

from campus_seg.atomic_writes import replacing
from campus_seg.errors import ConfigError, OutputError, StorageError
from campus_seg.inference import folder, pipeline
from campus_seg.inference.folder import mask_photos
from campus_seg.inference.inputs import find_photos
from campus_seg.inference.selection import Selection
from campus_seg.photos import PhotoError, read_photo


def test_a_picture_is_never_left_half_written(tmp_path, monkeypatch):
    draw(tmp_path / "photos" / "a.png")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", no_space)
    with pytest.raises(OutputError, match="No space left on device.; make room, and the same command goes on"):
        mask(tmp_path / "photos", tmp_path / "out")
    assert files(tmp_path / "out") == {}
    monkeypatch.undo()
    assert counted_as(mask(tmp_path / "photos", tmp_path / "out"))[0] == 1


@pytest.fixture
def counted():
    """The stand-in, and how many photos it was given so far."""
    seen = []

    def counting(photos):
        seen.extend(photos)
        return predict(photos)

    return counting, seen


def test_a_command_that_was_stopped_goes_on(tmp_path, counted, monkeypatch):
    """Whatever moment it was stopped at: no photo twice, and all is as if it had never been stopped."""
    monkeypatch.setattr(pipeline, "THREADS", 1)  # on more cores, more may be under way when it is stopped
    for number in range(9):
        draw(tmp_path / "photos" / f"{number}.png", seed=number)
    (tmp_path / "photos" / "3.png").write_bytes(b"")
    mask(tmp_path / "photos", tmp_path / "whole")
    predicting, seen = counted
    photos = find_photos([str(tmp_path / "photos")], tmp_path / "out").photos

    def stopping(batch):
        if len(seen) == stop_after:
            raise KeyboardInterrupt
        return predicting(batch)

    for stop_after in (0, 1, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            mask_photos(stopping, CLASSES, photos, tmp_path / "out")
        assert not (tmp_path / "out" / "predictions.json").exists()
        # What was predicted but not yet written when it stopped is predicted again.
        recorded = (tmp_path / "out/.journal/0.jsonl").read_text().count('"image"')
        assert stop_after - 5 <= recorded <= stop_after
        seen[recorded:] = []
    summary = mask_photos(predicting, CLASSES, photos, tmp_path / "out")
    assert (*counted_as(summary)[::2], summary.earlier) == (8, 1, recorded)
    assert len(seen) == 8
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_only_what_is_new_or_changed_is_masked_again(tmp_path, counted):
    predicting, seen = counted
    output = tmp_path / "out"

    def again():
        seen.clear()
        mask_photos(predicting, CLASSES, find_photos([str(tmp_path / "photos")], output).photos, output)
        return len(seen)

    for name in ("a.png", "b.png"):
        draw(tmp_path / "photos" / name)
    assert again() == 2
    assert again() == 0
    draw(tmp_path / "photos" / "c.png")
    assert again() == 1
    draw(tmp_path / "photos" / "b.png", width=80, seed=5)
    assert again() == 1
    (output / "overlay" / "a.jpg").unlink()
    assert again() == 1
    (tmp_path / "photos" / "b.png").unlink()
    assert again() == 0
    images = json.loads((output / "predictions.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["a.png", "c.png"]


def test_what_failed_is_tried_again(tmp_path):
    draw(tmp_path / "photos" / "a.png")
    whole = (tmp_path / "photos" / "a.png").read_bytes()
    (tmp_path / "photos" / "a.png").write_bytes(whole[:100])
    assert counted_as(mask(tmp_path / "photos", tmp_path / "out"))[2] == 1
    (tmp_path / "photos" / "a.png").write_bytes(whole)
    assert counted_as(mask(tmp_path / "photos", tmp_path / "out")) == (1, 2, 0)
    assert failures_of(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"save": ["binary"]}, "another --save"),
        ({"selection": Selection(min_area=5)}, r"another --min-area \(0, now 5\)"),
        ({"selection": Selection(by_class={"dog": 0.5})}, "another --confidence-threshold"),
        ({"made_with": {"model": "b"}}, r'another model \("a", now "b"\)'),
    ],
)
def test_results_of_other_options_are_not_mixed(tmp_path, more, message):
    draw(tmp_path / "photos" / "a.png")
    mask(tmp_path / "photos", tmp_path / "out", made_with={"model": "a"})
    before = files(tmp_path / "out")
    options = {"made_with": {"model": "a"}, **more}
    with pytest.raises(ConfigError, match=message + ".*--overwrite"):
        mask(tmp_path / "photos", tmp_path / "out", **options)
    assert files(tmp_path / "out") == before
    assert counted_as(mask(tmp_path / "photos", tmp_path / "out", overwrite=True, **options))[0] == 1


def test_two_commands_do_not_write_to_one_folder_at_once(tmp_path):
    draw(tmp_path / "photos" / "a.png")

    def second(photos):
        with pytest.raises(ConfigError, match="another command is writing here"):
            mask(tmp_path / "photos", tmp_path / "out")
        return predict(photos)

    photos = find_photos([str(tmp_path / "photos")], tmp_path / "out").photos
    assert counted_as(mask_photos(second, CLASSES, photos, tmp_path / "out"))[0] == 1


def test_what_a_killed_command_has_half_written_is_removed(tmp_path):
    draw(tmp_path / "photos" / "a.png")
    mask(tmp_path / "photos", tmp_path / "out")
    whole = files(tmp_path / "out")
    for name in ("", "overlay/", "cutouts/a/", "thumbnails/", "videos/walk/"):
        (tmp_path / "out" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name / ".12-34.part.jpg").touch()
    mask(tmp_path / "photos", tmp_path / "out")
    assert files(tmp_path / "out") == whole


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")
@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.js", "a.html", "thumbnails/a.jpg"])
def test_a_disk_that_is_full_at_the_end(tmp_path, name, monkeypatch):
    """When the lists, the table or the gallery are written: one line, nothing half-written, and it goes on."""
    draw(tmp_path / "photos" / "a.png")
    mask(tmp_path / "photos", tmp_path / "whole")
    output = tmp_path / "out"
    if "/" in name:  # a thumbnail that the gallery makes
        mask(tmp_path / "photos", output)
        (output / name).unlink()
    output.mkdir(exist_ok=True)
    with replacing(output / name) as temporary:
        full = temporary  # what the file will be called until it is whole
        full.touch()
    (output / name).unlink()
    full.symlink_to("/dev/full")
    before = files(output)
    with monkeypatch.context() as patch:
        patch.setattr("campus_seg.inference.folder.remove_leftovers", lambda *_, **__: None)  # it would be one
        with pytest.raises(OutputError, match="No space left on device.; make room, and the same command goes on"):
            mask(tmp_path / "photos", output)
    assert not full.is_symlink()
    left = files(output)
    assert {key: left[key] for key in before if key in left}.items() <= files(tmp_path / "whole").items()
    assert not [key for key in left if ".part" in key]
    mask(tmp_path / "photos", output)
    assert files(output) == files(tmp_path / "whole")


@pytest.mark.parametrize(("order", "ends"), [("rrr", True), ("rbrr", True), ("rrarr", False)])
def test_several_photos_in_a_row_that_a_server_refuses_end_the_command(tmp_path, monkeypatch, order, ends):
    """One called r is refused, b is damaged, which says nothing of the server, and a is sound."""

    def read(path):
        if path.stem.endswith("r"):
            raise PhotoError("cannot be read: the server refuses this file", refused=True)
        return read_photo(path)

    for number, kind in enumerate(order):
        draw(tmp_path / "photos" / f"{number}{kind}.png")
        if kind == "b":
            (tmp_path / "photos" / f"{number}{kind}.png").write_bytes(b"no photo")
    monkeypatch.setattr(folder, "read_photo", read)
    if ends:
        with pytest.raises(StorageError, match=f"{len(order) - 1}r.png: cannot be read.*so are the 2 before it"):
            mask(tmp_path / "photos", tmp_path / "out")
    else:
        assert counted_as(mask(tmp_path / "photos", tmp_path / "out"))[::2] == (1, 4)
