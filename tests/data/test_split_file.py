import json

import pytest

from campus_seg.data.split_file import Placed, read_split, write_split
from campus_seg.errors import ConfigError

A, B, C = (letter * 64 for letter in "abc")
EMPTY = {"train": {}, "val": {}, "test": {}}


def test_written_and_read_through_generations(tmp_path):
    file = tmp_path / "split.json"
    write_split(file, {"train": ["a.jpg"], "val": [], "test": ["b.jpg"]}, {"a.jpg": A, "b.jpg": B}, {})
    assert json.loads(file.read_text()) == {"train": {"a.jpg": A}, "val": {}, "test": {"b.jpg": B}}
    first = read_split(file)
    assert first == {A: Placed("train", "a.jpg"), B: Placed("test", "b.jpg")}
    write_split(file, {"train": ["x.jpg"], "val": ["b.jpg"], "test": []}, {"x.jpg": A, "b.jpg": C}, first)
    content = json.loads(file.read_text())
    assert content["absent"] == {"train": {}, "val": {}, "test": {B: "b.jpg"}}  # though another has its name now
    second = read_split(file)
    assert second == {A: Placed("train", "x.jpg"), C: Placed("val", "b.jpg"), B: Placed("test", "b.jpg")}
    write_split(file, {"train": [], "val": [], "test": ["b.jpg"]}, {"b.jpg": B}, second)
    assert read_split(file) == second
    assert list(json.loads(file.read_text())) == ["train", "val", "test", "absent"]


def test_the_older_form_knows_names_alone(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"train": ["a.jpg"], "val": ["b.jpg"], "test": []}))
    earlier = read_split(file)
    assert earlier == {"a.jpg": Placed("train", "a.jpg"), "b.jpg": Placed("val", "b.jpg")}
    write_split(file, {"train": ["a.jpg"], "val": [], "test": []}, {"a.jpg": A}, earlier)
    assert json.loads(file.read_text()) == {
        "train": {"a.jpg": A},
        "val": {},
        "test": {},
        "absent": {"train": {}, "val": {"b.jpg": "b.jpg"}, "test": {}},
    }
    assert read_split(file) == {A: Placed("train", "a.jpg"), "b.jpg": Placed("val", "b.jpg")}


@pytest.mark.parametrize(
    "content, reason",
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        (b"\xff\xfe", "codec can't decode"),
        ('{"train": []}', "it should hold train, val, test"),
        ("[1]", "it should hold train, val, test"),
        ({**EMPTY, "dev": {}}, "it should hold train, val, test"),
        ({**EMPTY, "val": [1]}, "val should give every photo's name its SHA-256"),
        ({**EMPTY, "val": "a"}, "val should give"),
        ({**EMPTY, "val": {"a.jpg": "abc"}}, "val should give"),
        ({**EMPTY, "val": {"a.jpg": None}}, "val should give"),
        ({**EMPTY, "absent": []}, "absent should hold train, val, test"),
        ({**EMPTY, "absent": {"dev": {}}}, "absent should hold train, val, test"),
        ({**EMPTY, "absent": {"test": {A: 1}}}, "test of absent should give every SHA-256 a photo's name"),
        ({**EMPTY, "train": {"a.jpg": A}, "test": {"b.jpg": A}}, "b.jpg is in both train and test"),
        ({**EMPTY, "train": ["a.jpg"], "test": ["a.jpg"]}, "a.jpg is in both train and test"),
        ({**EMPTY, "val": {"a.jpg": A}, "absent": {"test": {A: "b.jpg"}}}, "b.jpg is in both val and test"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read(content, reason, tmp_path):
    file = tmp_path / "split.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigError, match=r"split\.json: no split that can be read .*CAMPUS\.SPLIT_FILE") as raised:
        read_split(file)
    assert reason in str(raised.value)
