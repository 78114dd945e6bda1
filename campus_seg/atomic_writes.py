"""Files written whole or not at all, and a look ahead at the folder for them."""

import contextlib
import errno
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from campus_seg.errors import ConfigError, OutputError

URI = re.compile(r"([a-z][a-z0-9]+:)/+(.*)")  # also what is left of one in a Path
LEFTOVER = re.compile(r"\.\d+(-\d+)?\.part(\.\w+)?")  # what `replacing` calls its temporary files


@contextlib.contextmanager
def replacing(path: Path | str, *, durable: bool = False) -> Iterator[Path]:
    """Gives a temporary path beside `path`, which takes its place when the block ends without an error.

    The temporary name keeps the ending, since image writers choose their format by it. Parents are made.

    Args:
        path: of the file in the end.
        durable: also over a power cut: the content is on the disk before the name is, and the name before this ends.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """Where this project keeps what it can find out again (XDG Base Directory Specification).

    Raises:
        OSError: the user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "campus_seg"
    except RuntimeError as error:
        raise OSError(str(error)) from None


def remove_leftovers(folder: Path | str, *, below: bool = False) -> None:
    """Removes the temporary files that killed processes left in a folder; no other may be writing there.

    Args:
        folder: where; it may be missing.
        below: and in all folders below it.
    """
    for path in Path(folder).glob("**/.*.part*" if below else ".*.part*"):
        if LEFTOVER.fullmatch(path.name):
            path.unlink()


def no_room(error: BaseException | None) -> OSError | None:
    """The error, or one in whose handling it arose, that says that a disk is full, or a quota; None for others."""
    while error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return error
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def enough_room(path: Path | str, way_out: str) -> Iterator[None]:
    """Turns a full disk, in the block, into an error for the user.

    Args:
        path: of what is written, for the message, where the error itself names no file.
        way_out: for the message, after "make room, and".

    Raises:
        OutputError: the disk is full.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # the latter of torch's, where a write failed
        reason = no_room(error)
        if not reason:
            raise
        where = reason.filename or path
        raise OutputError(f"{where}: cannot be written ({reason.strerror}); make room, and {way_out}") from None


def write_json(path: Path | str, value: Any, *, indent: int | None = 1) -> None:
    """Writes `value` as UTF-8 JSON; NaN is refused, since it is no JSON.

    Args:
        path: of the file.
        value: what to write.
        indent: as of `json.dumps`; None makes large files many times faster to write.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def check_output_folder(path: Path | str) -> None:
    """Makes sure, before any work, that files can be written to a folder. Nothing is made that stays.

    Args:
        path: the folder, which need not exist yet.

    Raises:
        ConfigError: it is a URI; it, or the nearest of its parents that exists, is no folder or cannot be written to.
    """
    _check_of_this_machine(path, "folder")
    path = Path(path)
    try:
        nearest = next(p for p in (path, *path.parents) if p.is_symlink() or p.exists())
        with tempfile.TemporaryFile(dir=nearest):  # permissions alone do not tell of read-only disks
            pass
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written to ({error.strerror}); give another folder") from None


def check_output_file(path: Path | str) -> None:
    """Makes sure, before any work, that a file can be written. Nothing is made that stays.

    Args:
        path: of the file; it, and its folder, need not exist yet.

    Raises:
        ConfigError: it is a URI or a folder, or its own folder cannot be written to.
    """
    _check_of_this_machine(path, "file")
    if Path(path).is_dir():
        raise ConfigError(f"{path}: is a folder; give a file")
    check_output_folder(Path(path).parent)


def _check_of_this_machine(path: Path | str, what: str) -> None:
    if uri := URI.match(str(path)):
        raise ConfigError(
            f"{uri[1]}//{uri[2]}: a {what} on this machine is wanted here; bring it to a bucket afterwards "
            f"(where a URI is taken, it begins with {uri[1]}//)"
        )
