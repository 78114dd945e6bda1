import errno
import json
import os
from pathlib import Path

import pytest

from campus_seg.atomic_writes import (
    check_output_file,
    check_output_folder,
    no_room,
    remove_leftovers,
    replacing,
    write_json,
)
from campus_seg.errors import ConfigError


def below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_replacing_makes_parents_and_keeps_the_ending(tmp_path):
    with replacing(tmp_path / "new" / "a.png") as temporary:
        assert temporary.parent == tmp_path / "new"
        assert temporary.suffix == ".png"
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.png").exists()
    assert below(tmp_path) == ["new", "new/a.png"]
    assert (tmp_path / "new" / "a.png").read_text() == "whole"


@pytest.mark.parametrize("old", [None, "old"])
def test_an_error_leaves_nothing_behind_and_keeps_what_was_there(tmp_path, old):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)
    with pytest.raises(RuntimeError, match="half way"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert below(tmp_path) == (["a.txt"] if old else [])
    assert not old or path.read_text() == old


def test_json_is_utf_8_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old and much longer than the new one")
    write_json(path, {"Straße": [1, None, 0.5]})
    assert "Straße" in path.read_bytes().decode("utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == {"Straße": [1, None, 0.5]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"loss": [float("-inf")]}])
def test_what_is_no_json_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "new" / "a.json", value)
    assert below(tmp_path) == []


@pytest.mark.parametrize("name", ["", "folder", "new", "new/er/est", "link", "link/new"])
def test_folders_that_can_be_written_to(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    check_output_folder(tmp_path / name)
    check_output_folder(str(tmp_path / name))
    assert below(tmp_path) == ["folder", "link"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "Not a directory"),
        ("file/new/er", "Not a directory"),
        ("dangling", "No such file or directory"),
        ("n" * 300, "File name too long"),
        ("/proc/campus_seg/out", ".+"),  # where not even root makes a file
    ],
)
def test_folders_that_cannot_be_written_to(tmp_path, name, reason):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=rf"{name}: cannot be written to \({reason}\); give another folder$"):
        check_output_folder(tmp_path / name)
    assert below(tmp_path) == ["dangling", "file"]


def test_leftovers_of_killed_writes_are_removed(tmp_path):
    for name in (".123.part.pth", ".9.part", ".8-7.part.png", ".hidden", ".mine.part.png", "a.part.pth", "model.pth"):
        (tmp_path / name).touch()
    (tmp_path / "import").mkdir()
    (tmp_path / "import" / ".1.part.json").touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".hidden",
        ".mine.part.png",
        "a.part.pth",
        "import",
        "model.pth",
    ]
    assert (tmp_path / "import" / ".1.part.json").exists()
    remove_leftovers(tmp_path, below=True)
    assert not (tmp_path / "import" / ".1.part.json").exists()


def test_a_durable_file_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """The order of what the kernel is asked for; a power cut cannot be had in a test."""
    calls = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: (calls.append(str(Path(f"/proc/self/fd/{descriptor}").readlink())), sync(descriptor)),
    )
    monkeypatch.setattr(Path, "replace", lambda self, target: (calls.append("replace"), replace(self, target)))
    with replacing(tmp_path / "a.txt", durable=True) as temporary:
        temporary.write_text("a")
    assert calls == [str(temporary), "replace", str(tmp_path)]


def test_no_room_is_seen_behind_another_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space")
        except OSError:
            raise RuntimeError("unexpected pos") from None
    except RuntimeError as error:
        assert no_room(error).strerror == "No space"
    assert no_room(OSError(errno.EACCES, "No")) is None and no_room(None) is None


@pytest.mark.parametrize("place", ["s3://b/out", Path("s3://b/out"), "https://h/out"])
def test_a_uri_is_no_folder_of_this_machine(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="(s3://b|https://h)/out: a folder on this machine is wanted here"):
        check_output_folder(place)


@pytest.mark.parametrize("place", ["s3://b/r.json", Path("s3://r.json"), "https://h/out/r.json"])
def test_a_uri_is_no_file_of_this_machine(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="(s3|https)://.*r.json: a file on this machine is wanted here"):
        check_output_file(place)


def test_where_a_file_can_be_written(tmp_path):
    check_output_file(tmp_path / "new" / "r.json")
    (tmp_path / "file").touch()
    check_output_file(tmp_path / "file")
    with pytest.raises(ConfigError, match="is a folder; give a file"):
        check_output_file(tmp_path)
    with pytest.raises(ConfigError, match="file: cannot be written to"):
        check_output_file(tmp_path / "file" / "r.json")
    assert below(tmp_path) == ["file"]
