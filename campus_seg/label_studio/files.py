"""The files of an export: a zip or a folder, read through one face, and its photos found by name."""

import io
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from campus_seg.errors import ExportError


class ExportFiles(ABC):
    """Names (relative, "/" between parts) and bytes of the files below one place."""

    def __init__(self, place: Path, names: Iterable[str]):
        self.place = place
        self.names = sorted(names)

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one file; OSError where it cannot be read."""

    def path(self, name: str) -> Path | None:
        """Where the file lies on disk by itself; None inside an archive."""
        return None


class FolderFiles(ExportFiles):
    """The files below a folder; links that lead out of it are not followed."""

    def __init__(self, folder: Path):
        root = folder.resolve()
        names = []
        for parent, _, files in os.walk(root):
            paths = (Path(parent, name) for name in files)
            names += [p.relative_to(root).as_posix() for p in paths if p.resolve().is_relative_to(root) and p.is_file()]
        super().__init__(folder, names)
        self._root = root

    def read(self, name: str) -> bytes:
        """See ExportFiles."""
        return self.path(name).read_bytes()

    def path(self, name: str) -> Path:
        """See ExportFiles."""
        return self._root / name


class ZipFiles(ExportFiles):
    """The files inside a zip, read without unpacking it."""

    def __init__(self, archive: Path):
        try:
            self._zip = zipfile.ZipFile(archive)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise ExportError(f"{archive}: cannot be opened as a zip ({error}); export it again") from None
        super().__init__(archive, (info.filename for info in self._zip.infolist() if not info.is_dir()))

    def read(self, name: str) -> bytes:
        """See ExportFiles."""
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise OSError(f"damaged or encrypted in the zip ({error})") from None


class OneFile(ExportFiles):
    """A bare .json."""

    def __init__(self, file: Path):
        super().__init__(file.parent, [file.name])

    def read(self, name: str) -> bytes:
        """See ExportFiles."""
        return (self.place / name).read_bytes()


def open_export(export: str) -> ExportFiles:
    """Opens a .zip, a folder or a bare .json.

    Raises:
        ExportError: nothing is given, or nothing readable lies there.
    """
    if not export:
        raise ExportError("no export: give a Label Studio export with CAMPUS.EXPORT path/to/export.zip")
    path = Path(export)
    if path.is_dir():
        return FolderFiles(path)
    if not path.is_file():
        raise ExportError(f"{path}: no such file or folder; give a Label Studio export (.zip, folder or .json)")
    if path.stat().st_size == 0:
        raise ExportError(f"{path}: the file is empty; export it again from Label Studio")
    return ZipFiles(path) if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip" else OneFile(path)


class PhotoIndex:
    """Finds the photo that an export means: by its path, else by its base name, as it stands or percent-decoded."""

    def __init__(self, files: ExportFiles):
        self.files = files
        self._names = set(files.names)
        self._by_base = defaultdict(list)
        for name in files.names:
            base = PurePosixPath(name).name
            for key in {base, unquote(base)}:
                self._by_base[key].append(name)

    def find(self, file_name: str) -> str | None:
        """The name of the photo's file, or None where there is none.

        Raises:
            ExportError: several files could be meant.
        """
        path = file_name.replace("\\", "/")
        if path in self._names:
            return path
        base = PurePosixPath(path).name
        for key in (base, unquote(base)):
            found = self._by_base.get(key, [])
            if len(found) > 1:
                raise ExportError(
                    f"{self.files.place}: {file_name} could be any of {', '.join(found)}; leave one of them there"
                )
            if found:
                return found[0]
        return None

    def open(self, name: str) -> io.BytesIO | io.BufferedReader:
        """A stream of the photo's bytes; OSError where it cannot be read."""
        path = self.files.path(name)
        return path.open("rb") if path else io.BytesIO(self.files.read(name))
