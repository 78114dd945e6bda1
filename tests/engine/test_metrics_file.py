import json

import pytest

from campus_seg.engine.metrics_file import read_metrics, trim_metrics

LINES = [{"iteration": i, "total_loss": 3.0 - i / 10} for i in (19, 24, 39)]


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    "content, iteration, kept, removed",
    [
        (text(LINES), 39, LINES, 0),
        (text(LINES), 38, LINES[:2], 1),
        (text(LINES), 24, LINES[:2], 1),
        (text(LINES), 18, [], 3),
        ("", 18, [], 0),
        # Cut off within a line, also where that holds the iteration alone or half a character, and with no line's end.
        (text(LINES) + '{"iteration": 40, "total_l', 39, LINES, 1),
        (text(LINES) + '{"iteration": 4', 39, LINES, 1),
        (text(LINES) + '{"\udcc3', 39, LINES, 1),
        (text(LINES)[:-1], 39, LINES, 0),
        # A run that went on behind half a line, and one that did twice what it had done before.
        (text(LINES[:1]) + '{"iter' + text(LINES[1:]), 39, [LINES[0], LINES[2]], 1),
        (text(LINES + LINES[:1]), 24, [LINES[0], LINES[1], LINES[0]], 1),
    ],
)
def test_trim_metrics(content, iteration, kept, removed, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert trim_metrics(path, iteration) == removed
    assert path.read_text() == text(kept)
    assert read_metrics(path) == kept
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_trimming_nothing_leaves_the_file_alone(tmp_path):
    path = tmp_path / "metrics.json"
    assert trim_metrics(path, 5) == 0 and not path.exists()
    path.write_text(text(LINES))
    before = path.stat()
    assert trim_metrics(path, 39) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
