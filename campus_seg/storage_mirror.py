"""A folder that lies behind a URI, worked on in a copy on this disk: fetched first, sent as it fills and at the end."""

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import filelock

from campus_seg.atomic_writes import LEFTOVER, cache_folder, enough_room, write_json
from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage import base_name, checked_uri, is_uri
from campus_seg.storage_objects import address, check_writable, fetch, listing, remove, send, together

EVERY = 5.0  # seconds between two looks at a folder that fills
LINGER = 30.0  # seconds in which a file that is to be hollow keeps its content
# What says that other files are whole: sent after them, as it was before they were looked for.
WITNESSES = ("last_checkpoint", ".journal/*.jsonl")
Chosen = Callable[[str], bool]  # of names relative to the folder, "/" between their parts


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
    """

    def __init__(self, folder: Path, uri: str = "", hollow: Chosen = nothing):
        self.folder = folder
        self.uri = uri
        self._hollow = hollow
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

        def bring(name: str) -> tuple[str, list[int]]:
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
            witnesses = self._witnesses()
            files = {name: _stamp(path) for name, path in self._files() if name not in witnesses}
            changed = [name for name, stamp in files.items() if sent.get(name) != stamp]
            weights = [name for name in changed if name.endswith(".pth")]  # which metrics.json has to be as new as
            for group in ([name for name in changed if name not in weights], weights):
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

    @contextlib.contextmanager
    def sending(self, every: float = EVERY) -> Iterator[None]:
        """Sends as the folder fills, in a thread, until the block ends; what fails then is tried again."""
        over = threading.Event()

        def work() -> None:
            pause = every
            while not over.wait(pause):
                began = time.monotonic()
                with contextlib.suppress(StorageError):  # `mirrored` tells, where it stays so
                    self.send()
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

    def _send_one(self, name: str, stamp: list[int]) -> tuple[str, list[int]]:
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, as the next call sees
            send(path, address(self.uri, name))
        return name, stamp

    def _hollow_out(self, sent: dict[str, list[int]]) -> None:
        """Empties what has been sent a while ago, so that nobody is still making anything of it."""
        for name, (size, changed) in sent.items():
            path = self.folder / name
            settled = size and self._hollow(name) and time.time() - changed / 1e9 > LINGER
            if settled and path.is_file() and _stamp(path) == [size, changed]:
                _empty(path)
                sent[name] = _stamp(path)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not LEFTOVER.fullmatch(path.name) and path.suffix != ".lock":
                yield path.relative_to(self.folder).as_posix(), path

    def _witnesses(self) -> dict[str, tuple[Path, list[int]]]:
        """Name -> a copy of how a witness is now, and its stamp."""
        copies = {}
        for path in (path for pattern in WITNESSES for path in sorted(self.folder.glob(pattern))):
            name = path.relative_to(self.folder).as_posix()
            copy = self._note.with_name(f"{self.folder.name}.{name.replace('/', '_')}")
            stamp = _stamp(path)
            shutil.copyfile(path, copy)
            copies[name] = copy, stamp
        return copies

    def _read_note(self) -> dict[str, list[int]]:
        return json.loads(self._note.read_bytes()) if self._note.is_file() else {}

    def _write_note(self, sent: dict[str, list[int]]) -> None:
        write_json(self._note, sent, indent=None)


@contextlib.contextmanager
def mirrored(
    place: str, *, refuse: Chosen = nothing, leave: Chosen = nothing, hollow: Chosen = nothing, writes: bool = True
) -> Iterator[Mirror]:
    """A folder to work in, by its path or URI; one behind a URI is fetched first, and sent however the block ends.

    Args:
        place: a path, which is taken as it is, or a URI.
        refuse: files that must not be there yet.
        leave: files that are not fetched, but stay.
        hollow: see Mirror.
        writes: whether anything is sent.

    Raises:
        ConfigError: a file is there that must not be, or another command on this machine works there.
        StorageError: it cannot be read, or not be written to, which is found out before the block begins.
    """
    if not is_uri(place):
        yield Mirror(Path(place))
        return
    uri = checked_uri(place)
    if writes:
        check_writable(uri)
    there = listing(uri)
    if any(map(refuse, there)):
        raise ConfigError(f"{uri}: holds a trained run already; go on with --resume, or give another OUTPUT_DIR")
    base = cache_folder() / "folders" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    base.mkdir(parents=True, exist_ok=True)
    with _alone(base, uri):
        mirror = Mirror(base / (base_name(uri) or "folder"), uri, hollow)
        _clear(base)
        mirror.folder.mkdir()
        mirror.fetch([name for name in there if not leave(name)])
        try:
            yield mirror
        finally:
            if writes:
                _send_last(mirror)
        _clear(base)


@contextlib.contextmanager
def _alone(base: Path, uri: str) -> Iterator[None]:
    lock = filelock.FileLock(base.with_name(f"{base.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ConfigError(f"{uri}: another command on this machine works there; wait for it") from None
    try:
        yield
    finally:
        lock.release()


def _send_last(mirror: Mirror) -> None:
    try:
        mirror.send()
    except StorageError as error:
        raise StorageError(
            f"{error}; what has not arrived lies in {mirror.folder}: copy it before the next run"
        ) from None


def _clear(base: Path) -> None:
    """Removes what a killed command left, or what has been sent."""
    for path in base.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _empty(path: Path) -> None:
    """Leaves a file's name, older than all that is made of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    os.utime(path, (0, 0))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
