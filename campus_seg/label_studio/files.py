"""The files of an export: a zip or a folder, read through one face, and its photos found by name."""

import io
import itertools
import os
import re
import unicodedata
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
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


_EXPORT_PREFIX = re.compile(r"^[0-9a-f]{8}__")  # differs from export to export
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # tells uploads of one name apart


class _File(NamedTuple):
    """A file that may be a photo: the name it goes by, where it lies, and its base name in every form."""

    name: str
    place: ExportFiles
    inner: str
    forms: tuple[str, ...]


class PhotoIndex:
    """Finds the photos that an export means, in several places.

    A photo goes by its name in its place; by its whole path where an earlier place has that name, too.
    """

    def __init__(self, places: Sequence[ExportFiles]):
        self._places = places
        self._files: dict[str, _File] = {}
        self._by_form = [defaultdict(list) for _ in _base_forms("")]
        names: dict[Any, str] = {}  # one file in two places, as of a folder within another, has one name
        for place in places:
            for inner in place.names:
                unused = inner if inner not in self._files else (place.place / inner).as_posix()
                name = names.setdefault(place.path(inner) or (place, inner), unused)
                file = _File(name, place, inner, _base_forms(inner))
                self._files.setdefault(name, file)
                for files, form in zip(self._by_form, file.forms, strict=True):
                    files[form].append(file)

    def find(self, file_name: str) -> str | None:
        """The name of the photo's file, or None where there is none.

        One of the same base name: as it stands, else percent-decoded, else without the prefix of an export, else
        without that of an upload where only one of the two has it. Of several the one whose folders agree best with
        the path's; of equals that of the first place, if it is the only one there or lies at that very path.

        Raises:
            ExportError: several files could be meant.
        """
        forms = _base_forms(file_name)
        for step, (files, form) in enumerate(zip(self._by_form, forms, strict=True)):
            found = files.get(form, [])
            if step == len(forms) - 1 and forms[-2] != form:  # another upload's prefix means another photo
                found = [file for file in found if file.forms[-2] == form]
            if found:
                return self._best(file_name, found)
        return None

    def _best(self, file_name: str, found: list[_File]) -> str:
        closeness = [_closeness(file_name, file) for file in found]
        best = [file for file, close in zip(found, closeness, strict=True) if close == max(closeness)]
        for place in self._places:
            here = [file for file in best if file.place is place]
            exact = [file for file in here if file.inner == file_name]
            if exact or len(here) == 1:
                return (exact or here)[0].name
        raise ExportError(
            f"{best[0].place.place}: {file_name} could be any of {', '.join(file.name for file in best)}; give "
            "CAMPUS.IMAGE_ROOT a folder in which only one of them lies, or keep the folders of the export's paths"
        )

    def closeness(self, file_name: str, name: str) -> tuple[bool, int]:
        """How well an export's path agrees with a file's: in its base name, then in how many folders above it."""
        return _closeness(file_name, self._files[name])

    def path(self, name: str) -> Path | None:
        """Where the photo lies on disk by itself; None inside an archive."""
        file = self._files[name]
        return file.place.path(file.inner)

    def read(self, name: str) -> bytes:
        """The photo's bytes; OSError where it cannot be read."""
        file = self._files[name]
        return file.place.read(file.inner)

    def open(self, name: str) -> io.BytesIO | io.BufferedReader:
        """A stream of the photo's bytes; OSError where it cannot be read."""
        path = self.path(name)
        return path.open("rb") if path else io.BytesIO(self.read(name))


def _base_forms(path: str) -> tuple[str, str, str, str]:
    """A path's base name as it stands, percent-decoded, without an export's prefix, and without an upload's."""
    base = path.rpartition("/")[2]
    decoded = _plain(base)
    upload = _EXPORT_PREFIX.sub("", decoded)
    return unicodedata.normalize("NFC", base), decoded, upload, _UPLOAD_PREFIX.sub("", upload)


def _plain(part: str) -> str:
    return unicodedata.normalize("NFC", unquote(part))


def _closeness(file_name: str, file: _File) -> tuple[bool, int]:
    *folders, base = map(_plain, file_name.split("/"))
    *others, other = map(_plain, (file.place.place.absolute() / file.inner).as_posix().split("/"))
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(reversed(folders), reversed(others), strict=False))
    return base == other, sum(1 for _ in same)
