"""Single calls of file systems where fsspec's own are not what is needed: what is known of a file, and its writing."""

import uuid
from pathlib import Path
from typing import Any

from campus_seg.storage import filesystem, is_http
from campus_seg.storage_errors import codes

_command = uuid.uuid4()  # so that two commands which write one file do not write into each other's


def info(uri: str) -> dict[str, Any]:
    """What a server says of a file or folder."""
    fs, path = filesystem(uri)
    return _head(fs, path) if is_http(uri) else fs.info(path)


def _head(fs: Any, url: str) -> dict[str, Any]:
    """Of a web server; where HEAD fails for a passing reason fsspec believes the length of whatever a GET brings."""
    from aiohttp import ClientResponseError
    from fsspec.asyn import sync
    from fsspec.implementations.http import _file_info

    async def ask() -> dict[str, Any]:
        try:
            return await _file_info(fs.encode_url(url), await fs.set_session())
        except ClientResponseError as error:
            if error.status in (404, 410):
                raise FileNotFoundError(url) from error
            if error.status in (405, 501):  # it knows no HEAD
                return await fs._info(url)
            raise

    return sync(fs.loop, ask)


def put(path: Path, uri: str, *, new: bool = False) -> None:
    """Writes a file once.

    Args:
        path: of the file.
        uri: where to.
        new: FileExistsError where there is a file already.
    """
    if is_http(uri):
        raise NotImplementedError
    fs, inner = filesystem(uri)
    if new and fs.exists(inner):
        raise FileExistsError(uri)
    if "sftp" in fs.protocol:
        _put_by_renaming(fs, path, inner, new)
        return
    try:
        fs.put_file(str(path), inner, **({"mode": "create"} if new else {}))
    except OSError as error:
        if new and codes(error) & {"PreconditionFailed", "412"}:  # of servers that do not say which condition it was
            raise FileExistsError(uri) from error
        if not (new and codes(error) & {"NotImplemented", "501"}):
            raise
        fs.put_file(str(path), inner)  # a server that knows no conditions; it has just been looked


def _put_by_renaming(fs: Any, path: Path, inner: str, new: bool) -> None:
    """Writes a file to a server's disk, where it grows as it comes, beside its place and then moves it there."""
    fs.makedirs(fs._parent(inner), exist_ok=True)
    # As atomic_writes.LEFTOVER has it, and the same in each attempt: a connection that is cut leaves what it wrote.
    beside = f"{fs._parent(inner)}/.{uuid.uuid5(_command, inner).int}.part"
    try:
        fs.put_file(str(path), beside)
        if new:
            _rename(fs, beside, inner)
        else:
            fs.mv(beside, inner)
    finally:
        if fs.exists(beside):
            fs.rm_file(beside)


def _rename(fs: Any, old: str, new: str) -> None:
    """SFTP's own way, which replaces nothing; fsspec knows the other one alone.

    Raises:
        FileExistsError: there is a file, of which SFTP's error says nothing.
    """
    from fsspec.asyn import sync

    async def rename() -> None:
        async with fs._pool.get() as channel:
            await channel.rename(old, new)

    try:
        sync(fs.loop, rename)
    except Exception as error:
        if fs.exists(new):
            raise FileExistsError(new) from error
        raise
