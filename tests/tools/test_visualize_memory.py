"""That a folder takes no more memory the more photos are in it."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_scene
from PIL import Image
from small_models import write_run

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"
PHOTOS, SETTLED = 2000, 200
OBJECTS = 6  # in each photo
GROWTH = 1.05


def memory_of(process):
    """{"VmRSS": all, "RssAnon": without the pages of files, such as libraries}, resident, in kB; None at the end."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB$", status, re.MULTILINE))
    return {name: int(size) for name, size in found.items()} or None  # a process that has ended has no memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
def test_memory_does_not_grow_with_the_folder(tmp_path, monkeypatch):
    """The command with all its outputs, to its end: from the 200th photo on, less than 5 % are added."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_run(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(PHOTOS):
        photo, _ = draw_scene(np.random.default_rng(number), 128, 96)
        Image.fromarray(photo).save(tmp_path / "photos" / f"{number:04d}.jpg")
    output = tmp_path / "masked"
    places = ["--config-file", tmp_path / "config.yaml", "--input", tmp_path / "photos", "--output", output]
    options = ["--confidence-threshold", 0.3, "--opts", "TEST.DETECTIONS_PER_IMAGE", OBJECTS]
    command = [sys.executable, "-W", "ignore", TOOL, *places, *options]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)

    journal = output / ".journal" / "0.jsonl"
    at_first, later = [], []
    while process.poll() is None and (memory := memory_of(process)):
        masked = journal.read_bytes().count(b"\n") - 1 if journal.is_file() else 0
        if (output / "index.html").exists():
            del memory["VmRSS"]  # the libraries' last work before they are unloaded brings in pages of theirs
        if masked >= SETTLED:
            (at_first if masked < SETTLED + 100 else later).append(memory)
        time.sleep(0.05)
    assert process.wait() == 0
    assert f"objects found {PHOTOS * OBJECTS}\n" in process.stdout.read()

    assert len(at_first) > 10 and len(later) > 100
    for kind in ("VmRSS", "RssAnon"):
        before = statistics.median(memory[kind] for memory in at_first)
        most = max(memory[kind] for memory in later if kind in memory)
        print(f"{kind}: {before / 1024:.0f} MB at {SETTLED} photos, later at most {most / before - 1:+.1%}")
        assert most < GROWTH * before, kind
