"""What tools/photos.py refuses before it asks any server."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import draw_export

from campus_seg.tools.photos import main

TOOL = Path(__file__).resolve().parents[2] / "tools" / "photos.py"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "walk"
    folder.mkdir()
    for name, content in draw_export(photos=2).photos.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["WALK", "my-bucket/walk"], "my-bucket/walk: no place in a bucket; give one such as s3://my-bucket/walk-1"),
        (["WALK", "C:\\walk"], "C:\\walk: no place in a bucket"),
        (["s3://b/walk", "s3://c/walk"], "s3://b/walk: photos are sent from this machine; give a folder of it"),
        (["nowhere", "s3://b/walk"], "nowhere"),
        (["empty", "s3://b/walk"], "empty: no photos or videos here"),
        (["films", "s3://b/walk"], "films: no photos here, but 1 videos, which stay"),
        (["WALK", "s3://"], "names no bucket or host"),
        (["WALK", "s3://me:secret@b/walk"], "a password has no place in a URI"),
        (["WALK", "sftp://h/walk", "--tasks", "t.json"], "Label Studio labels photos in buckets"),
        (["WALK", "s3://b/walk", "--tasks", "tasks.csv"], "tasks.csv: Label Studio imports these as JSON"),
        (["WALK", "s3://b/walk", "--tasks", "/proc/1/t.json"], "cannot be written to"),
    ],
)
def test_bad_commands_are_one_line(photos, tmp_path, monkeypatch, capsys, arguments, expected):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "films"):
        (tmp_path / folder).mkdir()
    (tmp_path / "films" / "a.mp4").write_bytes(b"film")
    with pytest.raises(SystemExit) as ended:
        main(["upload", *(str(photos) if word == "WALK" else word for word in arguments)])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: ") and said.count("\n") == 1 and expected in said and "secret" not in said


def test_a_full_disk_is_one_line(photos, bucket, tmp_path, monkeypatch, capsys):
    def full(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr("campus_seg.upload.tasks_file.write_json", full)
    tasks = str(tmp_path / "tasks.json")
    with pytest.raises(SystemExit) as ended:
        main(["upload", str(photos), "s3://b/walk", "--tasks", tasks])
    assert ended.value.code == 2
    expected = f"error: {tasks}: cannot be written (No space left on device); make room, and the same command goes on"
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize("size", ["0", "-1", "large"])
def test_a_size_is_a_number_of_pixels(photos, size):
    with pytest.raises(SystemExit) as ended:
        main(["upload", str(photos), "s3://b/walk", "--max-size", size])
    assert ended.value.code == 2


def test_help_loads_nothing_that_takes_long():
    script = (
        "import sys; sys.argv = ['photos.py', '--help']\n"
        "import runpy\n"
        f"try: runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'cv2', 'fsspec', 'PIL', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--strip-gps" in done.stdout
