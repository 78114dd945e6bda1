"""Errors that are the input's fault: one clear line for the user, exit status 2, no traceback."""

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

GOES_ON = "the same command goes on where it was"  # the advice of what can be stopped at any time


class CampusError(Exception):
    """Bad input. The message is one line that names the file (or key) and the way out.

    Attributes:
        status: the exit status of the command.
    """

    status = 2


class ConfigError(CampusError):
    """A config file, a key or an argument that cannot be used."""


class ExportError(CampusError):
    """A Label Studio export that cannot be used; with the report on it, where the reading came so far."""

    def __init__(self, message: str, report=None):
        super().__init__(message)
        self.report = report


class LabelStudioError(CampusError):
    """A Label Studio server or project that cannot be used; or one request that it refused.

    Attributes:
        code: the HTTP status of what it refused, None for all else.
    """

    def __init__(self, message: str, code: int | None = None):
        super().__init__(message)
        self.code = code


class TrainingError(CampusError):
    """A training that cannot go on; the message says what it was doing."""


class WeightsError(CampusError):
    """A weights file that is missing, damaged or of another kind."""


class EvaluationError(CampusError):
    """Predictions that cannot be compared with the ground truth."""


class OutputError(CampusError):
    """A file that cannot be written."""


class StorageError(CampusError):
    """What a URI names cannot be read or written; the message says what to set.

    Attributes:
        missing: there is no such file or folder, and nothing else is wrong.
        exists: another file is there, which was not to be replaced.
        refused: the server does not let this key, or anybody, have it.
    """

    def __init__(self, message: str, *, missing: bool = False, exists: bool = False, refused: bool = False):
        super().__init__(message)
        self.missing = missing
        self.exists = exists
        self.refused = refused


class LostProcessError(CampusError):
    """One of several processes or machines that is gone or silent; no input is at fault, and the command can go on."""

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


class Stopped(KeyboardInterrupt):
    """A signal that a run obeyed. The message says how to go on."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message, signal_number)  # both, so that it can be pickled
        self.signal_number = signal_number

    def __str__(self) -> str:
        return self.args[0]


def stop_on_sigterm(message: str) -> None:
    """Lets SIGTERM end this process as Ctrl-C does, with `message`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(message, number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def exits_on_bad_input(main: Callable | None = None, *, advice: str = "") -> Callable:
    """Wraps a tool's `main` so that a CampusError ends it with one line on standard error and its status.

    Ctrl-C ends it with one line too, which gives `advice` on how to go on, and status 130.
    """
    if main is None:
        return functools.partial(exits_on_bad_input, advice=advice)

    @functools.wraps(main)
    def wrapper(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except CampusError as error:
            print(f"error: {one_line(str(error))}", file=sys.stderr)
            raise SystemExit(error.status) from None
        except BrokenPipeError:  # whoever read the output, such as `head`, wants no more of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from None  # as shells report SIGPIPE
        except Stopped as stopped:
            print(one_line(str(stopped)), file=sys.stderr)
            raise SystemExit(128 + stopped.signal_number) from None
        except KeyboardInterrupt:
            print(f"stopped; {advice}" if advice else "stopped", file=sys.stderr)
            raise SystemExit(130) from None  # as shells report an interrupt

    return wrapper


@contextlib.contextmanager
def spared(what: str, logger: logging.Logger) -> Iterator[None]:
    """Turns whatever goes wrong with an extra, in the block, into one line in the log.

    Hours of training are not to end in a fault of what only tells of them.

    Args:
        what: is not made then, such as "page".
        logger: warns.
    """
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, CampusError) else f"{type(error).__name__}: {error}"
        logger.warning(f"No {what} was made ({one_line(reason)}); all else is whole. tools/report.py tries again")


def one_line(message: str) -> str:
    """A message without line breaks; of an error in a loader's worker, which holds its traceback, the last line."""
    if "in DataLoader worker process" in message:
        message = message.strip().splitlines()[-1].partition(": ")[2]
    return " ".join(message.split())
