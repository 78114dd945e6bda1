"""Commands killed while their results were on the way to a bucket: the same command again ends as without a kill.

The kill comes while the server takes nothing of what is wanted last, so that it lies on this disk alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawn import draw_export
from faulty_proxy import Faults
from same_runs import assert_same_run
from small_models import write_run
from small_runs import command_line, train
from storage_servers import BUCKET, s3_objects

from campus_seg.tools.visualize import main as visualize_main

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("one_thread")]
TOOLS = Path(__file__).resolve().parents[2] / "tools"
STEPS = ("SOLVER.MAX_ITER", 6, "SOLVER.WARMUP_ITERS", 1, "SOLVER.CHECKPOINT_PERIOD", 3)


def killed_at(command, faults, path, log):
    """Runs a command until it sends something that is refused, and kills it there, with all its processes."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        until = time.monotonic() + 240
        while not any(asked.startswith(path) for method, asked in list(faults.asked) if method == "PUT"):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    faults.share = 0


def test_a_run_goes_on_from_a_checkpoint_that_had_not_been_sent(through, bucket, tmp_path, capfd):
    export = draw_export(photos=12).write_zip(tmp_path / "export.zip")
    train(export, tmp_path / "whole", *STEPS)
    path = f"/{BUCKET}/run/model_"
    faults = through(Faults(share=1, kinds=("500",), only=f"PUT {path}"))
    command = command_line(export, f"s3://{BUCKET}/run", *STEPS)
    command.insert(2, "--resume")
    killed_at(command, faults, path, tmp_path / "log.txt")
    assert not [key for key in s3_objects(bucket, "run/") if key.endswith((".pth", "last_checkpoint"))]
    capfd.readouterr()
    train(export, f"s3://{BUCKET}/run", *STEPS, flags=["--resume"])
    assert "Going on at iteration 3 of 6" in capfd.readouterr().out
    for key, content in s3_objects(bucket, "run/").items():
        copy = tmp_path / "copy" / key.removeprefix("run/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    assert_same_run(tmp_path / "copy", tmp_path / "whole")


def test_no_photo_is_masked_twice(through, bucket, photos, tmp_path, capfd):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run")
    arguments = ["--config-file", str(tmp_path / "run" / "config.yaml"), "--input", str(photos)]
    arguments += ["--save", "overlay", "binary"]
    opts = ["--opts", "MODEL.DEVICE", "cpu"]
    assert visualize_main([*arguments, "--output", str(tmp_path / "masked"), *opts]) == 0
    path, output = f"/{BUCKET}/masked/overlay", ["--output", f"s3://{BUCKET}/masked"]
    faults = through(Faults(share=1, kinds=("500",), only=f"PUT {path}"))
    command = [sys.executable, str(TOOLS / "visualize.py"), *arguments, *output, *opts]
    killed_at(command, faults, path, tmp_path / "log.txt")
    (journal,) = (tmp_path / "cache").rglob("0.jsonl")
    done = journal.read_bytes().count(b"\n") - 1  # the first line says what they are made with
    assert done and not s3_objects(bucket, "masked/.journal")
    capfd.readouterr()
    assert visualize_main([*arguments, *output, *opts]) == 0
    assert f"of an earlier command {done} photos" in " ".join(capfd.readouterr().out.split())
    found = {key.removeprefix("masked/"): content for key, content in s3_objects(bucket, "masked/").items()}
    wanted = [file for file in (tmp_path / "masked").rglob("*") if file.suffix in (".jpg", ".png", ".json", ".csv")]
    assert {file.relative_to(tmp_path / "masked").as_posix() for file in wanted} <= found.keys()
    for file in wanted:
        assert found[file.relative_to(tmp_path / "masked").as_posix()] == file.read_bytes(), file
