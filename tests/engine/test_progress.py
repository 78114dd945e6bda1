"""In a process of its own, whose standard output is a terminal or is not."""

import re
import subprocess
import sys

import pytest
from terminal import on_a_terminal

RUN = """
import logging, sys
from detectron2.engine import HookBase
from detectron2.engine.train_loop import TrainerBase
from detectron2.engine.hooks import PeriodicWriter
from detectron2.utils.events import CommonMetricPrinter
from detectron2.utils.logger import setup_logger
from campus_seg.engine.progress import progress_bar

for name in ("detectron2", "campus_seg"):
    setup_logger(sys.argv[1], name=name)

class Trainer(TrainerBase):
    def run_step(self):
        self.storage.put_scalars(total_loss=3.0, loss_cls=1.25, loss_mask=1.75, lr=0.1)
        if self.iter == 12:
            logging.getLogger("campus_seg.test").info("in between")

trainer = Trainer()
trainer.register_hooks([PeriodicWriter([CommonMetricPrinter(40)]), *progress_bar(40)])
trainer.train(10, 40)
logging.getLogger("detectron2.utils.events").info("the console is the log's again")
"""


@pytest.fixture
def command(tmp_path):
    return [sys.executable, "-c", RUN, str(tmp_path / "run")]


def test_one_bar_on_a_terminal(command, tmp_path):
    status, shown = on_a_terminal(command)
    assert status == 0
    bars = re.findall(r"(\d+)%\|.{12}\| (\d+)/40 (\S+)<(\S+), total_loss 3\.000  cls 1\.250  mask 1\.750", shown)
    assert bars[-1][:2] == ("100", "40") and bars[-1][3] == "00:00"
    assert {int(done) for _, done, _, _ in bars} <= set(range(11, 41))
    assert "in between" in shown and shown.count("the console is the log's again") == 1
    assert "eta:" not in shown
    log = (tmp_path / "run/log.txt").read_text()
    assert len(re.findall(r"iter: \d+  total_loss: 3", log)) == 2 and "in between" in log  # 19 and 39


def test_log_lines_elsewhere(command, tmp_path):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(re.findall(r"iter: \d+  total_loss: 3", done.stdout)) == 2
    assert "%|" not in done.stdout + done.stderr
    assert "iter: 39" in (tmp_path / "run/log.txt").read_text()
