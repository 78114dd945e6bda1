"""A folder on this disk that is a copy of one behind a URI, and how what is made in it comes there."""

import contextlib
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from campus_seg.atomic_writes import LEFTOVER, enough_room
from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage_note import Note, Stamp, read_note, write_note
from campus_seg.storage_objects import Stat, address, fetch, listing, remove, send, stat, together

logger = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two looks at a folder that fills
LINGER = 30.0  # seconds in which a file that is to be hollow keeps its content
Chosen = Callable[[str], bool]  # of names relative to the folder, "/" between their parts
WAY_OUT = "run the same command again, which sends what has not arrived"


def nothing(name: str) -> bool:
    """Chooses no file."""
    return False


class Mirror:
    """A folder on this disk and what lies behind a URI; a folder of this disk alone where there is no URI.

    What was sent is noted beside the folder, so that processes of one command that take turns know of each other.

    Args:
        folder: on this disk.
        uri: of the other one, or "".
        hollow: files of which this disk keeps no more than the name once they are behind the URI.
        late: patterns of files that are sent after all others, those of each pattern after those of the one before.
        witnesses: patterns of files that say that others are whole: sent last, as they were before those were looked
            for.
    """

    def __init__(
        self,
        folder: Path,
        uri: str = "",
        *,
        hollow: Chosen = nothing,
        late: Sequence[str] = (),
        witnesses: Sequence[str] = (),
    ):
        self.folder = folder
        self.uri = uri
        self._hollow = hollow
        self._late = late
        self._witnesses = witnesses
        self._note = folder.with_name(f"{folder.name}.sent")
        self._sending = threading.Lock()
        self._told = False

    @property
    def shown(self) -> str:
        """The folder for people: its path, or the URI."""
        return self.uri or str(self.folder)

    def fetch(self, there: dict[str, Stat], wanted: Chosen) -> None:
        """Brings files to this disk, all at once, and of those that are to be hollow the names.

        Args:
            there: what `listing` has found behind the URI.
            wanted: of these.

        Raises:
            StorageError: one cannot be read.
            OutputError: this disk is full.
        """

        def bring(name: str) -> tuple[str, Stamp]:
            path = self.folder / name
            if self._hollow(name):
                _empty(path)
            else:
                fetch(address(self.uri, name), path)
            return name, _stamp(path)

        with enough_room(self.folder, "run the same command again"):
            sent = dict(together(bring, [name for name in there if wanted(name)]))
            write_note(Note(sent, {name: known.stamp for name, known in there.items()}), self._note)

    def send(self, over: threading.Event | None = None) -> None:
        """Brings everything that is new or has changed behind the URI, and removes there what is gone here.

        Args:
            over: once it is set, nothing more is begun; what is left is for the next call.

        Raises:
            StorageError: it cannot be written.
        """
        if not self.uri or not self.folder.is_dir():
            return
        with self._sending:
            note = read_note(self._note)
            self._hollow_out(note.sent)
            witnesses = self._copies_of_witnesses()
            files = {name: stamp for name, stamp in self._files() if name not in witnesses}
            for group in self._groups(self._changed(files, note.sent)):
                self._send_group({name: (self.folder / name, files[name]) for name in group}, note, over)
            self._send_group({n: known for n, known in witnesses.items() if note.sent.get(n) != known[1]}, note, over)
            if over and over.is_set():
                return
            for copy, _ in witnesses.values():
                copy.unlink()
            gone = [name for name in note.sent if name not in files and name not in witnesses]
            list(together(remove, [address(self.uri, name) for name in gone]))
            for name in gone:
                note.forget(name)
            note.begun.clear()
            write_note(note, self._note)

    def has_unsent(self) -> bool:
        """Whether something was made here that has not been sent."""
        if not self._note.is_file() or not self.folder.is_dir():  # without a note nothing was made: it was fetching
            return False
        sent, files = read_note(self._note).sent, dict(self._files())
        return not sent.keys() <= files.keys() or bool(self._changed(files, sent))

    def send_left(self) -> None:
        """Sends what a command has left that was killed, or that could not send it.

        Raises:
            ConfigError: what lies behind the URI is not as that command left it.
            StorageError: it cannot be written.
            OutputError: this disk is full.
        """
        if not self.has_unsent():
            return
        note, here = read_note(self._note), dict(self._files())
        there = listing(self.uri)
        if name := note.changed_elsewhere(here, there, self._is_late, lambda name: stat(address(self.uri, name))):
            raise ConfigError(
                f"{self.uri}: has changed since a command on this machine ended before all was sent ({name} is not as "
                f"it was); what it made lies in {self.folder}: copy what is wanted, remove that folder, and run the "
                "same command again"
            )
        with enough_room(self.folder, WAY_OUT):
            self.send()

    def tell_of_sending(self) -> None:
        """Says, once, to somebody who has stopped the command, what it is still doing."""
        if self.uri and not self._told:
            self._told = True
            print(
                f"results are still being sent to {self.uri}; stopped again, it leaves them to the next command",
                file=sys.stderr,
                flush=True,
            )

    @contextlib.contextmanager
    def sending(self, every: float = EVERY) -> Iterator[None]:
        """Sends as the folder fills, in a thread, until the block ends; what fails then is told and tried again."""
        over = threading.Event()

        def work() -> None:
            pause, told = every, False
            while not over.wait(pause):
                began = time.monotonic()
                try:
                    self.send(over)
                    told = False
                except (StorageError, OSError) as error:  # `mirrored` tells, where it stays so
                    if not told:
                        logger.warning(f"{error}; the work goes on, and this is tried again")
                    told = True
                pause = max(every, 10 * (time.monotonic() - began))  # a look at many files takes a while

        thread = threading.Thread(target=work, daemon=True)
        if self.uri:
            thread.start()
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception):
                self.tell_of_sending()
            raise
        finally:
            over.set()
            if self.uri:
                thread.join()

    def _send_group(
        self, group: dict[str, tuple[Path, Stamp]], note: Note, over: threading.Event | None = None
    ) -> None:
        """Sends files at once, by name -> from where and its stamp, and notes which have arrived."""
        if not group or (over and over.is_set()):
            return
        for name, (_, (size, _)) in group.items():
            note.begin(name, size)
        write_note(note, self._note)

        def work(name: str) -> tuple[str, Stat | None]:
            return name, None if over and over.is_set() else self._send_one(name, group[name][0])

        try:
            for name, there in together(work, group):
                if there:
                    note.arrive(name, group[name][1], there.stamp)
        finally:
            write_note(note, self._note)

    def _send_one(self, name: str, path: Path) -> Stat:
        try:
            return send(path, address(self.uri, name))
        except StorageError:
            if path.is_file():  # else removed meanwhile, as the next call sees
                raise
            return Stat(None, "")

    def _changed(self, files: dict[str, Stamp], sent: dict[str, Stamp]) -> list[str]:
        """The files that have not been sent as they are; of a hollow one its name alone is here."""
        return [
            name
            for name, stamp in files.items()
            if sent.get(name) != stamp and not (self._hollow(name) and not stamp[0])
        ]

    def _groups(self, names: Iterable[str]) -> list[list[str]]:
        """The names, in the order of what is sent at once."""
        groups: list[list[str]] = [[] for _ in range(len(self._late) + 1)]
        for name in names:
            late = (place for place, pattern in enumerate(self._late, start=1) if fnmatch(name, pattern))
            groups[next(late, 0)].append(name)
        return groups

    def _is_late(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in (*self._late, *self._witnesses))

    def _hollow_out(self, sent: dict[str, Stamp]) -> None:
        """Empties what has been sent a while ago, so that nobody is still making anything of it."""
        for name, (size, changed) in sent.items():
            path = self.folder / name
            settled = size and self._hollow(name) and time.time() - changed / 1e9 > LINGER
            if settled and path.is_file() and _stamp(path) == (size, changed):
                _empty(path)
                sent[name] = _stamp(path)

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        for path in sorted(self.folder.rglob("*")):
            if LEFTOVER.fullmatch(path.name) or path.suffix == ".lock":
                continue
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if path.is_file():
                    yield path.relative_to(self.folder).as_posix(), _stamp(path)

    def _copies_of_witnesses(self) -> dict[str, tuple[Path, Stamp]]:
        """Name -> a copy of how a witness is now, and its stamp."""
        copies = {}
        for path in (path for pattern in self._witnesses for path in sorted(self.folder.glob(pattern))):
            name = path.relative_to(self.folder).as_posix()
            copy = self._note.with_name(f"{self.folder.name}.{name.replace('/', '_')}")
            stamp = _stamp(path)
            shutil.copyfile(path, copy)
            copies[name] = copy, stamp
        return copies


def _empty(path: Path) -> None:
    """Leaves a file's name, older than all that is made of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    os.utime(path, (0, 0))


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
