import itertools
import threading

from campus_seg import read_ahead as module
from campus_seg.read_ahead import read_ahead
from campus_seg.storage_cache import cache


def uris(bucket, count):
    bucket.objects = {f"b/{number}.jpg": b"x" * (number + 1) for number in range(count)}
    return [f"s3://b/{number}.jpg" for number in range(count)]


def test_items_come_in_their_order_each_when_its_file_is_here(bucket):
    items = uris(bucket, 20)
    seen = []
    for item in read_ahead(iter(items), lambda item: item, ahead=3):
        gets = bucket.calls["get"]
        with cache().using(item) as path:
            assert path.stat().st_size == len(bucket.objects[item.removeprefix("s3://")])
        assert item == items[len(seen)] and gets >= len(seen) + 1
        seen.append(item)
    assert seen == items and bucket.calls["get"] == 20


def test_no_more_than_so_many_are_looked_at_before_their_turn(bucket):
    items, asked = uris(bucket, 30), []
    given = read_ahead((asked.append(item) or item for item in items), lambda item: item, ahead=5)
    for number, _ in enumerate(itertools.islice(given, 10)):
        assert len(asked) == number + 6


def test_files_are_fetched_at_once(bucket, monkeypatch):
    """Each waits for another one: one at a time, none would come."""
    meeting = threading.Barrier(4, timeout=30)
    get = bucket.get_file

    def together(self, rpath, lpath, **kwargs):
        meeting.wait()
        get(self, rpath, lpath)

    monkeypatch.setattr(bucket, "get_file", together)
    monkeypatch.setattr(module, "THREADS", 4)
    assert len(list(read_ahead(uris(bucket, 8), lambda item: item, ahead=8))) == 8


def test_paths_and_files_that_are_missing_are_left_to_their_reader(bucket, tmp_path):
    items = [tmp_path / "a.jpg", "s3://b/missing.jpg", str(tmp_path)]
    assert list(read_ahead(items, lambda item: item)) == items
    assert list(read_ahead([], lambda item: item)) == []
