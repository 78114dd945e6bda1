"""The files behind URIs: listed, read and written whole, and every read checked against what the server says of it."""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from campus_seg.atomic_writes import LEFTOVER, replacing
from campus_seg.errors import StorageError
from campus_seg.storage import QUERY, base_name, filesystem, is_http, is_uri, join, persistent, shown, stays_below
from campus_seg.storage_calls import info, put
from campus_seg.storage_errors import ShortReadError
from campus_seg.storage_stat import Stat, stat_of

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 16  # they wait for a server; the more of them, the less for each
WALKED = ("http", "https", "sftp")
PROBE = ".campus_seg-probe"  # what is written to find out whether it can be
_without_hashes: set[str] = set()  # buckets whose ETags have been found to be no hashes


def stat(uri: str) -> Stat | None:
    """What is known of the file behind a URI; None where there is a folder.

    Raises:
        StorageError: there is neither, or it cannot be asked; `missing` says which.
    """
    found = persistent(uri, lambda: info(uri))
    # Over HTTP everything is a file; what a folder's address leads to ends with "/".
    return None if found.get("type") == "directory" or found.get("url", "").endswith("/") else stat_of(found)


def exists(uri: str) -> bool:
    """Whether there is a file or a folder behind a URI.

    Raises:
        StorageError: it cannot be asked.
    """
    try:
        stat(uri)
    except StorageError as error:
        if error.missing:
            return False
        raise
    return True


def listing(uri: str) -> dict[str, Stat]:
    """The files of a folder and of all below it: name, relative and with "/", -> what is known of each, by name.

    What commands leave that are killed as they write is not among them.

    Raises:
        StorageError: there is no such bucket, it cannot be listed, or a name would lead out of a folder on a disk.
    """
    scheme = uri.partition("://")[0].lower()

    def ask() -> dict[str, dict]:
        fs, path = filesystem(uri)
        # The walk that file systems without a find of their own get leaves out folders that fail.
        found = fs.find(path, detail=True, **({"on_error": "raise"} if scheme in WALKED else {}))
        start = len(path.rstrip("/")) + 1
        return {name[start:]: told for name, told in found.items() if told.get("type") != "directory"}

    found = persistent(uri, ask)
    plain = unquote if is_http(uri) else str
    named = {plain(name): stat_of(told) for name, told in found.items() if name and not name.endswith("/")}
    for name in named:
        if not stays_below(name):
            raise StorageError(
                f'{shown(uri)}: holds a file named {name!r}, which has an empty part, "." or ".." and can lie in no '
                "folder; rename or remove it, or name another folder"
            )
    return {name: named[name] for name in sorted(named) if not _is_leftover(name)}


def _is_leftover(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last == PROBE or bool(LEFTOVER.fullmatch(last))


def address(folder: str, name: str) -> str:
    """The URI of a file below a folder, by the name that `listing` gives it."""
    return join(folder, quote(name) if is_http(folder) else name)


def split(uri: str, folder: str = "") -> tuple[str, str]:
    """A folder, by default that which a file lies in, and the file's name below it: what `address` makes the URI of.

    Raises:
        StorageError: the name would lead out of a folder on a disk, or is that of a query.
    """
    if is_http(uri) and QUERY.search(uri):
        raise StorageError(
            f'{shown(uri)}: has a "?" or "#" behind it; give it without, or with "%3F" for one in a name'
        )
    folder = folder or parent(uri)
    name = uri.removeprefix(f"{folder}/")
    name = unquote(name) if is_http(uri) else name
    if not stays_below(name):
        raise StorageError(f"{shown(uri)}: is called {name!r}, which can lie in no folder; rename it, or name another")
    return folder, name


def parent(uri: str) -> str:
    """The URI of the folder that something lies in."""
    return uri.rstrip("/").rpartition("/")[0]


def fetch(uri: str, path: Path, known: Stat | None = None) -> Stat:
    """Copies a file to this disk, whole or not at all; its length and, where the server gives one, its hash are right.

    Args:
        uri: of the file.
        path: where to; parents are made.
        known: what `stat` has just said of it; None asks.

    Returns:
        What was known of the file as it was read.

    Raises:
        StorageError: it cannot be read.
    """
    digests: list[str] = []

    def read() -> Stat:
        nonlocal known
        expected, known = known or stat(uri), None  # a file that has changed meanwhile is asked for anew
        if expected is None:
            raise IsADirectoryError(uri)
        fs, inner = filesystem(uri)
        with replacing(path) as temporary:
            fs.get_file(inner, str(temporary))
            _check(uri, temporary, expected, digests)
        return expected

    return persistent(uri, read)


def _check(uri: str, path: Path, expected: Stat, digests: list[str]) -> None:
    """Compares what was read with what the server says; the hashes of earlier reads are added to."""
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        raise ShortReadError(f"{size} of {expected.size} bytes came")
    if not expected.md5 or _server(uri) in _without_hashes:
        return
    digest = file_md5(path)
    if digest == expected.md5:
        return
    # An ETag may look like a hash of the content and be none, as with some encryptions: then all reads agree.
    if digest not in digests:
        digests.append(digest)
        raise ShortReadError("other bytes came than were stored")
    _without_hashes.add(_server(uri))


def read_bytes(uri: str) -> bytes:
    """The content of a small file.

    Raises:
        StorageError: it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="campus_seg-") as folder:
        fetch(uri, Path(folder, "content"))
        return Path(folder, "content").read_bytes()


@contextlib.contextmanager
def local_folder(folder: str, *names: str) -> Iterator[Path]:
    """A folder, or one on this disk with some files of a URI's, those that are there, until the block ends.

    Raises:
        StorageError: one cannot be read.
    """
    if not is_uri(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="campus_seg-") as scratch:
        for name in names:
            if exists(join(folder, name)):
                fetch(join(folder, name), Path(scratch, name))
        yield Path(scratch)


def send(path: Path, uri: str, *, new: bool = False) -> Stat:
    """Copies a file from this disk behind a URI, whole or not at all, and makes sure that it has arrived.

    Args:
        path: of the file.
        uri: where to.
        new: never replaces another file; one of the same content is as good as sent.

    Raises:
        StorageError: it cannot be written, or another file is there, which `exists` says.
    """

    def write() -> Stat:
        nonlocal new
        try:
            put(path, uri, new=new)
            new = False  # what arrived otherwise than it was sent is ours, and may be replaced
        except FileExistsError:
            if not (new and _holds(uri, path)):  # an earlier attempt, whose answer was lost, may have sent it
                raise StorageError(f"{shown(uri)}: another file is there already", exists=True) from None
        there = stat(uri) or Stat(None, "")
        if there.size not in (None, path.stat().st_size):
            raise ShortReadError(f"{there.size} of {path.stat().st_size} bytes arrived")
        if there.md5 not in ("", file_md5(path)) and not _holds(uri, path):  # it may be no hash of the content
            raise ShortReadError("other bytes arrived than were sent")
        return there

    return persistent(uri, write)


def _holds(uri: str, path: Path) -> bool:
    """Whether there is a file behind a URI with the content of one on this disk."""
    there = stat(uri)
    if there is None or there.size not in (None, path.stat().st_size):
        return False
    if there.md5 == file_md5(path):
        return True
    return read_md5(uri, there) == file_md5(path)


def read_md5(uri: str, known: Stat) -> str:
    """The MD5 of what lies behind a URI, in hex, by reading it.

    Args:
        uri: of a file.
        known: what `stat` has just said of it.

    Raises:
        StorageError: it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="campus_seg-") as folder:
        path = Path(folder, "content")
        fetch(uri, path, known)
        return file_md5(path)


def write_bytes(content: bytes, uri: str) -> None:
    """Writes a small file behind a URI.

    Raises:
        StorageError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="campus_seg-") as folder:
        path = Path(folder, base_name(uri))
        path.write_bytes(content)
        send(path, uri)


def remove(uri: str) -> None:
    """Removes a file; one that is gone already is no fault.

    Raises:
        StorageError: it cannot be removed.
    """

    def work() -> None:
        fs, path = filesystem(uri)
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)

    persistent(uri, work)


def check_writable(uri: str) -> None:
    """Makes sure, before any work, that files can be written below a URI: a small one is.

    It is removed, unless the key may only write.

    Raises:
        StorageError: they cannot.
    """
    with tempfile.TemporaryDirectory(prefix="campus_seg-") as folder:
        path = Path(folder, PROBE)
        path.write_bytes(b"whether this can be written")
        persistent(uri, lambda: put(path, address(uri, PROBE)))  # not looked for: another command may remove it
    with contextlib.suppress(StorageError):
        remove(address(uri, PROBE))


def together(work: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS) -> Iterable[Result]:
    """What some work makes of each item, in their order; many at a time, of which the first error is raised."""
    pool = ThreadPoolExecutor(threads, "storage")
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _server(uri: str) -> str:
    """The bucket or host of a URI."""
    return "/".join(uri.split("/", 3)[:3])


def file_md5(path: Path) -> str:
    """A file's MD5 in hex, as servers tell it of what they hold."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
