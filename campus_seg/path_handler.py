"""URIs for Detectron2's PathManager, by an explicit call: what it opens, lists and fetches may lie in a bucket."""

import io
import tempfile
from pathlib import Path
from typing import IO, Any

from detectron2.utils.file_io import PathHandler, PathManager

from campus_seg.errors import StorageError
from campus_seg.storage import filesystem, persistent, shown
from campus_seg.storage_cache import forget, local_path
from campus_seg.storage_objects import exists, remove, send, stat

# Not http(s)://, which iopath has a handler of, without retries and by names without their hosts: that is for what it
# fetches itself, the model zoo's detectron2://. What a user names is taken from `local_path`.
PREFIXES = ["s3://", "gs://", "gcs://", "az://", "abfs://", "sftp://"]


def register_storage() -> None:
    """Makes the URIs of `campus_seg.storage` known to Detectron2's PathManager; again, it does nothing."""
    if not any(isinstance(handler, StorageHandler) for handler in PathManager._path_handlers.values()):
        PathManager.register_handler(StorageHandler())


class StorageHandler(PathHandler):
    """Reads through the cache on this disk, and writes a file whole or not at all.

    Whatever fails is a StorageError.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return PREFIXES

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        self._check_kwargs(kwargs)
        return str(local_path(path))

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> IO:
        if mode.strip("tb") == "r":
            return local_path(path).open(mode, buffering, **kwargs)
        if mode.strip("tb") in ("w", "x"):
            new = "x" in mode
            if new and exists(path):
                raise StorageError(f"{shown(path)}: is there already", exists=True)
            raw = _Written(path, new)
            return _Bytes(raw) if "b" in mode else _Text(io.BufferedWriter(raw), **kwargs)
        raise ValueError(f"{path}: cannot be opened with mode {mode!r}, only be read or written whole")

    def _copy_from_local(self, local_path: str, dst_path: str, overwrite: bool = False, **kwargs: Any) -> bool:
        self._check_kwargs(kwargs)
        if not overwrite and exists(dst_path):
            return False
        send(Path(local_path), dst_path)
        forget(dst_path)
        return True

    def _exists(self, path: str, **kwargs: Any) -> bool:
        self._check_kwargs(kwargs)
        return exists(path)

    def _isfile(self, path: str, **kwargs: Any) -> bool:
        self._check_kwargs(kwargs)
        return exists(path) and stat(path) is not None

    def _isdir(self, path: str, **kwargs: Any) -> bool:
        self._check_kwargs(kwargs)
        return exists(path) and stat(path) is None

    def _ls(self, path: str, **kwargs: Any) -> list[str]:
        self._check_kwargs(kwargs)

        def ask() -> list[str]:
            fs, inner = filesystem(path)
            return sorted(name.rstrip("/").rpartition("/")[2] for name in fs.ls(inner, detail=False))

        return persistent(path, ask)

    def _mkdirs(self, path: str, **kwargs: Any) -> None:
        self._check_kwargs(kwargs)  # folders are there as soon as a file is in them

    def _rm(self, path: str, **kwargs: Any) -> None:
        self._check_kwargs(kwargs)
        remove(path)
        forget(path)


class _Written(io.FileIO):
    """A temporary file that is sent when it is closed, unless it was given up."""

    def __init__(self, uri: str, new: bool):
        self._uri = uri
        self._new = new
        self._folder = tempfile.TemporaryDirectory(prefix="campus_seg-")
        self._path = Path(self._folder.name, "content")
        super().__init__(self._path, "w")

    def give_up(self) -> None:
        """Leaves what lies behind the URI as it is."""
        self._uri = ""

    def write(self, content: Any) -> int | None:
        """Writes; what cannot be written whole is given up."""
        try:
            return super().write(content)
        except OSError:
            self.give_up()
            raise

    def close(self) -> None:
        """Sends the file."""
        if self.closed:
            return
        super().close()
        try:
            if self._uri:
                send(self._path, self._uri, new=self._new)
                forget(self._uri)
        finally:
            self._folder.cleanup()


class _Bytes(io.BufferedWriter):
    """Gives up what an error ends, and what nobody has closed."""

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind:
            self.raw.give_up()
        super().__exit__(kind, *error)

    def __del__(self) -> None:
        if not self.closed:
            self.raw.give_up()
            self.close()


class _Text(io.TextIOWrapper):
    """Gives up what an error ends, and what nobody has closed."""

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind:
            self.buffer.raw.give_up()
        super().__exit__(kind, *error)

    def __del__(self) -> None:
        if not self.closed:
            self.buffer.raw.give_up()
            self.close()
