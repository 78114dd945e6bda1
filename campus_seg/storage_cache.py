"""Files behind URIs as files on this disk: fetched once, kept up to a limit, those not used for longest given up first.

Many processes use the cache at once. A file in use is locked (flock, which ends with its process) and stays; a file
appears whole or not at all. What a command has asked a server about once it does not ask about again.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import filelock

from campus_seg.atomic_writes import LEFTOVER, cache_folder, enough_room
from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage import base_name, is_uri, shown
from campus_seg.storage_objects import Stat, fetch, stat

LIMIT_KEY = "CAMPUS_CACHE_GB"
LIMIT = 20.0  # GB
BEGAN_KEY = "CAMPUS_STORAGE_BEGAN"  # when the command began, for its processes: seconds since 1970
LOW = 0.9  # of the limit is left when files are given up
SHARE = 0.02  # of the limit comes before a process looks again at how much there is
OLD = 3600.0  # seconds after which what a process was writing is nobody's
STRIPES = 256  # locks on what is being fetched


class FileCache:
    """A folder of files by their URIs.

    A file's time of change is that at which its server was last asked, its time of access that of its last use.

    Args:
        folder: made where it is missing.
        limit: bytes that it may hold, besides files in use.
        began: what a server was asked about since then, in seconds since 1970, counts as it is.
    """

    def __init__(self, folder: Path, limit: float, began: float = float("inf")):
        self.folder = folder
        self.limit = limit
        self._began = began
        self._new = limit  # bytes that came since it was last seen how much there is; that is not known yet
        self._counting = threading.Lock()

    @contextlib.contextmanager
    def using(self, uri: str) -> Iterator[Path]:
        """The file on this disk, which stays until the block ends.

        Raises:
            StorageError: it cannot be read.
            OutputError: this disk is full.
        """
        path, lock = self.hold(uri)
        with lock:
            yield path

    def hold(self, uri: str, known: Stat | None = None) -> tuple[Path, BinaryIO]:
        """The file on this disk, and what keeps it there until it is closed; see `using`.

        Args:
            uri: of the file.
            known: what a list has just said of it, so that its server need not be asked once more.
        """
        name = _name(uri)
        folder = self.folder / name[:2]
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder / f"{int(name[:8], 16) % STRIPES:02x}.lock"):  # one fetches, others wait
            earlier = sorted(folder.glob(f"{name}-*"))
            for path in earlier:
                if (lock := _locked(path)) and os.fstat(lock.fileno()).st_mtime >= self._began:
                    _used(path)
                    return path, lock
            known = known if known and known.stamp else stat(uri)
            if known is None:
                raise StorageError(f"{shown(uri)}: is a folder, and a file is wanted")
            mark = hashlib.sha256((known.stamp or uuid.uuid4().hex).encode()).hexdigest()[:16]
            path = folder / f"{name}-{mark}{_ending(uri)}"
            lock = _locked(path) if path in earlier else None
            while not lock:  # another process may have given it up already
                with enough_room(path, f"give the cache less with {LIMIT_KEY}, or another place with XDG_CACHE_HOME"):
                    fetch(uri, path, known)
                lock = _locked(path)
                self._count(known.size or 0)
            _used(path, asked=True)
            for other in earlier:
                if other != path:
                    _remove(other)
        if self._new >= SHARE * self.limit:
            self.give_up()
        return path, lock

    def forget(self, uri: str) -> None:
        """Makes sure that a file which was written is asked about again."""
        name = _name(uri)
        for path in (self.folder / name[:2]).glob(f"{name}-*"):
            if not _remove(path):
                os.utime(path, (0, 0))

    def give_up(self) -> None:
        """Removes files that nobody uses, those not used for longest first, where there are too many."""
        try:
            with filelock.FileLock(self.folder / "limit.lock", timeout=0):
                self._new = 0
                files = [(path, path.stat()) for path in self.folder.glob("??/*") if path.is_file()]
                total = sum(status.st_size for _, status in files)
                if total <= LOW * self.limit:
                    return
                for path, status in sorted(files, key=lambda file: file[1].st_atime):
                    if total <= LOW * self.limit:
                        break
                    if _remove(path):
                        total -= status.st_size
        except (filelock.Timeout, FileNotFoundError):  # another process is at it, or was
            return

    def _count(self, size: int) -> None:
        with self._counting:
            self._new += size


def _locked(path: Path) -> BinaryIO | None:
    """A file opened and locked against removal; None where it is gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    fcntl.flock(file, fcntl.LOCK_SH)
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


def _remove(path: Path) -> bool:
    """Removes a file that nobody uses; says whether it did."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if LEFTOVER.fullmatch(path.name) and time.time() - path.stat().st_mtime < OLD:
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False


def _used(path: Path, asked: bool = False) -> None:
    now = time.time()
    os.utime(path, (now, now if asked else path.stat().st_mtime))


def _name(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


def _ending(uri: str) -> str:
    """What readers choose their format by."""
    suffix = PurePosixPath(base_name(uri)).suffix.lower()
    return suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 6 else ""


@functools.cache
def cache() -> FileCache:
    """This user's.

    Raises:
        ConfigError: the limit is no number, or there is no place for it.
    """
    given = os.environ.get(LIMIT_KEY) or LIMIT
    try:
        limit = float(given) * 1e9
        folder = cache_folder() / "storage"
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError:
        raise ConfigError(f"{LIMIT_KEY} {given}: is no number of gigabytes") from None
    except OSError as error:
        raise ConfigError(f"no place for what is fetched ({error}); name one with XDG_CACHE_HOME") from None
    began = float(os.environ.setdefault(BEGAN_KEY, str(time.time())))
    return FileCache(folder, limit, began)


@contextlib.contextmanager
def local_file(path: Path | str) -> Iterator[Path]:
    """A path as it is, or the file behind a URI on this disk, which stays until the block ends.

    Raises:
        StorageError: it cannot be read.
    """
    if not is_uri(path):
        yield Path(path)
        return
    with cache().using(path) as local:
        yield local


_held: dict[str, tuple[Path, BinaryIO]] = {}


def local_path(path: Path | str) -> Path:
    """A path as it is, or the file behind a URI on this disk, which stays as long as this process: for a few files.

    Raises:
        StorageError: it cannot be read.
    """
    if not is_uri(path):
        return Path(path)
    if path not in _held:
        _held[path] = cache().hold(path)
    return _held[path][0]


def forget(uri: str) -> None:
    """Makes sure that a file which was written or removed is not taken from this disk."""
    if uri in _held:
        _held.pop(uri)[1].close()
    cache().forget(uri)
