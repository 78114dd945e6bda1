"""The files of an export, or photos, in a bucket or on a server: names from its list, bytes through the cache."""

import contextlib
from collections.abc import Collection, Iterator
from typing import BinaryIO

from campus_seg.errors import ExportError, StorageError
from campus_seg.label_studio.files import ExportFiles, ZipFiles, is_zip
from campus_seg.storage import checked_uri
from campus_seg.storage_cache import cache, local_path
from campus_seg.storage_objects import Stat, address, listing, split, stat


class RemoteFiles(ExportFiles):
    """The files below the URI of a folder.

    Args:
        folder: its URI.
        below: the folders in it to look below, None for all.

    Raises:
        StorageError: it cannot be listed.
    """

    def __init__(self, folder: str, below: Collection[str] | None = None):
        super().__init__(folder)
        self._known = {
            name: known
            for name, known in listing(folder).items()
            if below is None or "/" not in name or name.partition("/")[0] in below
        }
        self.names = sorted(self._known)

    def open(self, name: str) -> BinaryIO:
        """See ExportFiles; of its file in the cache, which stays as long as it is open."""
        with _as_os_errors():
            return cache().hold(self.path(name), self._stat(name))[1]

    def size(self, name: str) -> int:
        """See ExportFiles."""
        size = self._stat(name).size
        if size is None:  # the server does not say
            with _as_os_errors(), cache().using(self.path(name)) as local:
                return local.stat().st_size
        return size

    def stamp(self, name: str) -> str:
        """See ExportFiles."""
        return self._stat(name).stamp

    def path(self, name: str) -> str:
        """See ExportFiles."""
        return address(self.place, name)

    def _stat(self, name: str) -> Stat:
        return self._known[name]


class RemoteFile(RemoteFiles):
    """A bare file of labels behind a URI."""

    def __init__(self, uri: str):
        folder, name = split(uri)
        ExportFiles.__init__(self, folder)
        self.names = [name]
        self.bare = True

    def beside(self) -> RemoteFiles:
        """See ExportFiles."""
        return RemoteFiles(self.place, below=("images",))

    def _stat(self, name: str) -> Stat:
        return stat(self.path(name))


def open_remote(export: str) -> ExportFiles:
    """Opens a zip, a folder or a bare file of labels behind a URI; a zip is fetched whole.

    Raises:
        ExportError: nothing lies there.
        StorageError: it cannot be read.
    """
    uri = checked_uri(export)
    if stat(uri) is None:
        return RemoteFiles(uri)
    local = local_path(uri)
    if not local.stat().st_size:
        raise ExportError(f"{uri}: the file is empty; export it again from Label Studio")
    if is_zip(local, uri):
        return ZipFiles(local, shown=uri)
    return RemoteFile(uri)


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """A file that is gone is one that cannot be read, as on a disk; other faults of a server concern all of them."""
    try:
        yield
    except StorageError as error:
        if not error.missing:
            raise
        raise FileNotFoundError(f"{error}") from None
