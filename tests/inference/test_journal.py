import json
from dataclasses import replace

import pytest

from campus_seg.errors import ConfigError, StorageError
from campus_seg.inference import journal as module
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.journal import Journal, stamped
from campus_seg.storage_objects import Stat

RECORD = {"image": {"file_name": "a.jpg", "width": 4, "height": 3}, "annotations": [{"score": 0.5}]}


@pytest.fixture
def photos(tmp_path):
    """Three photos: files of some bytes."""
    found = []
    for name in "abc":
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(name.encode() * 10)
        found.append(InputPhoto(path, f"{name}.jpg", name))
    return found


def records(journal, photos):
    return [record["file_name"] for record in journal.records(photos)]


def test_what_was_added_is_there_for_the_next_command(tmp_path, photos):
    with Journal(tmp_path / "out", {"model": "m"}) as journal:
        journal.add(photos[1], RECORD)
        journal.add(photos[0], {"reason": "cut"})
        assert (journal.has(photos[1], []), journal.has(photos[0], []), journal.has(photos[2], [])) == (1, 0, 0)
    with Journal(tmp_path / "out", {"model": "m"}) as journal:
        assert (journal.has(photos[1], []), journal.has(photos[0], []), journal.has(photos[2], [])) == (1, 0, 0)
        assert records(journal, photos) == ["a.jpg", "b.jpg"]
        found = list(journal.records(photos))
        assert found[0]["reason"] == "cut" and found[1].items() >= RECORD.items()


def test_a_photo_counts_only_as_it_was(tmp_path, photos):
    with Journal(tmp_path / "out", {}) as journal:
        journal.add(photos[0], RECORD)
        assert not journal.has(InputPhoto(photos[0].path, "a.jpg", "another name"), [])
        assert not journal.has(photos[0], ["binary/a.png"])  # a picture that is not there
        (tmp_path / "out/binary").mkdir()
        (tmp_path / "out/binary/a.png").touch()
        assert journal.has(photos[0], ["binary/a.png"])
        photos[0].path.write_bytes(b"changed")
        assert not journal.has(photos[0], [])
        photos[0].path.unlink()
        assert not journal.has(photos[0], [])


def test_a_photo_that_changes_while_it_is_masked_is_masked_again(tmp_path, photos):
    with Journal(tmp_path / "out", {}) as journal:
        assert not journal.has(photos[0], [])
        photos[0].path.write_bytes(b"changed")
        journal.add(photos[0], RECORD)
    with Journal(tmp_path / "out", {}) as journal:
        assert not journal.has(photos[0], [])
        journal.add(photos[0], RECORD)
        assert journal.has(photos[0], [])


def test_the_last_record_of_a_photo_counts(tmp_path, photos):
    with Journal(tmp_path / "out", {}) as journal:
        journal.add(photos[0], {"reason": "cut"})
        journal.add(photos[0], RECORD)
        assert "image" in next(iter(journal.records(photos)))
    with Journal(tmp_path / "out", {}) as journal:
        assert "image" in next(iter(journal.records(photos)))


def test_a_line_cut_off_anywhere_counts_for_nothing(tmp_path, photos):
    with Journal(tmp_path / "out", {"model": "m"}) as journal:
        for photo in photos:
            journal.add(photo, RECORD)
    file = tmp_path / "out/.journal/0.jsonl"
    whole = file.read_bytes()

    def lines(content):
        return [{**json.loads(line), "command": None} for line in content.splitlines()]

    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with Journal(tmp_path / "out", {"model": "m"}) as journal:
            done = [journal.has(photo, []) for photo in photos]
            assert done == [end <= length for end in ends[1:]]
            for photo, there in zip(photos, done, strict=True):
                if not there:
                    journal.add(photo, RECORD)
        assert lines(file.read_bytes()) == lines(whole)


def test_processes_have_files_of_their_own_and_see_all_after_reading_again(tmp_path, photos):
    with Journal(tmp_path / "out", {}) as first, Journal(tmp_path / "out", {}, process=1) as second:
        first.add(photos[0], RECORD)
        second.add(photos[1], RECORD)
        assert records(first, photos) == ["a.jpg"]
        first.read()
        assert records(first, photos) == ["a.jpg", "b.jpg"]
    with Journal(tmp_path / "out", {}, process=7) as later:
        assert records(later, photos) == ["a.jpg", "b.jpg"]


def test_the_last_record_counts_also_where_an_earlier_command_had_more_processes(tmp_path, photos):
    with Journal(tmp_path / "out", {}), Journal(tmp_path / "out", {}, process=1) as second:
        second.add(photos[0], RECORD)
        second.add(photos[1], {"reason": "cut"})
    photos[0].path.write_bytes(b"changed")
    changed = {**RECORD, "annotations": []}
    with Journal(tmp_path / "out", {}) as journal:
        journal.add(photos[0], changed)
        journal.add(photos[1], RECORD)
    for process in (0, 1):
        with Journal(tmp_path / "out", {}, process=process) as journal:
            assert journal.has(photos[0], []) and journal.has(photos[1], [])
            first, second = journal.records(photos[:2])
            assert first["annotations"] == [] and "reason" not in second


def test_results_of_something_else_are_refused_and_stay(tmp_path, photos):
    with Journal(tmp_path / "out", {"model": "m", "list": ["x"]}) as journal:
        journal.add(photos[0], RECORD)
    with pytest.raises(ConfigError, match=r'out: holds results with another model \("m", now "n"\), and'):
        Journal(tmp_path / "out", {"model": "n", "list": ["x"]})
    with pytest.raises(ConfigError, match="another list"):
        Journal(tmp_path / "out", {"model": "m", "list": ["y" * 200]}, process=1)
    with Journal(tmp_path / "out", {"model": "m", "list": ["x"]}) as journal:  # the lock was given back
        assert journal.has(photos[0], [])
    with Journal(tmp_path / "out", {"model": "n"}, overwrite=True) as journal:
        assert not journal.has(photos[0], [])


def test_one_process_at_a_time(tmp_path, photos):
    with Journal(tmp_path / "out", {}):
        with pytest.raises(ConfigError, match="another command is writing here"):
            Journal(tmp_path / "out", {})
        Journal(tmp_path / "out", {}, process=1).__exit__(None, None, None)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"[1]\n", b"no JSON\n"])
def test_a_journal_that_is_none(tmp_path, photos, content):
    (tmp_path / "out/.journal").mkdir(parents=True)
    (tmp_path / "out/.journal/0.jsonl").write_bytes(content)
    with Journal(tmp_path / "out", {}) as journal:
        journal.add(photos[0], RECORD)
    with Journal(tmp_path / "out", {}) as journal:
        assert journal.has(photos[0], [])
        lines = (tmp_path / "out/.journal/0.jsonl").read_bytes().splitlines()
        assert json.loads(lines[0]) == {"format": 2}


def test_a_photo_behind_a_uri_counts_only_where_its_server_says_how_it_is(tmp_path):
    photo, unknown = (InputPhoto(f"https://h/{name}.jpg", f"{name}.jpg", name, stamp=name[1:]) for name in ("a1", "b"))
    with Journal(tmp_path / "out", {}) as journal:
        for each in (photo, unknown):
            journal.add(each, RECORD)
        assert journal.has(photo, []) and not journal.has(unknown, [])
        assert not journal.has(replace(photo, stamp="2"), [])


def test_stamps_that_a_list_lacks_are_asked_for(monkeypatch, photos):
    def known(uri):
        if uri == "https://h/gone.jpg":
            raise StorageError("gone", missing=True)
        return Stat(3, "new")

    monkeypatch.setattr(module, "stat", known)
    remote = [InputPhoto(f"https://h/{name}.jpg", name, stamp=stamp) for name, stamp in (("a", "1"), ("b", ""))]
    found = stamped([*photos, *remote, InputPhoto("https://h/gone.jpg", "gone")])
    assert [photo.stamp for photo in found] == ["", "", "", "1", "new", ""]
    monkeypatch.setattr(module, "stat", lambda uri: (_ for _ in ()).throw(StorageError("away")))
    with pytest.raises(StorageError, match="away"):
        stamped(remote)
