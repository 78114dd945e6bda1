"""HEIC photos are read elsewhere: by nothing but the codecs for them, and without anything worth stealing."""

import io
import logging
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from campus_seg.photos import PhotoError
from campus_seg.web import codec_process
from campus_seg.web.received import ReceivedPhoto, decode, receive

OTHERS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]


def stored(kind, **options):
    """The bytes of a photo of 40 x 30 pixels."""
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 60)).save(stream, kind, **options)
    return stream.getvalue()


def a_jpeg_that_begins_as_heic():
    """Its first segment is as long as "ft" says, and its name is the rest of "ftypheic"."""
    segment = b"ftypheic".ljust(0x6674, b"\0")
    return b"\xff\xd8\xff\xe0" + segment + stored("JPEG")[2:]


def test_a_jpeg_that_begins_as_heic_is_not_opened():
    content = a_jpeg_that_begins_as_heic()
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
    with pytest.raises(PhotoError, match="damaged"):
        receive("a.heic", content)


@pytest.mark.parametrize("kind", OTHERS)
def test_the_process_opens_nothing_else(kind):
    with pytest.raises(PhotoError, match="no image"):
        codec_process.read_in_process(stored(kind), 40 * 30, decode=True)


@pytest.mark.parametrize("kind", OTHERS)
def test_only_what_was_looked_through_is_decoded(kind):
    taken = "PNG" if kind == "JPEG" else "JPEG"
    content = stored(kind)
    with pytest.raises(PhotoError, match="damaged"):
        decode(ReceivedPhoto("a", content, taken, 40, 30, len(content)))


def asked(monkeypatch, script):
    """What the process prints that runs some Python instead."""
    ran = []
    run = subprocess.run
    monkeypatch.setattr(codec_process, "COMMAND", script)
    monkeypatch.setattr(codec_process.subprocess, "run", lambda *a, **k: ran.append(run(*a, **k)) or ran[-1])
    with pytest.raises((PhotoError, ValueError)):
        codec_process.read_in_process(b"", 0, decode=False)
    return ran[0].stdout.decode()


def test_no_password_reaches_the_process(monkeypatch):
    for name in ("CAMPUS_WEB_PASSWORD", "LABEL_STUDIO_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in asked(monkeypatch, "import os; print(dict(os.environ))")


@pytest.mark.parametrize("paths", ["", ".", ":", "here"])
def test_files_of_the_current_folder_are_not_run(tmp_path, monkeypatch, paths):
    content = stored("HEIF")
    (tmp_path / "here").mkdir()
    for name in ("json", "numpy", "cv2", "PIL", "campus_seg", "sitecustomize"):
        for folder in (tmp_path, tmp_path / "here"):
            (folder / f"{name}.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", paths)
    assert decode(receive("a", content)).shape == (30, 40, 3)


def test_the_package_is_found_wherever_it_is(tmp_path):
    """Also where it is no part of the environment, but beside a script that runs in another folder."""
    (tmp_path / "a.heic").write_bytes(stored("HEIF"))
    script = (
        f"import sys; sys.path.insert(0, {str(Path(codec_process.__file__).parents[2])!r})\n"
        "from campus_seg.web.received import *\n"
        "print(decode(receive('a', open('a.heic', 'rb').read())).shape)"
    )
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=without, capture_output=True, text=True)
    assert done.stdout == "(30, 40, 3)\n", done.stderr


def test_the_process_leaves_no_memory_on_the_disk_and_may_not_compute_for_long(monkeypatch):
    limits = {}
    monkeypatch.setattr(resource, "setrlimit", lambda limit, values: limits.update({limit: values}))
    monkeypatch.setattr(sys, "argv", ["", str(40 * 30), "decode"])
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stored("HEIF"))))
    monkeypatch.setattr(sys, "stdout", output)
    codec_process.main()
    line, pixels = output.buffer.getvalue().split(b"\n", 1)
    assert (line, len(pixels)) == (b'{"size": [40, 30], "shape": [30, 40, 3]}', 30 * 40 * 3)
    assert limits[resource.RLIMIT_CORE] == limits[resource.RLIMIT_FSIZE] == (0, 0)
    assert 4 <= limits[resource.RLIMIT_CPU][0] - time.process_time() < 7
    codec_process._limit(50_000_000)
    assert 14 <= limits[resource.RLIMIT_CPU][0] - time.process_time() < 17


def test_a_process_that_does_not_work_is_told_to_the_terminal(monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        asked(monkeypatch, "raise SystemExit(3)")
    assert "ends with status 3" in caplog.text


def test_a_codec_that_crashes_is_not(monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        asked(monkeypatch, "import os; os.abort()")
    assert caplog.text == ""
