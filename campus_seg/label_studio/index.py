"""Photos found by name: what an export calls them, and what they are called where they lie."""

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from campus_seg.errors import ExportError
from campus_seg.label_studio.files import ExportFiles

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
                unused = inner if inner not in self._files else place.full_name(inner)
                name = unused if len(places) == 1 else names.setdefault(place.path(inner) or (place, inner), unused)
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
                return found[0].name if len(found) == 1 else self._best(file_name, found)
        return None

    def _best(self, file_name: str, found: list[_File]) -> str:
        closeness = [_closeness(file_name, file) for file in found]
        best = [file for file, close in zip(found, closeness, strict=True) if close == max(closeness)]
        for place in self._places:
            here = [file for file in best if file.place is place]
            exact = [file for file in here if file.inner == file_name]
            if exact or len(here) == 1:
                return (exact or here)[0].name
        names = ", ".join(dict.fromkeys(file.name for file in best))
        raise ExportError(
            f"{best[0].place.place}: {file_name} could be any of {names}; give "
            "CAMPUS.IMAGE_ROOT a folder in which only one of them lies, or keep the folders of the export's paths"
        )

    def closeness(self, file_name: str, name: str) -> tuple[bool, int]:
        """How well an export's path agrees with a file's: in its base name, then in how many folders above it."""
        return _closeness(file_name, self._files[name])

    def is_elsewhere(self, file_name: str, name: str) -> bool:
        """Whether a photo was found by a name that others may have, and in a folder of another name."""
        folders = file_name.split("/")[:-1]
        uploaded = _base_forms(file_name)[-2] != _base_forms(file_name)[-1]
        return folders[-1:] not in ([], ["images"]) and not uploaded and self.closeness(file_name, name)[1] == 0

    def path(self, name: str) -> Path | str | None:
        """Where the photo lies by itself, on disk or behind a URI; None inside an archive."""
        file = self._files[name]
        return file.place.path(file.inner)

    @property
    def is_remote(self) -> bool:
        """Whether photos are behind URIs, where many are fetched at once."""
        return any(isinstance(place.place, str) for place in self._places)

    def read(self, name: str) -> bytes:
        """The photo's bytes; OSError where it cannot be read."""
        file = self._files[name]
        return file.place.read(file.inner)

    def open(self, name: str) -> BinaryIO:
        """A stream of the photo's bytes; OSError where it cannot be read, also later while reading."""
        file = self._files[name]
        return file.place.open(file.inner)

    def size(self, name: str) -> int:
        """The photo's size in bytes; OSError where it cannot be read."""
        file = self._files[name]
        return file.place.size(file.inner)

    def stamp(self, name: str) -> tuple[str, str]:
        """The photo's place for good, and what differs when it may have changed; OSError where it cannot be read."""
        file = self._files[name]
        return f"{file.place.absolute}/{file.inner}", file.place.stamp(file.inner)


def given_name(path: str) -> str:
    """The base name that a photo's owner gave it: percent-decoded, without what Label Studio put in front."""
    return _base_forms(path)[-1]


def photo_path(address: str) -> str:
    r"""The path in what an export calls a photo: a path of the server or an address, which is never fetched.

    Args:
        address: such as "../media/upload/1/a.jpg", "images\\a.jpg", "https://host/a%20b.jpg?x=1" or
            "/data/local-files/?d=folder/a.jpg".

    Returns:
        The path with "/" between its parts; of an address without its query, percent-decoded.
    """
    scheme, separator, rest = address.partition("://")
    if separator and scheme not in ("http", "https"):
        return rest.replace("\\", "/")  # of a bucket, whose keys stand there as they are, "#" and "?" too
    if separator or address.startswith("/data/"):  # an address of the server itself
        try:
            parts = urlsplit(address)
        except ValueError:  # "[" in a host
            return address.replace("\\", "/")
        local = parse_qs(parts.query).get("d")
        return (local[0] if local else unquote(parts.path) or address).replace("\\", "/")
    return address.replace("\\", "/")


def _base_forms(path: str) -> tuple[str, str, str, str]:
    """A path's base name as it stands, percent-decoded, without an export's prefix, and without an upload's."""
    base = path.replace("\\", "/").rpartition("/")[2]  # a file's name, too: unpacked from a zip of Windows
    decoded = _plain(base)
    upload = _EXPORT_PREFIX.sub("", decoded)
    return unicodedata.normalize("NFC", base), decoded, upload, _UPLOAD_PREFIX.sub("", upload)


def _plain(part: str) -> str:
    return unicodedata.normalize("NFC", unquote(part) if "%" in part else part)


def _closeness(file_name: str, file: _File) -> tuple[bool, int]:
    *folders, base = map(_plain, file_name.split("/"))
    *others, other = map(_plain, f"{file.place.absolute}/{file.inner}".replace("\\", "/").split("/"))
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(reversed(folders), reversed(others), strict=False))
    return base == other, sum(1 for _ in same)
