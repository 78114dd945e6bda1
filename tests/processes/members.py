"""Two processes that wait, are late, alone, busy to the end or one of which is wrong, and the command that starts them.

They print who is there.
"""

import os
import sys
import threading
import time
from multiprocessing.context import SpawnProcess

from campus_seg.environment import require_detectron2
from campus_seg.errors import ConfigError, exits_on_bad_input

if sys.argv[1] == "late" and __name__ == "__mp_main__":  # of a process that was started
    time.sleep(120)


def work(what):
    from detectron2.utils import comm

    os.write(1, b"%d\n" % os.getpid())  # whole, whatever the other writes
    if what == "bug" and comm.get_rank():
        raise ValueError("a bug")
    if what == "wait":
        time.sleep(120)
    if what in ("busy", "busy and wrong"):
        threading.Thread(target=add, daemon=True).start()
    if what == "busy and wrong" and comm.get_rank():
        raise ConfigError("this is wrong")
    comm.synchronize()


def add():
    """Lets go of the interpreter and takes it again, in C++, which aborts where the interpreter ends meanwhile."""
    import torch

    numbers = torch.zeros(100)
    while True:
        numbers + numbers


def start_the_first(start):
    started = []

    def start_or_fail(process):
        if started:
            raise BlockingIOError("no second process")
        started.append(start(process))

    return start_or_fail


@exits_on_bad_input(advice="again")
def main():
    require_detectron2()
    from campus_seg import launching

    if sys.argv[1] == "late":
        launching.SETTING_UP = 3.0
    if sys.argv[1] == "alone":
        SpawnProcess.start = start_the_first(SpawnProcess.start)
    launching.launch(work, (sys.argv[1],), processes=2)


if __name__ == "__main__":
    main()
