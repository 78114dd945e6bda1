"""What is known of photos, found out and remembered."""

import hashlib
import os
import sqlite3

import pytest
from drawn import draw_export

from campus_seg.errors import ExportError
from campus_seg.label_studio import facts as facts_module
from campus_seg.label_studio.cache import PhotoCache
from campus_seg.label_studio.facts import Header, PhotoFacts, Unreadable
from campus_seg.label_studio.files import FolderFiles, ZipFiles
from campus_seg.label_studio.index import PhotoIndex

PHOTOS = draw_export(photos=3).photos
LONG_AGO = 1_700_000_000


@pytest.fixture(params=["folder", "zip"])
def photos(request, tmp_path, monkeypatch):
    """Three photos that have not changed for long; gives what opens them anew."""
    monkeypatch.setattr("campus_seg.label_studio.files.FRESH", -1)  # a copy's ctime is always of this moment
    if request.param == "zip":
        archive = draw_export(photos=3).write_zip(tmp_path / "e.zip")
        return lambda: PhotoIndex([ZipFiles(archive)])
    for name, content in PHOTOS.items():
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    return lambda: PhotoIndex([FolderFiles(tmp_path)])


NAMES = [f"images/{name}" for name in PHOTOS]
HASHES = {f"images/{name}": hashlib.sha256(content).hexdigest() for name, content in PHOTOS.items()}


@pytest.mark.parametrize("small", [0, 2**20])
def test_headers_and_hashes(photos, small, tmp_path, monkeypatch):
    monkeypatch.setattr(facts_module, "SMALL", small)  # read whole, or by the header alone
    cache = PhotoCache(tmp_path / "cache.sqlite")
    facts = PhotoFacts(photos(), cache)
    expected = {name: Header(128, 96, 1, len(content)) for name, content in zip(NAMES, PHOTOS.values(), strict=True)}
    assert facts.headers(NAMES) == expected
    assert facts.hashes(NAMES) == HASHES
    # The second time no photo is opened.
    index = photos()
    monkeypatch.setattr(index, "open", lambda name: pytest.fail(f"{name} was read again"))
    again = PhotoFacts(index, cache)
    assert again.headers(NAMES) == expected and again.hashes(NAMES) == HASHES


def test_a_photo_that_changed_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("campus_seg.label_studio.files.FRESH", -1)
    photo, cache = tmp_path / "a.jpg", PhotoCache(tmp_path / "cache.sqlite")
    first, second = draw_export(1, 64, 48).photos.popitem()[1], draw_export(1, 48, 64).photos.popitem()[1]
    size = max(len(first), len(second))
    photo.write_bytes(first.ljust(size, b"\0"))
    os.utime(photo, (LONG_AGO, LONG_AGO))
    index = PhotoIndex([FolderFiles(tmp_path)])
    assert PhotoFacts(index, cache).headers(["a.jpg"])["a.jpg"][:2] == (64, 48)
    photo.write_bytes(second.ljust(size, b"\0"))
    os.utime(photo, (LONG_AGO, LONG_AGO))  # same size and time; what changed is when that was set
    assert PhotoFacts(index, cache).headers(["a.jpg"])["a.jpg"][:2] == (48, 64)


def test_what_changed_a_moment_ago_is_not_remembered(tmp_path):
    (tmp_path / "a.jpg").write_bytes(next(iter(PHOTOS.values())))
    index = PhotoIndex([FolderFiles(tmp_path)])
    PhotoFacts(index, PhotoCache(tmp_path / "cache.sqlite")).headers(["a.jpg"])
    assert not (tmp_path / "cache.sqlite").exists() or rows(tmp_path / "cache.sqlite") == 0


def rows(file):
    return sqlite3.connect(file).execute("SELECT COUNT(*) FROM photos").fetchone()[0]


def test_what_cannot_be_read_is_said_and_not_remembered(photos, tmp_path, monkeypatch):
    cache = PhotoCache(tmp_path / "cache.sqlite")
    index = photos()

    def broken(name):
        raise OSError("a bad sector")

    monkeypatch.setattr(index, "open", broken)
    assert PhotoFacts(index, cache).headers(NAMES) == dict.fromkeys(NAMES, Unreadable("a bad sector"))
    with pytest.raises(ExportError, match="images/.*: cannot be read any more .a bad sector"):
        PhotoFacts(index, cache).hashes(NAMES)
    assert len(PhotoFacts(photos(), cache).headers(NAMES)) == 3
    assert PhotoFacts(photos(), cache).hashes(NAMES) == HASHES


def test_a_cache_forgets_what_has_another_stamp(tmp_path):
    cache = PhotoCache(tmp_path / "new" / "cache.sqlite")
    cache.put("header", [("/a", "1", "x"), ("/b", "1", "y"), ("/c", "", "z")])
    cache.put("header", [("/b", "2", "w")])
    assert cache.get("header", {"/a": "1", "/b": "1", "/c": "", "/d": "1"}) == {"/a": "x"}
    assert cache.get("header", {"/b": "2"}) == {"/b": "w"}
    assert cache.get("other", {"/a": "1"}) == {}


def test_a_cache_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("campus_seg.label_studio.cache.MAX_ROWS", 3)
    cache = PhotoCache(tmp_path / "cache.sqlite")
    for i in range(10):
        cache.put("header", [(f"/{i}", "1", "x")])
        assert rows(tmp_path / "cache.sqlite") <= 3
        assert cache.get("header", {f"/{i}": "1"})


def test_a_damaged_cache_is_made_anew(tmp_path):
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"no database" * 1000)
    cache = PhotoCache(file)
    assert cache.get("header", {"/a": "1"}) == {}
    cache.put("header", [("/a", "1", "x")])
    assert cache.get("header", {"/a": "1"}) == {"/a": "x"}


def test_a_damaged_cache_that_cannot_be_removed_is_left(tmp_path, monkeypatch):
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"no database" * 1000)

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    assert PhotoCache(file).get("header", {"/a": "1"}) == {}


def test_a_user_without_a_home_has_no_cache(monkeypatch, photos):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert PhotoFacts(photos()).hashes(NAMES) == HASHES


def test_a_zip_is_known_by_what_was_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("campus_seg.label_studio.files.FRESH", -1)
    archive = draw_export(photos=1).write_zip(tmp_path / "e.zip")
    index = PhotoIndex([ZipFiles(archive)])
    archive.unlink()
    draw_export(photos=2).write_zip(archive)
    assert index.stamp(NAMES[0]) != PhotoIndex([ZipFiles(archive)]).stamp(NAMES[0])


def test_without_a_place_for_the_cache_all_is_found_out_anew(tmp_path, photos):
    (tmp_path / "file").touch()
    cache = PhotoCache(tmp_path / "file" / "cache.sqlite")
    for _ in range(2):
        assert PhotoFacts(photos(), cache).hashes(NAMES) == HASHES
