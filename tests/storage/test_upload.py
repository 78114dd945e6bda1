"""tools/photos.py upload, to real servers on the loopback."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faulty_proxy import Faults
from PIL import Image
from storage_runs import contents, upload
from storage_servers import BUCKET, SECRET, empty, s3_client, s3_objects
from telling_photos import SECRET as TELLING
from telling_photos import telling, telling_exif
from terminal import on_a_terminal

from campus_seg.label_studio import files
from campus_seg.upload.preparing import Changes

pytestmark = pytest.mark.storage
TOOL = Path(__file__).resolve().parents[2] / "tools" / "photos.py"
WALK = f"s3://{BUCKET}/walk"


def puts(faults):
    """Objects that were sent, but for the one by which it is tried whether any can be."""
    return [path for method, path in faults.asked if method == "PUT" and ".campus_seg-" not in path]


def test_photos_arrive_byte_for_byte_and_again_nothing_is_sent(through, bucket, photos, capsys):
    faults = through(Faults(share=0))
    assert upload(photos, WALK) == 0
    assert s3_objects(bucket) == contents(photos, "walk/")
    assert len(puts(faults)) == 12
    assert f"{WALK}: 12 photos sent" in capsys.readouterr().out
    assert upload(photos, f"{WALK}/") == 0
    assert len(puts(faults)) == 12
    assert "0 photos sent (0.0 MB), 12 are there" in capsys.readouterr().out


def test_a_bar_grows_on_a_terminal_alone(bucket, photos, capfd):
    command = [sys.executable, str(TOOL), "upload", str(photos), WALK]
    status, shown = on_a_terminal(command)
    assert status == 0 and "photos:" in shown and "12/12" in shown
    assert upload(photos, WALK) == 0
    assert capfd.readouterr().err == ""


def test_a_browser_is_told_what_they_are(bucket, photos):
    upload(photos, WALK)
    head = s3_client(bucket).head_object(Bucket=BUCKET, Key="walk/IMG 0000.jpg")
    assert head["ContentType"] == "image/jpeg"


def test_only_what_is_new_is_sent(through, bucket, photos):
    upload(photos, WALK)
    (photos / "more" / "IMG 0010.jpg").rename(photos / "new.jpg")
    (photos / "IMG 0000.jpg").unlink()
    Image.new("RGB", (30, 20), "green").save(photos / "green.png")
    before = s3_objects(bucket)
    faults = through(Faults(share=0))
    assert upload(photos, WALK) == 0
    assert puts(faults) == [f"/{BUCKET}/walk/green.png"]  # new.jpg is there by another name, and nothing is removed
    assert s3_objects(bucket) == {**before, "walk/green.png": (photos / "green.png").read_bytes()}


def test_identical_photos_are_there_once(bucket, photos, tmp_path, capsys):
    shutil.copy(photos / "IMG 0001.jpg", photos / "A copy.jpg")
    shutil.copy(photos / "IMG 0001.jpg", photos / "more" / "Another.JPG")
    tasks = tmp_path / "tasks.json"
    assert upload(photos, WALK, "--tasks", tasks) == 0
    objects = s3_objects(bucket)
    assert len(objects) == 12 and len(set(objects.values())) == 12
    assert "2 the same as others" in capsys.readouterr().out
    addresses = [task["data"]["image"] for task in json.loads(tasks.read_text())]
    assert sorted(addresses) == sorted(f"s3://{BUCKET}/{key}" for key in objects)


def test_tasks_are_what_label_studio_lists_itself(bucket, photos, tmp_path):
    """Its S3 source storage makes {"image": "s3://BUCKET/KEY"} of each object, the key as it is."""
    upload(photos, WALK, "--tasks", tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    keys = [entry["Key"] for entry in s3_client(bucket).list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert tasks == [{"data": {"image": f"s3://{BUCKET}/{key}"}} for key in sorted(keys)]
    assert upload(photos, WALK, "--tasks", f"s3://{BUCKET}/tasks.json") == 0
    assert json.loads(s3_objects(bucket)["tasks.json"]) == tasks


def test_another_photo_of_the_same_name_is_kept_unless_told_otherwise(bucket, photos, capsys):
    upload(photos, WALK)
    before = s3_objects(bucket)
    Image.new("RGB", (30, 20), "green").save(photos / "IMG 0002.jpg")
    assert upload(photos, WALK) == 3
    assert "IMG 0002.jpg: another photo is there by this name, or this one as sent" in capsys.readouterr().out
    assert s3_objects(bucket) == before
    assert upload(photos, WALK, "--overwrite") == 0
    assert s3_objects(bucket) == contents(photos, "walk/")


def test_names_that_are_swapped_come_out_swapped(bucket, photos):
    upload(photos, WALK)
    first, second = photos / "IMG 0000.jpg", photos / "IMG 0001.jpg"
    first.rename(photos / "x"), second.rename(first), (photos / "x").rename(second)
    assert upload(photos, WALK, "--overwrite") == 0
    assert s3_objects(bucket) == contents(photos, "walk/")


def test_photos_that_cannot_be_read_are_named_and_the_others_sent(bucket, photos, tmp_path, capsys):
    (photos / "cut.jpg").write_bytes((photos / "IMG 0000.jpg").read_bytes()[:1000])
    (photos / "empty.png").touch()
    (photos / "notes.doc").write_text("no photo")
    assert upload(photos, WALK, "--tasks", tmp_path / "tasks.json") == 3
    said = capsys.readouterr().out
    assert "1 other files left out" in said and "2 not sent:" in said
    assert "cut.jpg: cut short" in said and "empty.png: the file is empty" in said
    assert len(s3_objects(bucket)) == len(json.loads((tmp_path / "tasks.json").read_text())) == 12


def test_what_tells_of_the_owner_does_not_arrive(bucket, photos, monkeypatch):
    monkeypatch.setattr(files, "FRESH", -1.0)  # these are of this second
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.heic", "HEIF"), ("d.webp", "WEBP")):
        (photos / name).write_bytes(telling(kind, telling_exif()))
    assert upload(photos, WALK, "--strip-gps", "--max-size", "80") == 0
    objects = s3_objects(bucket)
    assert len(objects) == 16 and not [key for key, content in objects.items() if TELLING.encode() in content]
    monkeypatch.setattr(Changes, "apply", None)  # what was made once is known by its hash
    assert upload(photos, WALK, "--strip-gps", "--max-size", "80") == 0
    assert s3_objects(bucket) == objects


def test_photos_are_scaled(bucket, photos, tmp_path):
    assert upload(photos, WALK, "--max-size", "48") == 0
    sizes = {}
    for key, content in s3_objects(bucket).items():
        (tmp_path / "photo.jpg").write_bytes(content)
        with Image.open(tmp_path / "photo.jpg") as image:
            sizes[key] = image.size, image.getexif().get(0x0112, 1)
    assert sizes["walk/IMG 0003.jpg"] == ((48, 32), 6)  # shown upright, 32 x 48
    assert set(sizes.values()) == {((48, 32), 6), ((48, 32), 1)}


def test_a_hash_that_is_none_is_not_trusted(through, bucket, photos, monkeypatch, tmp_path):
    """Of an object that came in parts the ETag is no hash of its content: it is read once, and then known."""
    client, key = s3_client(bucket), "walk/IMG 0000.jpg"
    part = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    named = {"Bucket": BUCKET, "Key": key, "UploadId": part}
    etag = client.upload_part(**named, PartNumber=1, Body=(photos / "IMG 0000.jpg").read_bytes())["ETag"]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    faults = through(Faults(share=0))
    reads = []
    for _ in range(2):
        assert upload(photos, WALK) == 0
        reads.append(
            sum(method == "GET" and "IMG" in path and "list-type" not in path for method, path in faults.asked)
        )
    assert reads[0] >= 1 and reads[1] == reads[0]
    assert len(puts(faults)) == 11


def test_a_killed_upload_goes_on_where_it_was(through, bucket, photos):
    """The photos below more/ never get through; when all others have, the command is killed."""
    faults = through(Faults(share=1, kinds=("stall",), only=f"PUT /{BUCKET}/walk/more"))
    command = [sys.executable, str(TOOL), "upload", str(photos), WALK]
    process = subprocess.Popen(command, start_new_session=True)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        stalled = {path for _, method, path in faults.hits if method == "PUT" and "/more/" in path}  # and passed on
        if len(s3_objects(bucket, "walk/IMG")) == 10 and len(stalled) == 2:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    client = s3_client(bucket)
    for key in s3_objects(bucket, "walk/more"):  # which a stalled request may have left
        client.delete_object(Bucket=BUCKET, Key=key)
    faults.share = 0
    before = len(puts(faults))
    assert upload(photos, WALK) == 0
    assert sorted(puts(faults)[before:]) == [f"/{BUCKET}/walk/more/IMG%20{i:04}.jpg" for i in (10, 11)]
    assert s3_objects(bucket) == contents(photos, "walk/")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_upload_waits_for_no_server(through, bucket, photos, tmp_path, number):
    """None of the photos gets an answer, and each would be waited for as long as the user's patience is."""
    faults = through(Faults(share=1, kinds=("stall",), only=f"PUT /{BUCKET}/walk/IMG"))
    process = subprocess.Popen(
        [sys.executable, str(TOOL), "upload", str(photos), WALK],
        env=os.environ | {"CAMPUS_STORAGE_TIMEOUT": "300"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while len(puts(faults)) < 10 and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + number and "the same command goes on where it was" in said
    assert "Traceback" not in said


def test_two_commands_at_once_lose_no_photo(through, bucket, photos, tmp_path, capsys):
    """Phones give the same names, and neither list has the other's photo yet."""
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (30, 20), "green").save(other / "IMG 0000.jpg")
    faults = through(Faults(share=1, kinds=("503",), only=f"PUT /{BUCKET}/walk/IMG%200000.jpg"))
    results = []
    thread = threading.Thread(target=lambda: results.append(upload(photos, WALK)))
    thread.start()
    until = time.monotonic() + 60
    while f"/{BUCKET}/walk/IMG%200000.jpg" not in puts(faults) and time.monotonic() < until:
        time.sleep(0.02)
    s3_client(bucket).upload_file(str(other / "IMG 0000.jpg"), BUCKET, "walk/IMG 0000.jpg")
    faults.share = 0
    thread.join()
    assert results == [3] and "IMG 0000.jpg: another photo is there by this name" in capsys.readouterr().out
    sent = {**contents(photos, "walk/"), "walk/IMG 0000.jpg": (other / "IMG 0000.jpg").read_bytes()}
    assert s3_objects(bucket) == sent


def test_what_was_sent_without_an_answer_is_sent(through, bucket, photos):
    """Every other attempt gets no answer, though it has done its work: what is there then is no other's."""
    faults = through(Faults(share=0.5, kinds=("cut",), only=f"PUT /{BUCKET}/walk/"))
    assert upload(photos, WALK) == 0
    assert faults.made["cut"] >= 3
    assert s3_objects(bucket) == contents(photos, "walk/")


def test_tasks_stay_where_no_photo_is_there(bucket, tmp_path, capsys):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    tasks = tmp_path / "tasks.json"
    tasks.write_text("[1]")
    assert upload(tmp_path / "walk", WALK, "--tasks", tasks) == 3
    assert tasks.read_text() == "[1]"
    assert "not written, since none of these photos is there" in capsys.readouterr().out


def test_a_link_is_sent_as_the_photo_that_it_leads_to(bucket, photos, tmp_path):
    photos.rename(tmp_path / "elsewhere")
    photos.mkdir()
    (photos / "a.jpg").symlink_to(tmp_path / "elsewhere" / "IMG 0000.jpg")
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert upload(photos, WALK) == 3
    assert s3_objects(bucket) == {"walk/a.jpg": (tmp_path / "elsewhere" / "IMG 0000.jpg").read_bytes()}


def test_the_same_over_sftp(sftp_server, photos, tmp_path, capsys):
    """Where the server knows no hashes, what was sent is read once."""
    uri = f"{sftp_server.uri}/walk"
    assert upload(photos, uri) == 0
    assert contents(sftp_server.folder / "walk") == contents(photos)
    stamps = {path: path.stat().st_mtime_ns for path in (sftp_server.folder / "walk").rglob("*.jpg")}
    assert upload(photos, uri) == 0
    assert "0 photos sent (0.0 MB), 12 are there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (sftp_server.folder / "walk").rglob("*.jpg")} == stamps
    with pytest.raises(SystemExit):
        upload(photos, uri, "--tasks", tmp_path / "tasks.json")
    assert "none behind sftp://" in capsys.readouterr().err


def test_nothing_that_is_written_or_said_has_the_key(bucket, photos, tmp_path, capfd):
    (photos / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    upload(photos, WALK, "--tasks", tmp_path / "tasks.json")
    with contextlib.suppress(SystemExit):
        upload(photos, "s3://nobodys-bucket/walk")
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 12 and not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_the_place_is_tried_before_any_photo_is_read(bucket, photos, monkeypatch, capsys):
    monkeypatch.setattr(Changes, "apply", None)
    with pytest.raises(SystemExit) as ended:
        upload(photos, "s3://nobodys-bucket/walk")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: s3://nobodys-bucket/walk: there is no such bucket; create it.*\n", said)
    empty(bucket)
