"""Runs the training command, one of whose processes meets with something.

Usage: faulty.py WHAT RANK ITERATION train_net's arguments …

WHAT happens to the process of that RANK as it begins that ITERATION: "kill"; "memory", which is out; "nan", in its copy
of the weights; or "slow", in which all steps of all processes take their time. All else is the product's own code. The
processes that the command starts run this script's beginning, too.
"""

import os
import signal
import sys
import time

from campus_seg.environment import require_detectron2

require_detectron2()
import torch  # noqa: E402
from detectron2.utils import comm  # noqa: E402

from campus_seg.engine.trainer import Trainer  # noqa: E402
from campus_seg.tools.train_net import main  # noqa: E402

what, rank, iteration = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
step = Trainer.run_step


def run_step(self):
    if what == "slow":
        time.sleep(0.5)
    elif (comm.get_rank(), self.iter) == (rank, iteration):
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "memory":
            self._trainer._data_loader_iter_obj = out_of_memory()
        if what == "nan":
            with torch.no_grad():
                for parameter in self._trainer.model.parameters():
                    parameter.fill_(torch.nan)
    step(self)


def out_of_memory():
    raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried …")
    yield


Trainer.run_step = run_step
if __name__ == "__main__":
    main(sys.argv[4:])
