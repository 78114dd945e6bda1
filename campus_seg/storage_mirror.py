"""A folder on this disk that is a copy of one behind a URI, and how what is made in it comes there."""

import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from campus_seg.atomic_writes import LEFTOVER, enough_room, write_json
from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage_objects import Stat, address, fetch, listing, remove, send, together

logger = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two looks at a folder that fills
LINGER = 30.0  # seconds in which a file that is to be hollow keeps its content
Chosen = Callable[[str], bool]  # of names relative to the folder, "/" between their parts
Stamp = list[int]  # size and time of change: a list, as JSON gives it back


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

    @property
    def shown(self) -> str:
        """The folder for people: its path, or the URI."""
        return self.uri or str(self.folder)

    def fetch(self, names: Iterable[str]) -> None:
        """Brings files to this disk, all at once, and of those that are to be hollow the names.

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
            self._write_note(dict(together(bring, names)))

    def send(self) -> None:
        """Brings everything that is new or has changed behind the URI, and removes there what is gone here.

        Raises:
            StorageError: it cannot be written.
        """
        if not self.uri or not self.folder.is_dir():
            return
        with self._sending:
            sent = self._read_note()
            self._hollow_out(sent)
            witnesses = self._copies_of_witnesses()
            files = {name: stamp for name, stamp in self._files() if name not in witnesses}
            for group in self._groups(self._changed(files, sent)):
                for name, stamp in together(lambda name: self._send_one(name, files[name]), group):
                    sent[name] = stamp
                self._write_note(sent)
            for name, (copy, stamp) in witnesses.items():
                if sent.get(name) != stamp:
                    send(copy, address(self.uri, name))
                    sent[name] = stamp
                copy.unlink()
            gone = [name for name in sent if name not in files and name not in witnesses]
            list(together(remove, [address(self.uri, name) for name in gone]))
            self._write_note({name: stamp for name, stamp in sent.items() if name not in gone})

    def send_left(self) -> None:
        """Sends what a command has left that was killed, or that could not send it.

        Raises:
            ConfigError: what lies behind the URI is not as that command left it.
            StorageError: it cannot be written.
        """
        if not self._note.is_file() or not self.folder.is_dir():  # without a note nothing was made: it was fetching
            return
        sent, files = self._read_note(), dict(self._files())
        if sent.keys() <= files.keys() and not self._changed(files, sent):
            return
        if self._is_changed_elsewhere(sent, files, listing(self.uri)):
            raise ConfigError(
                f"{self.uri}: has changed since a command on this machine ended before all was sent; what it made lies "
                f"in {self.folder}: copy what is wanted, remove that folder, and run the same command again"
            )
        self.send()

    @contextlib.contextmanager
    def sending(self, every: float = EVERY) -> Iterator[None]:
        """Sends as the folder fills, in a thread, until the block ends; what fails then is told and tried again."""
        over = threading.Event()

        def work() -> None:
            pause, told = every, False
            while not over.wait(pause):
                began = time.monotonic()
                try:
                    self.send()
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
        finally:
            over.set()
            if self.uri:
                thread.join()

    def _send_one(self, name: str, stamp: Stamp) -> tuple[str, Stamp]:
        path = self.folder / name
        try:
            send(path, address(self.uri, name))
        except StorageError:
            if path.is_file():  # else removed meanwhile, as the next call sees
                raise
        return name, stamp

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

    def _is_changed_elsewhere(self, sent: dict[str, Stamp], files: dict[str, Stamp], there: dict[str, Stat]) -> bool:
        """Whether something behind the URI is gone, or of a size that it never had while it was sent from here."""
        for name in sent.keys() & files.keys():
            if name not in there:
                return True
        for name in files.keys() & there.keys():
            before, now, size = sent.get(name, [0])[0], files[name][0], there[name].size
            if size is not None and not self._hollow(name) and not min(before, now) <= size <= max(before, now):
                return True
        return False

    def _hollow_out(self, sent: dict[str, Stamp]) -> None:
        """Empties what has been sent a while ago, so that nobody is still making anything of it."""
        for name, (size, changed) in sent.items():
            path = self.folder / name
            settled = size and self._hollow(name) and time.time() - changed / 1e9 > LINGER
            if settled and path.is_file() and _stamp(path) == [size, changed]:
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

    def _read_note(self) -> dict[str, Stamp]:
        return json.loads(self._note.read_bytes()) if self._note.is_file() else {}

    def _write_note(self, sent: dict[str, Stamp]) -> None:
        write_json(self._note, sent, indent=None)


def _empty(path: Path) -> None:
    """Leaves a file's name, older than all that is made of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    os.utime(path, (0, 0))


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
