"""What is sent, and what is not, worked out on a bucket in memory; tests/storage has real servers."""

import shutil

import pytest
from drawn import draw_export
from PIL import Image

from campus_seg.errors import StorageError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.label_studio import files
from campus_seg.upload.preparing import Changes
from campus_seg.upload.sending import upload_photos

WALK = "s3://b/walk"


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """A folder with four drawn photos, whose hashes may be kept although they are new."""
    monkeypatch.setattr(files, "FRESH", -1.0)
    folder = tmp_path / "walk"
    folder.mkdir()
    for i, content in enumerate(draw_export(photos=4, width=48, height=36).photos.values()):
        (folder / f"{i}.jpg").write_bytes(content)
    return folder


def upload(folder, *, changes=None, **options):
    photos = [
        InputPhoto(path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    return upload_photos(photos, WALK, changes or Changes(), **options)


def there(bucket):
    return {key.removeprefix("b/walk/"): content for key, content in bucket.objects.items()}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_is_sent_once(bucket, walk):
    first = upload(walk)
    assert there(bucket) == contents(walk)
    assert (first.sent, first.bytes) == (4, sum(map(len, bucket.objects.values())))
    assert first.places == {f"{i}.jpg": f"{WALK}/{i}.jpg" for i in range(4)} and first.failures == {}
    bucket.calls.clear()
    again = upload(walk)
    assert (again.sent, again.bytes, again.places) == (0, 0, first.places)
    assert bucket.calls == {"put": 1, "rm": 1, "find": 1}  # whether anything can be written; a list


def test_the_first_of_identical_photos_is_sent_whoever_is_quicker(bucket, walk):
    for name in ("0 copy.jpg", "00.jpg", "3x.jpg"):
        shutil.copy(walk / "3.jpg", walk / name)
    uploaded = upload(walk)
    assert set(there(bucket)) == {"0 copy.jpg", "0.jpg", "1.jpg", "2.jpg"}
    assert {name for name, place in uploaded.places.items() if place == f"{WALK}/0 copy.jpg"} == {
        *("0 copy.jpg", "00.jpg", "3.jpg", "3x.jpg")
    }
    assert uploaded.sent == 4


def test_a_photo_that_is_there_by_another_name_stays_there(bucket, walk):
    upload(walk)
    (walk / "2.jpg").rename(walk / "new.jpg")
    uploaded = upload(walk)
    assert uploaded.sent == 0 and uploaded.places["new.jpg"] == f"{WALK}/2.jpg"


def test_another_photo_of_a_name_is_kept_or_replaced(bucket, walk):
    upload(walk)
    before = there(bucket)
    Image.new("RGB", (9, 9)).save(walk / "1.jpg")
    uploaded = upload(walk)
    assert list(uploaded.failures) == ["1.jpg"] and "--overwrite" in uploaded.failures["1.jpg"]
    assert there(bucket) == before and "1.jpg" not in uploaded.places
    assert upload(walk, overwrite=True).sent == 1
    assert there(bucket) == contents(walk)


def test_photos_that_change_names_are_all_there_in_the_end(bucket, walk):
    upload(walk)
    for old, new in (("0.jpg", "x"), ("1.jpg", "0.jpg"), ("2.jpg", "1.jpg"), ("x", "2.jpg")):
        (walk / old).rename(walk / new)
    assert upload(walk, overwrite=True).sent == 3
    assert there(bucket) == contents(walk)


def test_a_photo_of_the_same_size_is_told_by_its_hash(bucket, walk):
    upload(walk)
    content = bytearray((walk / "0.jpg").read_bytes())
    content[-3] ^= 1  # in what is encoded
    (walk / "0.jpg").write_bytes(content)
    assert list(upload(walk).failures) == ["0.jpg"]


def test_what_arrives_otherwise_is_removed_and_named(bucket, walk, monkeypatch):
    send = bucket.put_file

    def damaging(self, lpath, rpath, **kwargs):
        send(self, lpath, rpath)
        if rpath.endswith("2.jpg"):
            bucket.objects[rpath] = bucket.objects[rpath][:-1] + b"\0"

    shutil.copy(walk / "2.jpg", walk / "copy of 2.jpg")
    monkeypatch.setattr(bucket, "put_file", damaging)
    uploaded = upload(walk)
    assert uploaded.failures == {
        "2.jpg": "it was changed while it was sent; the same command sends it again",
        "copy of 2.jpg": f"the same photo as {WALK}/2.jpg, which could not be sent",
    }
    assert set(there(bucket)) == {"0.jpg", "1.jpg", "3.jpg"} == set(uploaded.places)


def test_unreadable_photos_are_named(bucket, walk):
    (walk / "0.jpg").write_bytes((walk / "0.jpg").read_bytes()[:-100])
    (walk / "1.jpg").write_bytes(b"")
    uploaded = upload(walk)
    assert uploaded.failures["0.jpg"].startswith("cut short") and uploaded.failures["1.jpg"] == "the file is empty"
    assert set(there(bucket)) == {"2.jpg", "3.jpg"}


def test_the_second_time_nothing_is_made(bucket, walk, monkeypatch):
    changes = Changes(strip=True, max_size=24)
    upload(walk, changes=changes)
    before = there(bucket)
    assert all(before[name] != content for name, content in contents(walk).items())
    with monkeypatch.context() as patch:
        patch.setattr(Changes, "apply", None)
        assert upload(walk, changes=changes).sent == 0
    # Other options make other photos, and what is there is not theirs.
    assert len(upload(walk).failures) == 4 and there(bucket) == before


def test_what_was_made_once_is_made_again_where_it_is_gone(bucket, walk):
    changes = Changes(strip=True, max_size=24)
    upload(walk, changes=changes)
    before = there(bucket)
    del bucket.objects["b/walk/3.jpg"]
    assert upload(walk, changes=changes).sent == 1
    assert there(bucket) == before


def test_a_place_that_cannot_be_written_to_is_found_first(bucket, walk, monkeypatch):
    monkeypatch.setattr(Changes, "apply", None)
    bucket.faults.append(PermissionError("no"))
    with pytest.raises(StorageError, match="access is refused"):
        upload(walk)
    assert bucket.objects == {}


def test_nothing_is_left_on_this_machine(bucket, walk, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    upload(walk, changes=Changes(max_size=24))
    assert list((tmp_path / "scratch").iterdir()) == []
