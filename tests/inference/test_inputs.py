"""Which photos are meant, what they are called, and their pixels."""

import json
import os
from pathlib import Path

import pytest

from campus_seg.errors import ConfigError
from campus_seg.inference.inputs import find_photos


def touch(folder, *names):
    """Empty files below `folder`: finding does not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(found):
    """{file_name: name} in the order found."""
    return {photo.file_name: photo.name for photo in found.photos}


def coco(path, *file_names):
    """Writes a COCO file of these photos."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": [{"id": i, "file_name": name} for i, name in enumerate(file_names)]}))
    return str(path)


def test_a_folder_is_searched_with_all_below_it(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "walk 1/deep/x.tiff", "walk 1/notes.txt", "movie.mp4", "noending")
    touch(tmp_path, "k.jpeg", "k2.webp", "k3.bmp", "k4.TIF")
    found = find_photos([str(tmp_path)], tmp_path.parent / "out")
    assert list(names(found).items()) == [
        ("a.png", "a"),
        ("b.JPG", "b"),
        ("k.jpeg", "k"),
        ("k2.webp", "k2"),
        ("k3.bmp", "k3"),
        ("k4.TIF", "k4"),
        ("walk 1/deep/x.tiff", "walk 1/deep/x"),
    ]
    assert [(video.file_name, video.name) for video in found.videos] == [("movie.mp4", "movie")]
    assert found.skipped == 2
    assert all(photo.path == tmp_path / photo.file_name for photo in found.photos)


def test_linked_folders_are_told_and_not_searched(tmp_path, caplog):
    touch(tmp_path, "walk/a.jpg", "elsewhere/b.jpg")
    for name in ("one", "two"):
        (tmp_path / "walk" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "walk" / "c.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")  # a photo like any other
    assert names(find_photos([str(tmp_path / "walk")], tmp_path / "out")) == {"a.jpg": "a", "c.jpg": "c"}
    assert f"{tmp_path}/walk: 2 linked folders are not searched (one …)" in caplog.text


def test_what_phones_and_browsers_save_is_found_by_its_ending(tmp_path):
    touch(tmp_path, "a.avif", "b.JFIF", "c.m4v", "d.3gp", "e.gif")
    found = find_photos([str(tmp_path)], tmp_path.parent / "out")
    assert list(names(found)) == ["a.avif", "b.JFIF"] and found.skipped == 1
    assert [video.file_name for video in found.videos] == ["c.m4v", "d.3gp"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.jpg", "a.png", "b.jpg"], {"a.jpg": "a.jpg", "a.png": "a.png", "b.jpg": "b"}),
        (["a.jpg", "x/a.jpg"], {"a.jpg": "a", "x/a.jpg": "x/a"}),
        # a.jpg and a.png need their full names, and so then does the photo whose stem is such a name
        (["a.jpg", "a.png", "a.jpg.png"], {"a.jpg": "a.jpg", "a.jpg.png": "a.jpg.png", "a.png": "a.png"}),
        (["a.b.jpg", "a.c.jpg"], {"a.b.jpg": "a.b", "a.c.jpg": "a.c"}),
        # the folder a.jpg lies where the overlay of the photo a would
        (["a.png", "a.jpg/b.png"], {"a.jpg/b.png": "a.jpg/b", "a.png": "a.png"}),
        (
            ["x/a.png", "x/a.jpg/b.png", "x/a.png.jpg/c.png"],
            {"x/a.jpg/b.png": "x/a.jpg/b", "x/a.png": "x/a.png_", "x/a.png.jpg/c.png": "x/a.png.jpg/c"},
        ),
    ],
)
def test_names_are_stems_unless_two_are_the_same(tmp_path, files, expected):
    touch(tmp_path, *files)
    assert names(find_photos([str(tmp_path)], tmp_path.parent / "out")) == expected


def test_several_inputs_that_hold_the_same_names_are_kept_apart(tmp_path):
    touch(tmp_path, "one/a.jpg", "two/a.jpg", "two/b.jpg", "three/one/a.jpg")
    inputs = [str(tmp_path / name) for name in ("one", "two", "three/one")]
    assert names(find_photos(inputs, tmp_path.parent / "out")) == {
        "one-2/a.jpg": "one-2/a",
        "one/a.jpg": "one/a",
        "two/a.jpg": "two/a",
        "two/b.jpg": "two/b",
    }


def test_several_inputs_without_a_clash_keep_their_names(tmp_path):
    touch(tmp_path, "one/a.jpg", "two/a.png", "two/b.jpg", "c.jpg", "notes.md")
    inputs = [str(tmp_path / name) for name in ("one", "two", "c.jpg", "notes.md")]
    found = find_photos(inputs, tmp_path.parent / "out")
    assert names(found) == {"a.jpg": "a.jpg", "a.png": "a.png", "b.jpg": "b", "c.jpg": "c"}
    assert found.skipped == 1


def test_a_photo_given_twice_is_masked_once(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    found = find_photos(
        [str(tmp_path), str(tmp_path / "a.jpg"), str(tmp_path / "." / "b.jpg")], tmp_path.parent / "out"
    )
    assert names(found) == {"a.jpg": "a", "b.jpg": "b"}


@pytest.mark.parametrize("output", ["masked", "walk/masked", ".", "walk/../masked"])
def test_an_output_inside_the_input_is_refused(tmp_path, output):
    """A later command would mask the masks."""
    touch(tmp_path, "photos/a.jpg", "photos/walk/b.jpg")
    with pytest.raises(ConfigError, match="lies in the photos' folder .*give another --output"):
        find_photos([str(tmp_path / "photos")], tmp_path / "photos" / output)


def test_an_output_inside_the_input_is_known_by_any_of_its_paths(tmp_path, monkeypatch):
    touch(tmp_path, "photos/a.jpg")
    monkeypatch.chdir(tmp_path)
    for given, output in (("photos", tmp_path / "photos/masked"), (str(tmp_path / "photos"), Path("photos/masked"))):
        with pytest.raises(ConfigError, match="lies in the photos' folder"):
            find_photos([given], output)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg", "c.jpg"]),
        ("**/*.jpg", ["a.jpg", "c.jpg", "walk/b.jpg", "walk/deep/d.jpg"]),
        ("walk/*.jpg", ["b.jpg"]),
        ("walk*", ["walk/b.jpg", "walk/deep/d.jpg"]),
        ("[ac].jpg", ["a.jpg", "c.jpg"]),
        ("[a].jpg", ["a.jpg"]),
    ],
)
def test_patterns_keep_what_is_below_their_fixed_part(tmp_path, pattern, expected):
    touch(tmp_path, "a.jpg", "c.jpg", "walk/b.jpg", "walk/deep/d.jpg", "walk/notes.md")
    found = find_photos([str(tmp_path / pattern)], tmp_path.parent / "out")
    if pattern == "walk*":  # a folder, whose own name is not part of its photos'
        expected = [name.removeprefix("walk/") for name in expected]
    assert list(names(found)) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_meant_itself(tmp_path):
    touch(tmp_path, "a[1].jpg", "a1.jpg")
    assert list(names(find_photos([str(tmp_path / "a[1].jpg")], tmp_path.parent / "out"))) == ["a[1].jpg"]


def test_a_pattern_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file or folder; give a folder, photos, a pattern"):
        find_photos([str(tmp_path / "*.jpg")], tmp_path.parent / "out")


def test_lists_name_photos_folders_and_patterns_relative_to_themselves(tmp_path):
    touch(tmp_path, "set/a.jpg", "set/walk/b.jpg", "set/walk/c.png", "elsewhere/d.jpg", "set/not_listed.jpg")
    lines = ["\ufeffa.jpg", "# a remark", "", "  walk/*.jpg  ", str(tmp_path / "elsewhere"), "walk/c.png"]
    (tmp_path / "set" / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    found = find_photos([str(tmp_path / "set" / "list.txt")], tmp_path.parent / "out")
    assert list(names(found)) == ["a.jpg", "b.jpg", "d.jpg", "walk/c.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"gone.jpg", "gone.jpg: no such file"),
        (b"\xff\xfe\x00", "cannot be read as a list"),
        (b"", "no photos or videos here"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        find_photos([str(tmp_path / "list.txt")], tmp_path.parent / "out")


@pytest.mark.parametrize(
    ("files", "entry", "message"),
    [
        ([], "nowhere", "nowhere: no such file or folder"),
        (["photos/notes.txt"], "photos", r"no photos or videos here .*but 1 other files \(\.txt\)"),
        (["photos/list.json"], "photos/list.json", "no COCO file"),
    ],
)
def test_inputs_without_photos(tmp_path, files, entry, message):
    touch(tmp_path, *files)
    with pytest.raises(ConfigError, match=message):
        find_photos([str(tmp_path / entry)], tmp_path.parent / "out")


def test_heic_photos_are_photos(tmp_path):
    touch(tmp_path, "a.heic", "a.jpg", "b.HEIF")
    found = find_photos([str(tmp_path)], tmp_path.parent / "out")
    assert names(found) == {"a.heic": "a.heic", "a.jpg": "a.jpg", "b.HEIF": "b"}


def test_what_macos_leaves_beside_a_photo_is_none(tmp_path):
    touch(tmp_path, "x.jpg", "._x.jpg", "._y.heic", "walk/._x.jpg")
    found = find_photos([str(tmp_path)], tmp_path.parent / "out")
    assert names(found) == {"x.jpg": "x"}
    assert found.skipped == 3


def lock(monkeypatch, folder):
    """Makes listing `folder` fail, for root as well."""
    scandir = os.scandir

    def refuse(path):
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_below_that_cannot_be_listed_is_a_failure(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "locked/b.jpg", "walk/c.jpg")
    lock(monkeypatch, tmp_path / "locked")
    found = find_photos([str(tmp_path)], tmp_path.parent / "out")
    assert [(photo.file_name, photo.fault) for photo in found.photos] == [
        ("a.jpg", ""),
        ("locked", "the folder cannot be listed (Permission denied)"),
        ("walk/c.jpg", ""),
    ]


def test_an_input_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    touch(tmp_path, "one/a.jpg", "two/b.jpg")
    lock(monkeypatch, tmp_path / "two")
    with pytest.raises(ConfigError, match=r"two: the folder cannot be listed .Permission denied"):
        find_photos([str(tmp_path / "one"), str(tmp_path / "two")], tmp_path.parent / "out")


def test_an_empty_folder_has_no_photos(tmp_path):
    with pytest.raises(ConfigError, match="no photos or videos here"):
        find_photos([str(tmp_path)], tmp_path.parent / "out")


def test_a_coco_file_means_its_photos_and_no_others(tmp_path):
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "images/walk/c.jpg", "beside.jpg", "images/not_listed.jpg")
    file_names = ["b.jpg", "walk/c.jpg", "images/a.jpg", "beside.jpg", "gone.jpg", "clip.gif", "\ud800.jpg"]
    found = find_photos([coco(tmp_path / "test.json", *file_names)], tmp_path.parent / "out")
    assert {photo.file_name: photo.path.relative_to(tmp_path).as_posix() for photo in found.photos} == {
        "b.jpg": "images/b.jpg",
        "beside.jpg": "beside.jpg",
        "gone.jpg": "images/gone.jpg",  # will be listed as a failure
        "images/a.jpg": "images/a.jpg",
        "walk/c.jpg": "images/walk/c.jpg",
        "\\ud800.jpg": "images/\ud800.jpg",
    }
    assert found.skipped == 1


def test_a_coco_file_may_name_photos_within_its_folder_in_other_ways(tmp_path):
    touch(tmp_path, "images/a.jpg", "b.jpg")
    found = find_photos([coco(tmp_path / "t.json", str(tmp_path / "images/a.jpg"), "images/../b.jpg")], tmp_path / "o")
    assert list(names(found)) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("name", ["../secret.jpg", "images/../../secret.jpg", "..", "", 7, "a\0.jpg"])
def test_a_coco_file_cannot_reach_outside_its_folder(tmp_path, name):
    touch(tmp_path, "secret.jpg", "set/images/a.jpg")
    with pytest.raises(ConfigError, match="outside of the folder|is no path"):
        find_photos([coco(tmp_path / "set/t.json", "a.jpg", name)], tmp_path.parent / "out")


def test_a_coco_file_may_name_photos_elsewhere_by_their_whole_path(tmp_path):
    touch(tmp_path, "elsewhere/a.jpg")
    (tmp_path / "run").mkdir()
    found = find_photos([coco(tmp_path / "run/t.json", str(tmp_path / "elsewhere/a.jpg"))], tmp_path.parent / "out")
    assert [(photo.path, photo.file_name) for photo in found.photos] == [(tmp_path / "elsewhere/a.jpg", "a.jpg")]


def test_a_coco_file_whose_photos_are_all_elsewhere(tmp_path):
    with pytest.raises(ConfigError, match="none of its 2 photos lies in .*images or"):
        find_photos([coco(tmp_path / "t.json", "a.jpg", "b.jpg")], tmp_path.parent / "out")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [{"id": 1}]}', '{"images": 3}', "\x00\xff"])
def test_a_json_that_is_no_coco_file(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ConfigError, match="no COCO file"):
        find_photos([str(tmp_path / "t.json")], tmp_path.parent / "out")
