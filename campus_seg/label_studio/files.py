"""The files of an export: a zip, a folder or a bare file, read through one face and never unpacked."""

import contextlib
import io
import lzma
import os
import stat
import time
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from campus_seg.errors import ExportError
from campus_seg.storage import is_uri

# A zip that claims to hold more than this many times its own size, and more than the allowance, is no export:
# photos do not shrink, and JSON shrinks to a tenth.
MAX_RATIO = 100
ALLOWANCE = 2**30
SMALL = 2**24  # bytes; what is so small may shrink to whatever it likes
FRESH = 2.0  # seconds; the coarsest time stamps of file systems in use are that far apart

# What zipfile raises for damaged, encrypted and unknown entries, besides OSError.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


class ExportFiles(ABC):
    """Names (relative, "/" between parts) and bytes of the files below one place."""

    names: list[str]  # in alphabetical order
    bare = False  # whether it is a single file of labels

    def __init__(self, place: Path | str):
        self.place = place  # a str is a URI
        self.absolute = place if isinstance(place, str) else place.absolute().as_posix()

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """A seekable stream of one file's bytes; OSError where it cannot be read, also later while reading."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes of one file; OSError where it cannot be read."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """Differs when the file may have changed, "" where that cannot be told; OSError where it cannot be read."""

    def shrinks_too_much(self, name: str) -> bool:
        """Whether a file is packed as tightly as nothing but a bomb is."""
        return False

    def read(self, name: str) -> bytes:
        """The bytes of one file; OSError where it cannot be read."""
        with self.open(name) as stream:
            return stream.read()

    def path(self, name: str) -> Path | str | None:
        """Where the file lies by itself, on disk or behind a URI; None inside an archive."""
        return None

    def full_name(self, name: str) -> str:
        """The name with the place in front."""
        return f"{self.place}/{name}" if isinstance(self.place, str) else (self.place / name).as_posix()

    def beside(self) -> "ExportFiles | None":
        """Of a bare file of labels, what lies beside it and below images/; other folders there may be anything."""
        return None


class FolderFiles(ExportFiles):
    """The files below a folder; links that lead out of it are not followed.

    Args:
        folder: where to look.
        below: the folders in it to look below, None for all.
    """

    def __init__(self, folder: Path, below: Collection[str] | None = None):
        super().__init__(folder)
        self._root = os.path.realpath(folder)
        self.names = sorted(self._walk(below))

    def _walk(self, below: Collection[str] | None) -> Iterator[str]:
        """Names of all files; of those that no JSON can name, since they are no text, none."""
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(f"{self._root}/{folder}"))
            except OSError as error:
                if folder:  # what is missed in there is reported as missing
                    continue
                raise ExportError(f"{self.place}: cannot be read ({error.strerror}); give another folder") from None
            for entry in entries:
                name = folder + entry.name
                if not _is_text(entry.name):
                    continue
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if target.startswith(f"{self._root}/") and os.path.isfile(target):  # noqa: PTH113
                        yield name
                elif entry.is_dir(follow_symlinks=False):
                    if folder or below is None or name in below:
                        folders.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield name

    def open(self, name: str) -> BinaryIO:
        """See ExportFiles."""
        return open(f"{self._root}/{name}", "rb")  # noqa: PTH123, SIM115 - a Path for each of 100,000 takes a second

    def size(self, name: str) -> int:
        """See ExportFiles."""
        return os.stat(f"{self._root}/{name}").st_size  # noqa: PTH116

    def stamp(self, name: str) -> str:
        """See ExportFiles."""
        return file_stamp(f"{self._root}/{name}")

    def path(self, name: str) -> Path:
        """See ExportFiles."""
        return Path(self._root, name)


class ZipFiles(ExportFiles):
    """The files inside a zip. Their names are keys and lead to no file outside it."""

    def __init__(self, archive: Path, shown: str = ""):
        """Called with the archive, and with its URI where it was fetched."""
        super().__init__(shown or archive)
        shown = shown or str(archive)
        try:
            self._zip = zipfile.ZipFile(archive)
            self._stamp = _stamp_of(os.fstat(self._zip.fp.fileno()))  # of what was opened, whatever lies there now
            size = archive.stat().st_size
        except (*DAMAGED, OSError) as error:
            raise ExportError(f"{shown}: cannot be opened as a zip ({error}); export it again") from None
        infos = [info for info in self._zip.infolist() if not info.is_dir() and _is_text(info.filename)]
        unpacked = sum(info.file_size for info in infos)
        if unpacked > MAX_RATIO * size + ALLOWANCE:
            raise ExportError(
                f"{shown}: claims to hold {unpacked / 2**30:.0f} GiB in {size / 2**20:.1f} MiB, which no export "
                "does; unpack it by other means and give the folder"
            )
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self._twice: set[str] = set()
        for info in infos:
            name = _entry_name(info)
            if self._infos.setdefault(name, info).CRC != info.CRC:
                self._twice.add(name)
        self.names = sorted(self._infos)

    def open(self, name: str) -> BinaryIO:
        """See ExportFiles."""
        info = self._infos[name]
        if name in self._twice:
            raise OSError("twice in the zip, and not the same")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise OSError("a link in the zip, which is not followed")
        try:
            return _Entry(self._zip.open(info))
        except DAMAGED as error:
            raise _damaged(error) from None

    def size(self, name: str) -> int:
        """See ExportFiles."""
        return self._infos[name].file_size

    def shrinks_too_much(self, name: str) -> bool:
        """See ExportFiles."""
        info = self._infos[name]
        return info.file_size > MAX_RATIO * info.compress_size + SMALL

    def stamp(self, name: str) -> str:
        """See ExportFiles."""
        return self._stamp


class _Entry(io.BufferedIOBase):
    """A stream of a zip's entry whose damages are OSErrors."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self.tell = stream.tell

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, count: int | None = -1) -> bytes:
        try:
            return self._stream.read(count)
        except DAMAGED as error:
            raise _damaged(error) from None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._stream.seek(offset, whence)
        except DAMAGED as error:
            raise _damaged(error) from None

    def close(self) -> None:
        self._stream.close()
        super().close()


class OneFile(FolderFiles):
    """A bare file of labels."""

    bare = True

    def __init__(self, file: Path):
        super().__init__(file.parent, below=())
        self.names = [file.name]

    def beside(self) -> FolderFiles:
        """See ExportFiles."""
        return FolderFiles(self.place, below=("images",))


def _entry_name(info: zipfile.ZipInfo) -> str:
    """An entry's name, with "/" between its parts; some programs write UTF-8 and do not say so (flag 0x800)."""
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _damaged(error: Exception) -> OSError:
    return OSError(f"damaged or encrypted in the zip ({error})")


def open_export(export: str) -> ExportFiles:
    """Opens a zip, a folder or a bare file of labels; which of them it is, its content says.

    Raises:
        ExportError: nothing is given, or nothing readable lies there.
    """
    if not export:
        raise ExportError("no export: give a Label Studio export with CAMPUS.EXPORT path/to/export.zip")
    if is_uri(export):
        from campus_seg.label_studio.remote_files import open_remote  # which is made of what is here

        return open_remote(export)
    path = Path(export)
    try:
        if path.is_dir():
            return FolderFiles(path)
        if not path.is_file():
            raise ExportError(f"{path}: no such file or folder; give a Label Studio export (.zip, folder or .json)")
        if path.stat().st_size == 0:
            raise ExportError(f"{path}: the file is empty; export it again from Label Studio")
        if is_zip(path, export):
            return ZipFiles(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror}); give a Label Studio export") from None
    return OneFile(path)


def is_zip(path: Path, name: str) -> bool:
    """Whether a file is a zip, or means to be one by its name."""
    return zipfile.is_zipfile(path) or name.lower().endswith(".zip")


def file_stamp(path: Path | str) -> str:
    """Size, inode and times of a file; "" where it changed a moment ago and could once more without another time."""
    return _stamp_of(os.stat(path))  # noqa: PTH116


def _stamp_of(status: os.stat_result) -> str:
    if time.time() - max(status.st_mtime, status.st_ctime) < FRESH:
        return ""
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
