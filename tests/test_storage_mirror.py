import logging
import os
import threading
import time

from campus_seg import storage_mirror
from campus_seg.storage_folder import mirrored
from campus_seg.storage_mirror import Mirror


def names(bucket):
    return sorted(key.removeprefix("b/run/") for key in bucket.objects)


def is_picture(name):
    return name.startswith("overlay/")


def test_what_is_made_changed_and_removed_is_so_behind_the_uri(bucket):
    bucket.objects = {"b/run/old": b"old", "b/run/x/gone": b"gone"}
    with mirrored("s3://b/run") as mirror:
        assert (mirror.folder / "old").read_bytes() == b"old" and mirror.folder.name == "run"
        (mirror.folder / "old").write_bytes(b"changed")
        (mirror.folder / "x" / "gone").unlink()
        (mirror.folder / "new").mkdir()
        (mirror.folder / "new" / "a.txt").write_bytes(b"a")
        (mirror.folder / ".1-2.part.txt").write_bytes(b"half")
        (mirror.folder / "a.lock").touch()
    assert bucket.objects == {"b/run/old": b"changed", "b/run/new/a.txt": b"a"}
    assert not mirror.folder.exists()


def test_only_what_has_changed_is_sent(bucket):
    with mirrored("s3://b/run") as mirror:
        puts = bucket.calls["put"]
        (mirror.folder / "a").write_bytes(b"a")
        mirror.send()
        mirror.send()
        Mirror(mirror.folder, mirror.uri).send()  # another process of the command
        assert bucket.calls["put"] == puts + 1
        (mirror.folder / "a").write_bytes(b"more")
        mirror.send()
        assert bucket.calls["put"] == puts + 2


def test_a_checkpoint_is_there_before_what_names_it(bucket, monkeypatch):
    order = []
    put = bucket.put_file
    monkeypatch.setattr(
        bucket, "put_file", lambda self, lpath, rpath, **kwargs: (order.append(rpath), put(self, lpath, rpath))
    )
    with mirrored("s3://b/run", late=("before.pth", "*.pth"), witnesses=("last_checkpoint",)) as mirror:
        order.clear()
        for name in ("last_checkpoint", "a.pth", "before.pth", "metrics.json"):
            (mirror.folder / name).write_bytes(name.encode())
    assert order == [f"b/run/{name}" for name in ("metrics.json", "before.pth", "a.pth", "last_checkpoint")]


def test_a_record_is_sent_as_it_was_before_pictures_were_looked_for(bucket, monkeypatch):
    with mirrored("s3://b/run", witnesses=(".journal/*.jsonl",)) as mirror:
        journal = mirror.folder / ".journal" / "0.jsonl"
        journal.parent.mkdir()
        journal.write_bytes(b"first\n")
        put = bucket.put_file

        def one_more(self, lpath, rpath, **kwargs):
            with journal.open("ab") as file:
                file.write(b"second\n")  # of a picture that was made meanwhile
            put(self, lpath, rpath)

        (mirror.folder / "a.png").write_bytes(b"a")
        with monkeypatch.context() as patch:
            patch.setattr(bucket, "put_file", one_more)
            mirror.send()
        assert bucket.objects["b/run/.journal/0.jsonl"] == b"first\n"
        mirror.send()
        assert bucket.objects["b/run/.journal/0.jsonl"].startswith(b"first\nsecond\n")


def test_pictures_stay_behind_the_uri_and_their_names_here(bucket):
    bucket.objects = {"b/run/overlay/a.jpg": b"picture", "b/run/list.json": b"[]"}
    with mirrored("s3://b/run", hollow=is_picture) as mirror:
        assert (mirror.folder / "overlay" / "a.jpg").stat().st_size == 0
        assert (mirror.folder / "list.json").read_bytes() == b"[]"
        new = mirror.folder / "overlay" / "b.jpg"
        new.write_bytes(b"new")
        mirror.send()
        assert new.read_bytes() == b"new"  # a thumbnail may be made of it
        mirror.send()
        os.utime(new, (1, 1))
        mirror.send()
        mirror.send()
        assert new.stat().st_size == 0
    assert bucket.objects["b/run/overlay/a.jpg"] == b"picture"
    assert bucket.objects["b/run/overlay/b.jpg"] == b"new"


def send_meanwhile(mirror, bucket):
    """Writes a file while the folder is sent as it fills, and waits for it to arrive."""
    with mirror.sending(every=0.01):
        (mirror.folder / "a").write_bytes(b"a")
        for _ in range(500):
            if "b/run/a" in bucket.objects:
                break
            time.sleep(0.01)
    assert bucket.objects == {"b/run/a": b"a"}


def test_a_folder_that_fills_is_sent_meanwhile(bucket):
    with mirrored("s3://b/run") as mirror:
        send_meanwhile(mirror, bucket)


def test_what_cannot_be_sent_meanwhile_is_told_once_and_tried_again(bucket, caplog):
    with caplog.at_level(logging.WARNING), mirrored("s3://b/run") as mirror:
        bucket.faults = [PermissionError("AccessDenied")] * 3
        send_meanwhile(mirror, bucket)
    assert caplog.text.count("access is refused") == 1 and "this is tried again" in caplog.text


def test_a_file_that_goes_while_files_are_looked_for_or_sent_stops_nothing(bucket, monkeypatch):
    put = bucket.put_file
    with mirrored("s3://b/run") as mirror:
        for name in ("a", "b", "c"):
            (mirror.folder / name).write_bytes(name.encode())

        def goes(self, lpath, rpath, **kwargs):
            if lpath.endswith("/b"):
                (mirror.folder / "b").unlink()
            put(self, lpath, rpath)

        stamp = storage_mirror._stamp

        def goes_at_a_look(path):
            if path.name == "c":
                path.unlink(missing_ok=True)
            return stamp(path)

        with monkeypatch.context() as patch:
            patch.setattr(bucket, "put_file", goes)
            patch.setattr(storage_mirror, "_stamp", goes_at_a_look)
            mirror.send()
    assert names(bucket) == ["a"]


def test_a_command_that_ends_waits_for_what_is_on_the_way_alone_and_sends_nothing_twice(bucket, monkeypatch):
    put, begun, free = bucket.put_file, [], threading.Event()

    def slow(self, lpath, rpath, **kwargs):
        begun.append(rpath)
        free.wait(10)
        put(self, lpath, rpath)

    with mirrored("s3://b/run") as mirror:
        for number in range(40):
            (mirror.folder / f"{number:02}").write_bytes(b"a")
        monkeypatch.setattr(bucket, "put_file", slow)
        over = threading.Event()
        thread = threading.Thread(target=mirror.send, args=(over,))
        thread.start()
        while len(begun) < 16:
            time.sleep(0.01)
        over.set()
        free.set()
        thread.join()
        assert len(begun) == len(bucket.objects) == 16
    assert len(begun) == len(bucket.objects) == 40
