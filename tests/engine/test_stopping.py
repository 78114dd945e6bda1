import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from small_processes import are_gone, is_alive
from torch.utils.data import DataLoader, Dataset

from campus_seg.engine.stopping import SIGNALS, StopRequest, shield_workers
from campus_seg.errors import Stopped, exits_on_bad_input


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_stops(number, capfd):
    before = [signal.getsignal(each) for each in SIGNALS]
    stop = StopRequest()
    with pytest.raises(Stopped) as stopped, stop.watching():
        assert stop.agreed() == 0
        os.kill(os.getpid(), number)
        assert stop.agreed() == number
        assert "once more stops at once" in capfd.readouterr().err
        os.kill(os.getpid(), number)
        pytest.fail("it went on")
    assert stopped.value.signal_number == number and "--resume" in str(stopped.value)
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_all_is_saved_already():
    stop = StopRequest()
    stop.at_once = True
    with pytest.raises(Stopped), stop.watching():
        os.kill(os.getpid(), signal.SIGTERM)


def test_in_another_thread_signals_stay_what_they_are():
    before = [signal.getsignal(each) for each in SIGNALS]
    during = []

    def work():
        with StopRequest().watching():
            during.extend(signal.getsignal(each) for each in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == before


class Workers(Dataset):
    """Gives the number of the process that loads."""

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return os.getpid()


@pytest.mark.parametrize("threads", [1, 2])
def test_loaders_obey_the_main_process_alone(threads):
    """Also where PyTorch has begun threads of its own in them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        loaders_obey_the_main_process_alone()
    finally:
        torch.set_num_threads(before)


def loaders_obey_the_main_process_alone():
    batches = iter(shield_workers(DataLoader(Workers(), num_workers=1, collate_fn=list, prefetch_factor=1)))
    worker = next(batches)[0]
    for number in SIGNALS:
        subprocess.run(["kill", f"-{int(number)}", str(worker)], check=True)
    time.sleep(0.2)
    assert [next(batches) for _ in range(10)] == [[worker]] * 10
    os.kill(worker, signal.SIGTERM)  # as multiprocessing does when the main process ends
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(batches)


KILLED = """
import os, signal, time
from torch.utils.data import DataLoader
from campus_seg.engine.stopping import shield_workers
batches = iter(shield_workers(DataLoader([b"x" * 200_000] * 100, batch_size=None, num_workers=1, prefetch_factor=8)))
next(batches)
time.sleep(1)  # in which the worker fills its pipe
print(batches._workers[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_loaders_end_when_the_main_process_is_killed():
    """Also with more ready than the pipe to it takes."""
    main = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    worker = int(main.stdout.readline())
    try:
        assert main.wait() == -signal.SIGKILL
        assert are_gone([worker])
    finally:
        if is_alive(worker):
            os.kill(worker, signal.SIGKILL)
        main.stdout.close()


def test_the_status_of_a_command_says_which_signal(capsys):
    @exits_on_bad_input
    def main():
        raise Stopped("stopped and saved", signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 143 and capsys.readouterr().err == "stopped and saved\n"
