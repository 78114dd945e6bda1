"""What is sent, and what is not, worked out on a bucket in memory; tests/storage has real servers."""

import gc
import io
import shutil
from pathlib import Path

import pytest
from drawn import draw_export
from PIL import Image
from telling_photos import telling, telling_exif

from campus_seg.errors import StorageError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.label_studio import files
from campus_seg.upload import preparing, sending
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


@pytest.fixture
def changing(bucket, walk, monkeypatch):
    """2.jpg changes on this disk as it is sent, and is not what its hash was taken of."""
    put = bucket.put_file

    def late(self, lpath, rpath, **kwargs):
        if rpath.endswith("2.jpg"):
            Path(lpath).write_bytes(Path(lpath).read_bytes()[:-1] + b"\0")
        put(self, lpath, rpath, **kwargs)

    monkeypatch.setattr(bucket, "put_file", late)


def test_a_photo_that_changes_as_it_is_sent_is_removed_and_named(bucket, walk, changing):
    shutil.copy(walk / "2.jpg", walk / "copy of 2.jpg")
    uploaded = upload(walk)
    assert uploaded.failures == {
        "2.jpg": "it was changed while it was sent; the same command sends it again",
        "copy of 2.jpg": f"the same photo as {WALK}/2.jpg, which could not be sent",
    }
    assert set(there(bucket)) == {"0.jpg", "1.jpg", "3.jpg"} == set(uploaded.places)


def test_where_it_cannot_be_removed_there_is_a_way_out(bucket, walk, changing, monkeypatch):
    monkeypatch.setattr(bucket, "rm_file", refuse)
    assert upload(walk).failures == {
        "2.jpg": "it was changed while it was sent; the same command with --overwrite sends it again"
    }


def refuse(*args, **kwargs):
    raise PermissionError("no")


def test_a_photo_that_the_server_does_not_take_stops_no_other(bucket, walk, monkeypatch):
    put = bucket.put_file

    def picky(self, lpath, rpath, **kwargs):
        return refuse() if rpath.endswith(("0.jpg", "1.jpg", "3.jpg")) else put(self, lpath, rpath, **kwargs)

    monkeypatch.setattr(bucket, "put_file", picky)
    uploaded = upload(walk)
    assert list(uploaded.failures) == ["0.jpg", "1.jpg", "3.jpg"] and set(there(bucket)) == {"2.jpg"}
    assert all("access is refused" in reason for reason in uploaded.failures.values())


def test_a_key_that_may_remove_nothing_will_do(bucket, walk, monkeypatch):
    monkeypatch.setattr(bucket, "rm_file", refuse)
    for sent in (4, 0):
        uploaded = upload(walk)
        assert (uploaded.sent, uploaded.failures) == (sent, {})
    assert contents(walk).items() <= there(bucket).items()
    assert len(bucket.objects) == 5  # the one by which it was tried whether any can be written


def test_several_in_a_row_end_it(bucket, walk, monkeypatch):
    put = bucket.put_file
    monkeypatch.setattr(
        bucket,
        "put_file",
        lambda self, lpath, rpath, **kwargs: (
            refuse() if "walk/" in rpath and "probe" not in rpath else put(self, lpath, rpath, **kwargs)
        ),
    )
    (walk / "1.jpg").write_bytes(b"no photo, which says nothing of the server")
    with pytest.raises(StorageError, match=f"{WALK}/3.jpg: access is refused"):
        upload(walk)


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x7f.jpg", "\x1b[1m.jpg"])
def test_a_name_with_a_control_character_is_refused(bucket, walk, name):
    (walk / "0.jpg").rename(walk / name)
    uploaded = upload(walk)
    assert uploaded.failures == {name: "its name has a control character; rename it"}
    assert set(there(bucket)) == {"1.jpg", "2.jpg", "3.jpg"}


ODD_NAMES = ("Süd 100 %.jpg", "at 9.41\u202fPM.jpg", "a#b?c=d&e+f;g.jpg", "[1]*{2}.jpg", "a\\b.jpg")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_other_names_arrive_as_they_are(bucket, walk, name):
    (walk / "0.jpg").rename(walk / name)
    assert upload(walk).failures == {} and there(bucket) == contents(walk)
    assert upload(walk).sent == 0


def test_a_photo_of_the_name_that_has_come_meanwhile_is_kept(bucket, walk, monkeypatch):
    """Two phones send their IMG_0001 at once: neither is in the list that the other has."""
    monkeypatch.setattr(sending, "listing", lambda uri: {})
    bucket.objects["b/walk/1.jpg"] = b"another phone's"
    bucket.objects["b/walk/2.jpg"] = (walk / "2.jpg").read_bytes()
    uploaded = upload(walk)
    assert list(uploaded.failures) == ["1.jpg"] and "another photo is there by this name" in uploaded.failures["1.jpg"]
    assert there(bucket) == {**contents(walk), "1.jpg": b"another phone's"}
    assert upload(walk, overwrite=True).failures == {} and there(bucket) == contents(walk)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_this_version_makes_otherwise_is_noticed(bucket, walk, monkeypatch, overwrite):
    upload(walk, changes=Changes(strip=True))
    before = there(bucket)
    strip = Changes.apply
    monkeypatch.setattr(Changes, "apply", lambda self, content: strip(self, content) + b"better")
    if not overwrite:
        monkeypatch.setattr(preparing, "VERSION", "next")
    uploaded = upload(walk, changes=Changes(strip=True), overwrite=overwrite)
    assert len(uploaded.failures) == (0 if overwrite else 4)
    better = {name: content + b"better" for name, content in before.items()}
    assert there(bucket) == (better if overwrite else before)


def test_another_library_scales_otherwise_and_strips_alike(monkeypatch):
    before = [changes.kind() for changes in (Changes(strip=True), Changes(max_size=9))]
    monkeypatch.setattr("PIL.__version__", "next")
    after = [changes.kind() for changes in (Changes(strip=True), Changes(max_size=9))]
    assert before[0] == after[0] and before[1] != after[1]


@pytest.fixture
def warned(recwarn):
    """What is warned of from now on; of what earlier tests left open as garbage, before."""
    gc.collect()
    recwarn.clear()
    return recwarn


def test_a_photo_too_large_to_learn_from_can_be_scaled(bucket, walk, warned):
    Image.new("L", (16000, 12000), 99).save(walk / "0.jpg")
    (reason,) = upload(walk).failures.values()
    assert reason.startswith("too large: 16000 x 12000 pixels") and "give --max-size, such as 8000" in reason
    limit = Image.MAX_IMAGE_PIXELS
    assert upload(walk, changes=Changes(max_size=1000)).sent == 1
    with Image.open(io.BytesIO(there(bucket)["0.jpg"])) as image:
        assert image.size == (1000, 750)
    assert limit == Image.MAX_IMAGE_PIXELS and not warned.list


def test_what_a_library_warns_of_is_not_shown(bucket, walk, warned):
    content = telling("JPEG", telling_exif())  # with a list of further photos that is none
    (walk / "0.jpg").write_bytes(content)
    with pytest.warns(UserWarning, match="malformed MPO"):
        Image.open(io.BytesIO(content))
    warned.clear()
    assert upload(walk).sent == 4 and not warned.list


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
