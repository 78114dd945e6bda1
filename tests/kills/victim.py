"""Runs the training command and kills itself, with SIGKILL, at a given moment.

Usage: victim.py WHERE NUMBER DELAY train_net's arguments …

WHERE is a key of CALLS, and the kill comes DELAY seconds after the call with this NUMBER (from 1) began; or it is a key
of FILES, and the kill comes when half of such a file is on the disk, the NUMBERth time that one is written; or "tag",
when a checkpoint is whole and last_checkpoint does not name it yet; or "start", DELAY seconds after this script began.
All else is the product's own code, which knows nothing of this.
"""

import io
import os
import signal
import sys
import threading

where, number, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def die():
    os.kill(os.getpid(), signal.SIGKILL)


if where == "start":
    threading.Timer(delay, die).start()

import torch  # noqa: E402
from detectron2.utils.events import JSONWriter  # noqa: E402

import campus_seg.engine.run  # noqa: E402
import campus_seg.modeling.checkpoint  # noqa: E402
from campus_seg.engine.checkpoints import Checkpoints  # noqa: E402
from campus_seg.engine.evaluation import Evaluation  # noqa: E402
from campus_seg.engine.trainer import Trainer  # noqa: E402
from campus_seg.modeling.checkpoint import CampusCheckpointer  # noqa: E402
from campus_seg.tools.train_net import main  # noqa: E402

CALLS = {
    "set up": (campus_seg.engine.run, "setup_run"),
    "restore": (Trainer, "resume_or_load"),
    "step": (Trainer, "run_step"),
    "evaluation": (Evaluation, "after_step"),
    "metrics": (JSONWriter, "write"),
    "saving": (Checkpoints, "after_step"),
    "final evaluation": (Trainer, "evaluate_best"),
}
FILES = {"checkpoint": "model_0", "final checkpoint": "model_final", "best": "model_best"}


def at_the_call(owner, name):
    """Calls `die` so long after a call that it may hit anything that follows."""
    inner = getattr(owner, name)
    calls = 0

    def outer(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            threading.Timer(delay, die).start() if delay else die()
        return inner(*args, **kwargs)

    setattr(owner, name, outer)


def within_the_file(beginning):
    """Calls `die` in the middle of a file whose name begins so."""
    write, save = campus_seg.modeling.checkpoint.write_checkpoint, torch.save
    count = 0

    def write_checkpoint(path, data):
        nonlocal count
        count += path.name.startswith(beginning)
        if count == number:
            torch.save = half
        write(path, data)

    def half(data, f):
        stream = io.BytesIO()
        save(data, stream)
        f.write(stream.getvalue()[: len(stream.getvalue()) // 2])
        f.flush()
        die()

    campus_seg.modeling.checkpoint.write_checkpoint = write_checkpoint


if where in CALLS:
    at_the_call(*CALLS[where])
elif where in FILES:
    within_the_file(FILES[where])
elif where == "tag":
    at_the_call(CampusCheckpointer, "tag_last_checkpoint")
main(sys.argv[4:])
