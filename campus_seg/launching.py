"""Several processes by Detectron2's `launch`: what ends one of them ends all, and is told once, in one line.

The command that starts the processes alone obeys signals: one from a terminal or from Slurm goes to all of them, one
from `kill` to the command, and either has to have the same end.
"""

import atexit
import contextlib
import logging
import multiprocessing
import multiprocessing.resource_tracker
import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from ctypes import c_int
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from campus_seg.atomic_writes import replacing
from campus_seg.environment import require_detectron2, share_cores
from campus_seg.errors import CampusError, ConfigError, LostProcessError, Stopped, one_line
from campus_seg.machines import Machines, free_port, interface_to
from campus_seg.processes import compute_threads

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = b"\nstopping after the step under way; once more stops at once\n"
# What processes wait for each other at most. The loss of one is noticed long before; but a machine that masks its share
# of many photos in half the time has hours to wait.
PATIENCE = timedelta(days=1)
SETTING_UP = 10 * 60.0  # seconds until all processes have begun, when the commands have found each other
ECHO = 5.0  # seconds in which the process whose end made another fail is noticed first
# What importing torch and Detectron2 says, in a process before `require_detectron2` can be called there.
QUIET = "ignore:`torch.jit.script`,ignore:pkg_resources is deprecated"
CONNECTION = ("gloo", "NCCL", "Connection closed by peer", "Connection reset", "Broken pipe")  # as torch tells of one


class Orders(NamedTuple):
    """What a command shares with its processes.

    Attributes:
        signal: the number of the one that asked for a stop, 0 for none.
        heard: whether the processes look at it; where they do not, a signal ends them at once.
    """

    signal: c_int
    heard: c_int


_orders: Orders | None = None  # in a process that `launch` started


def orders() -> Orders | None:
    """Those of the command that started this process; None in the command itself."""
    return _orders


def launch(main: Callable[..., Any], args: tuple = (), *, processes: int = 1, machines: Machines | None = None) -> None:
    """Runs `main(*args)` in so many processes on every machine, as Detectron2's `launch` does; a single one is this.

    Args:
        main: of a process; at the top of its module.
        args: for it; they are pickled.
        processes: on this machine, and on each other.
        machines: entered; None for this one alone. Their advice is given after a stop, too.

    Raises:
        CampusError: what `main` raised in one of them.
        LostProcessError: a process or a machine is gone.
        Stopped: a signal came.
        ProcessRaisedException: torch's, with the traceback of any other error.
    """
    machines = machines or Machines()
    if processes * machines.count == 1:
        main(*args)
        return
    url = _meet(machines, processes)
    shared = multiprocessing.get_context("spawn")
    told = Orders(shared.RawValue(c_int, 0), shared.RawValue(c_int, 0))
    with tempfile.TemporaryDirectory(prefix="campus_seg-") as folder, _environment(processes, machines):
        ends = Path(folder)
        launching = _Launching(main, args, told, ends, processes, machines, url)
        try:
            with _obeying(told) as unheard:
                launching.start()
                until = time.monotonic() + SETTING_UP
                while not launching.over.wait(0.2):
                    if unheard:
                        raise Stopped(f"stopped; {machines.advice}", unheard[0])
                    machines.check()
                    if time.monotonic() > until:
                        _check_begun(ends, processes, machines.advice)
                        until = float("inf")
        finally:
            launching.end()
        _raise_the_end(launching.error, ends, machines.advice)
        machines.say(agreed=True)
        for stopped in _told(ends):
            raise stopped


def _meet(machines: Machines, processes: int) -> str:
    """Where the processes of all machines find each other."""
    if machines.count == 1:
        return "auto"
    machines.say(processes=processes)
    if not machines.rank:
        machines.say(url=f"tcp://{machines.host}:{free_port()}")
    for other in range(machines.count):
        if other != machines.rank and machines.hear(other, "processes") != processes:
            raise ConfigError(f"--num-gpus {processes}: machine {other} has another number; give the same on each")
    return machines.hear(0, "url")


def _check_begun(ends: Path, processes: int, advice: str) -> None:
    if len(list(ends.glob("begun*"))) < processes:
        raise LostProcessError(
            f"the processes have not found each other in {SETTING_UP / 60:g} minutes; see to the network, and name "
            f"the right one with GLOO_SOCKET_IFNAME (on GPUs NCCL_SOCKET_IFNAME), then {advice}"
        )


class _Command:
    """The command that starts the processes; one that gets it ends when the command is gone.

    From then on, and not from its `main` on: until then it may have to wait for a process that never came to be.
    """

    def __init__(self) -> None:
        self.number = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getpid() != self.number:  # a copy in the command itself, whose parent is another, would end it
            threading.Thread(target=self._outlive, daemon=True).start()

    def _outlive(self) -> None:
        while os.getppid() == self.number:  # multiprocessing knows no parent yet
            time.sleep(0.5)
        os._exit(1)


class _Launching(threading.Thread):
    """Detectron2's `launch`, in a thread: the main one has to be free for signals, and for other machines."""

    def __init__(
        self, main: Callable, args: tuple, told: Orders, ends: Path, processes: int, machines: Machines, url: str
    ):
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self.over = threading.Event()
        self._processes, self._machines, self._url = processes, machines, url
        self._args = (main, args, told, ends, _Command(), machines.advice)

    def start(self) -> None:
        """Starts with signals blocked, so that the processes have them blocked from their first moment on."""
        multiprocessing.resource_tracker.ensure_running()  # which would unblock them
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        from detectron2.engine import launch as launch_processes

        try:
            launch_processes(
                _process,
                self._processes,
                num_machines=self._machines.count,
                machine_rank=self._machines.rank,
                dist_url=self._url,
                args=self._args,
                timeout=PATIENCE,
            )
        except Exception as error:  # for the main thread, which raises it
            self.error = error
        finally:
            self.over.set()

    def end(self) -> None:
        """Ends the processes that are left, at once; also where one of them could not be started."""
        while self.ident:
            over = self.over.wait(0.2)
            for child in multiprocessing.active_children():
                child.kill()
            if over:
                return


@contextlib.contextmanager
def _environment(processes: int, machines: Machines) -> Iterator[None]:
    """What the processes find in their environment, which counts from their first moment on."""
    before = dict(os.environ)
    share_cores()
    os.environ.setdefault("OMP_NUM_THREADS", str(compute_threads(processes)))
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), QUIET]))
    if interface := interface_to(machines.host):  # where there is one machine, loopback: others stay out
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _obeying(told: Orders) -> Iterator[list[int]]:
    """Hands the first signal on to processes that look at it; gives the list that any other is added to."""
    unheard = []

    def receive(number: int, frame: FrameType | None) -> None:
        if told.heard.value and not told.signal.value:
            told.signal.value = number
            os.write(2, STOPPING)  # not by print, which the signal may just have interrupted
        else:
            unheard.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield unheard
        return
    earlier = {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield unheard
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _process(main: Callable, args: tuple, told: Orders, ends: Path, command: _Command, advice: str) -> None:
    """What each process does; leaves word of an end that is no fault of this program."""
    global _orders
    threading.Thread(target=_obey, args=(command.number,), daemon=True).start()
    require_detectron2()
    import torch.distributed
    from detectron2.utils import comm

    _orders = told
    word = ends / str(comm.get_rank())
    (ends / f"begun{comm.get_rank()}").touch()
    status = 1
    try:
        main(*args)
        comm.synchronize()  # none closes its connections while another may be at work
        torch.distributed.destroy_process_group()
        status = 0
    except Stopped as stopped:  # all of them agreed
        _leave(word, stopped)
        status = 0
    except CampusError as error:
        _leave(word, error)
        status = error.status
    except Exception as error:
        time.sleep(ECHO)
        if not _is_lost_connection(error):
            raise
        lost = LostProcessError(f"another process of the run is gone ({one_line(str(error))}); {advice}")
        _leave(word, lost)
        status = lost.status
    finally:
        # Instead of the interpreter's own end, which aborts where a thread of gloo's lets go of a tensor meanwhile
        # (pytorch issue 190489).
        logging.shutdown()
        atexit.register(os._exit, status)


def _is_lost_connection(error: Exception) -> bool:
    """Whether torch tells of another process's end."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CONNECTION)


def _leave(word: Path, error: BaseException) -> None:
    with replacing(word) as temporary:
        temporary.write_bytes(pickle.dumps(error))


def _obey(command: int) -> None:
    """Ends this process at a signal from the command that started it, and at no other."""
    while signal.sigwaitinfo(SIGNALS).si_pid != command:
        pass
    os._exit(1)


def _told(ends: Path) -> list[BaseException]:
    """What the processes of this machine left word of, by rank."""
    words = (path for path in ends.iterdir() if path.name.isdigit())
    return [pickle.loads(path.read_bytes()) for path in sorted(words, key=lambda path: int(path.name))]


def _raise_the_end(error: Exception | None, ends: Path, advice: str) -> None:
    """Raises what ended the processes, where they failed."""
    from torch.multiprocessing import ProcessExitedException

    if error is None:
        return
    words = [word for word in _told(ends) if isinstance(word, CampusError)]
    if words:
        raise min(words, key=lambda word: isinstance(word, LostProcessError))  # which follows another's end
    if not isinstance(error, ProcessExitedException):
        raise error
    how = f"was killed ({error.signal_name})" if error.signal_name else f"ended with status {error.exit_code}"
    why = ", often for want of memory" if error.signal_name == "SIGKILL" else ""
    raise LostProcessError(f"process {error.error_index} of this machine {how}{why}; {advice}")
