"""Two processes that wait, or one of which is wrong, and the command that starts them; it prints who is there."""

import os
import sys
import time

from campus_seg.environment import require_detectron2
from campus_seg.errors import exits_on_bad_input


def work(what):
    from detectron2.utils import comm

    os.write(1, b"%d\n" % os.getpid())  # whole, whatever the other writes
    if what == "bug" and comm.get_rank():
        raise ValueError("a bug")
    if what == "wait":
        time.sleep(120)
    comm.synchronize()


@exits_on_bad_input(advice="again")
def main():
    require_detectron2()
    from campus_seg.launching import launch

    launch(work, (sys.argv[1],), processes=2)


if __name__ == "__main__":
    main()
