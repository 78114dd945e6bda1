import json

import pytest

from campus_seg.metrics_file import read_metrics, trim_metrics

LINES = [{"iteration": i, "total_loss": 3.0 - i / 10} for i in (19, 24, 39)]


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    "content, iteration, kept",
    [
        (text(LINES), 39, LINES),
        (text(LINES), 38, LINES[:2]),
        (text(LINES), 24, LINES[:2]),
        (text(LINES), 18, []),
        ("", 18, []),
        # Cut off within a line, also where that holds the iteration alone or half a character, and with no line's end.
        (text(LINES) + '{"iteration": 40, "total_l', 39, LINES),
        (text(LINES) + '{"iteration": 4', 39, LINES),
        (text(LINES) + '{"\udcc3', 39, LINES),
        (text(LINES)[:-1], 39, LINES),
        # A run that went on behind half a line, and one that did twice what it had done before.
        (text(LINES[:1]) + '{"iter' + text(LINES[1:]), 39, [LINES[0], LINES[2]]),
        (text(LINES + LINES[:1]), 24, [LINES[0], LINES[1], LINES[0]]),
    ],
)
def test_trim_metrics(content, iteration, kept, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    trim_metrics(path, iteration)
    assert path.read_text() == text(kept)
    assert read_metrics(path) == kept
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_trimming_nothing_leaves_the_file_alone(tmp_path):
    path = tmp_path / "metrics.json"
    trim_metrics(path, 5, size=17)
    assert not list(tmp_path.iterdir())
    path.write_text(text(LINES))
    before = path.stat()
    trim_metrics(path, 39, size=len(text(LINES)))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


SHORT = [{"iteration": 2}, {"iteration": 5}, {"iteration": 8}]  # 17 bytes each with their ends


@pytest.mark.parametrize(
    "size, iteration, kept",
    [
        (17, 5, SHORT[:1]),  # the line of 5 was written when the run stopped, after its checkpoint
        (34, 5, SHORT[:2]),
        (34, 2, SHORT[:1]),
        (0, 5, []),
        (20, 5, SHORT[:2]),  # no end of a line: the file is not the one it was
        (999, 5, SHORT[:2]),
        (None, 5, SHORT[:2]),
    ],
)
def test_metrics_become_what_they_were(size, iteration, kept, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(text(SHORT) + '{"iterat')
    trim_metrics(path, iteration, size)
    assert path.read_text() == text(kept)


def test_a_kill_while_metrics_are_cut_leaves_them_whole(tmp_path, monkeypatch):
    """Neither half of the job is done in place."""
    path = tmp_path / "metrics.json"
    path.write_text(text(SHORT))
    monkeypatch.setattr(type(path), "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trim_metrics(path, 2, size=34)
    assert path.read_text() == text(SHORT)
