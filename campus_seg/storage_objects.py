"""The files behind URIs: listed, read and written whole, and every read checked against what the server says of it."""

import contextlib
import hashlib
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from campus_seg.atomic_writes import replacing
from campus_seg.errors import StorageError
from campus_seg.storage import ShortReadError, base_name, filesystem, is_uri, join, persistent, shown

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 16  # they wait for a server; the more of them, the less for each
WALKED = ("http", "https", "sftp")
MD5 = re.compile(r"[0-9a-f]{32}")  # what an ETag of S3's is, where the object was sent in one piece
CHANGES = (
    "ETag",
    "etag",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "mtime",
    "updated",
    "generation",
    "md5Hash",
)
_without_hashes: set[str] = set()  # buckets whose ETags have been found to be no hashes


class Stat(NamedTuple):
    """What a server says of a file.

    Attributes:
        size: in bytes; None where it does not say.
        stamp: differs when the file may have changed; "" where that cannot be told.
        md5: of the content, in hex; "" where it does not say.
    """

    size: int | None
    stamp: str
    md5: str = ""


def stat(uri: str) -> Stat | None:
    """What is known of the file behind a URI; None where there is a folder.

    Raises:
        StorageError: there is neither, or it cannot be asked; `missing` says which.
    """

    def ask() -> dict:
        fs, path = filesystem(uri)
        return fs.info(path)

    info = persistent(uri, ask)
    # Over HTTP everything is a file; what a folder's address leads to ends with "/".
    return None if info.get("type") == "directory" or info.get("url", "").endswith("/") else _stat(info)


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

    Raises:
        StorageError: there is no such bucket, or it cannot be listed.
    """
    scheme = uri.partition("://")[0].lower()

    def ask() -> dict[str, dict]:
        fs, path = filesystem(uri)
        # The walk that file systems without a find of their own get leaves out folders that fail.
        found = fs.find(path, detail=True, **({"on_error": "raise"} if scheme in WALKED else {}))
        start = len(path.rstrip("/")) + 1
        return {name[start:]: info for name, info in found.items() if info.get("type") != "directory"}

    found = persistent(uri, ask)
    plain = unquote if _is_http(uri) else str
    named = {plain(name): _stat(info) for name, info in found.items() if name and not name.endswith("/")}
    return dict(sorted(named.items()))


def address(folder: str, name: str) -> str:
    """The URI of a file below a folder, by the name that `listing` gives it."""
    return join(folder, quote(name) if _is_http(folder) else name)


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
    digest = _md5(path)
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


def send(path: Path, uri: str) -> Stat:
    """Copies a file from this disk behind a URI, whole or not at all, and makes sure that it has arrived.

    Raises:
        StorageError: it cannot be written.
    """

    def write() -> Stat:
        fs, inner = filesystem(uri)
        if "sftp" in fs.protocol:  # a server's disk, where a file grows as it comes
            fs.makedirs(fs._parent(inner), exist_ok=True)
            beside = f"{fs._parent(inner)}/.{uuid.uuid4().hex}.part"
            try:
                fs.put_file(str(path), beside)
                fs.mv(beside, inner)
            finally:
                if fs.exists(beside):
                    fs.rm_file(beside)
        else:
            fs.put_file(str(path), inner)
        there = _stat(fs.info(inner))
        if there.size is not None and there.size != path.stat().st_size:
            raise ShortReadError(f"{there.size} of {path.stat().st_size} bytes arrived")
        return there

    if _is_http(uri):
        raise StorageError(f"{shown(uri)}: cannot be written to; give a bucket, sftp:// or a folder of this machine")
    return persistent(uri, write)


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
    """Makes sure, before any work, that files can be written below a URI: one is, and removed.

    Raises:
        StorageError: they cannot.
    """
    probe = address(uri, f".campus_seg-{uuid.uuid4().hex}")
    write_bytes(b"whether this can be written", probe)
    remove(probe)


def together(work: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS) -> Iterable[Result]:
    """What some work makes of each item, in their order; many at a time, of which the first error is raised."""
    pool = ThreadPoolExecutor(threads, "storage")
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _stat(info: dict) -> Stat:
    size = info.get("size")
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    stamps = [f"{_as_number(info[key])}" for key in CHANGES if info.get(key)]
    return Stat(size, " ".join([f"{size}", *stamps]) if stamps else "", etag if MD5.fullmatch(etag) else "")


def _as_number(value: Any) -> Any:
    """A time as seconds, whatever its zone: a list and a single question have different ones."""
    return value.timestamp() if isinstance(value, datetime) else value


def _server(uri: str) -> str:
    """The bucket or host of a URI."""
    return "/".join(uri.split("/", 3)[:3])


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_http(uri: str) -> bool:
    return uri.lower().startswith("http")
