"""A folder to work in that may lie behind a URI: fetched first, sent as it fills and however the work ends."""

import contextlib
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from campus_seg.atomic_writes import cache_folder, enough_room
from campus_seg.errors import CampusError, ConfigError, OutputError, StorageError
from campus_seg.storage import base_name, checked_uri, is_uri
from campus_seg.storage_mirror import WAY_OUT, Chosen, Mirror, nothing
from campus_seg.storage_objects import check_writable, listing

logger = logging.getLogger(__name__)


def anything(name: str) -> bool:
    """Chooses every file."""
    return True


@contextlib.contextmanager
def mirrored(
    place: str,
    *,
    check: Callable[[str, Collection[str]], None] | None = None,
    wanted: Chosen = anything,
    writes: bool = True,
    hollow: Chosen = nothing,
    late: Sequence[str] = (),
    witnesses: Sequence[str] = (),
) -> Iterator[Mirror]:
    """A folder to work in, by its path or URI; one behind a URI is fetched first, and sent however the block ends.

    What an earlier command on this machine could not send, since it was killed for example, is sent before. Errors of
    the block name the URI where they would name its copy; one that ends it is not hidden by what then cannot be sent.

    Args:
        place: a path, which is taken as it is, or a URI.
        check: is given the URI and the names of what is there, before any of it is fetched, and may raise.
        wanted: files that are fetched; others stay there.
        writes: whether anything is sent.
        hollow: see Mirror, as for the others.
        late: of what is sent.
        witnesses: of what is sent.

    Raises:
        ConfigError: another command on this machine works there, or there is no place for the copy.
        StorageError: it cannot be read, or not be written to, which is found out before the block begins.
        OutputError: this disk is full.
    """
    if not is_uri(place):
        yield Mirror(Path(place))
        return
    uri = checked_uri(place)
    if writes:
        check_writable(uri)
    with _folder_for(uri, writes) as base:
        mirror = _mirror(base, uri, hollow=hollow, late=late, witnesses=witnesses)
        if writes:
            mirror.send_left()
        there = listing(uri)
        if check:
            check(uri, there)
        _clear(base)
        mirror.folder.mkdir()
        mirror.fetch(there, wanted)
        try:
            with _named(mirror):
                yield mirror
        except BaseException as error:
            if writes:
                _send_after(error, mirror)
            _clear(base)
            raise
        if writes:
            _send_last(mirror)
        _clear(base)


def _mirror(base: Path, uri: str, **options: Any) -> Mirror:
    return Mirror(base / (base_name(uri) or "folder"), uri, **options)


@contextlib.contextmanager
def _folder_for(uri: str, writes: bool) -> Iterator[Path]:
    """Where the copy of a folder lies that the block works on, alone; what is only read has a place of its own."""
    with contextlib.ExitStack() as stack:
        try:
            base = cache_folder() / "folders" / hashlib.sha256(uri.encode()).hexdigest()[:16]
            (base if writes else base.parent).mkdir(parents=True, exist_ok=True)
            if writes:
                stack.enter_context(_alone(base, uri))
            else:
                _warn_of_unsent(_mirror(base, uri))
                base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="read-", dir=base.parent)))
        except OSError as error:
            raise ConfigError(f"no place for what is fetched ({error}); name one with XDG_CACHE_HOME") from None
        yield base


def _warn_of_unsent(mirror: Mirror) -> None:
    if mirror.has_unsent():
        logger.warning(
            f"{mirror.uri}: is read as it is there; a command on this machine has not sent all to it, which lies in "
            f"{mirror.folder}, and the next one that writes there sends it first"
        )


@contextlib.contextmanager
def _named(mirror: Mirror) -> Iterator[None]:
    """Lets errors name the URI and not its copy; a full disk is this machine's."""
    try:
        yield
    except OutputError:
        raise
    except CampusError as error:
        error.args = (str(error).replace(str(mirror.folder), mirror.uri),)
        raise


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
        with enough_room(mirror.folder, WAY_OUT):
            mirror.send()
    except StorageError as error:
        raise StorageError(
            f"{error}; what has not arrived lies in {mirror.folder}, and the next command there sends it first"
        ) from None


def _send_after(error: BaseException, mirror: Mirror) -> None:
    """Sends what an error has left; where that fails it is told, and the error goes on, with all kept here."""
    if not isinstance(error, Exception):  # somebody waits for the end
        mirror.tell_of_sending()
    try:
        _send_last(mirror)
    except CampusError as unsent:
        logger.warning(f"{unsent}")
        raise error from None


def _clear(base: Path) -> None:
    """Removes what has been sent, or was being fetched; the notes first, without which nothing counts as made here."""
    for path in sorted(base.iterdir(), key=lambda path: path.is_dir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
