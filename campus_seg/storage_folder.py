"""A folder to work in that may lie behind a URI: fetched first, sent as it fills and however the work ends."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import filelock

from campus_seg.atomic_writes import cache_folder
from campus_seg.errors import CampusError, ConfigError, OutputError, StorageError
from campus_seg.storage import base_name, checked_uri, is_uri
from campus_seg.storage_mirror import Chosen, Mirror, nothing
from campus_seg.storage_objects import check_writable, listing


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
    the block name the URI where they would name its copy.

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
    """
    if not is_uri(place):
        yield Mirror(Path(place))
        return
    uri = checked_uri(place)
    if writes:
        check_writable(uri)
    base = _folder_for(uri, writes)
    with _alone(base, uri):
        mirror = Mirror(base / (base_name(uri) or "folder"), uri, hollow=hollow, late=late, witnesses=witnesses)
        if writes:
            mirror.send_left()
        there = listing(uri)
        if check:
            check(uri, there)
        _clear(base)
        mirror.folder.mkdir()
        mirror.fetch([name for name in there if wanted(name)])
        try:
            with _named(mirror):
                yield mirror
        finally:
            if writes:
                _send_last(mirror)
            _clear(base)


def _folder_for(uri: str, writes: bool) -> Path:
    """Where the copy of a folder lies; one that is read alone does not meet what is still to be sent."""
    name = hashlib.sha256(uri.encode()).hexdigest()[:16] + ("" if writes else "-read")
    try:
        base = cache_folder() / "folders" / name
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"no place for what is fetched ({error}); name one with XDG_CACHE_HOME") from None
    return base


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
        mirror.send()
    except StorageError as error:
        raise StorageError(
            f"{error}; what has not arrived lies in {mirror.folder}, and the next command there sends it first"
        ) from None


def _clear(base: Path) -> None:
    """Removes what has been sent, or was being fetched; the notes first, without which nothing counts as made here."""
    for path in sorted(base.iterdir(), key=lambda path: path.is_dir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
