"""What has been masked so far, on the disk as it comes, so that a stopped command goes on where it was.

Every process of a command has a file of its own: a line of JSON that says what the results are made with, then one a
photo, written when all its pictures are. A line that was cut off counts for nothing. Commands are numbered, since a
later one, with another number of processes, may mask a photo anew in another file.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import filelock

from campus_seg.errors import ConfigError, StorageError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.photos import fault_of_file
from campus_seg.storage import is_uri
from campus_seg.storage_objects import stat, together

FOLDER = ".journal"  # below the output folder
WITNESSES = (f"{FOLDER}/*.jsonl",)  # of pictures: they have to be there before
FORMAT = 2
WAY_OUT = "give another --output, or --overwrite to begin anew"


@dataclass(frozen=True)
class Entry:
    """Where a photo's record lies, and of what it is.

    Attributes:
        file: of the journal.
        offset: of the line, in bytes.
        name: what the photo's outputs are called.
        stamp: see `photo_stamp`.
        failed: there are no pictures: the photo could not be read.
        command: the number of the one that made it, from 1.
    """

    file: Path
    offset: int
    name: str
    stamp: str
    failed: bool
    command: int


class Journal:
    """The records of an output folder.

    Args:
        output: the folder; made where it is missing.
        made_with: what the results depend on: names and values that JSON can hold.
        process: number of this process among those of the command; each writes its own file.
        overwrite: forget what is there.

    Raises:
        ConfigError: the folder holds results made with something else, or another command is writing to it.
    """

    def __init__(self, output: Path, made_with: Mapping[str, Any], *, process: int = 0, overwrite: bool = False):
        self.folder = output / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._made_with = json.loads(json.dumps({"format": FORMAT, **made_with}))
        self._own = self.folder / f"{process}.jsonl"
        self._lock = filelock.FileLock(self.folder / f"{process}.lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ConfigError(f"{output}: another command is writing here; wait for it, or {WAY_OUT}") from None
        self._entries: dict[str, Entry] = {}
        self._stamps: dict[Path | str, str] = {}  # when `has` was first asked: a file may change while it is masked
        self._file: BinaryIO | None = None
        try:
            if overwrite and not process:
                for file in self.files():
                    file.unlink()
            self.read()
            self._command = 1 + max((entry.command for entry in self._entries.values()), default=0)
            self._file = self._opened()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._file.close()
        self._lock.release()

    def files(self) -> list[Path]:
        """The journals of all processes, in their order."""
        return sorted(self.folder.glob("*.jsonl"), key=lambda path: (len(path.name), path.name))

    def read(self) -> None:
        """Looks up which records there are, of every process; of a photo that has several, the last one counts.

        Raises:
            ConfigError: they were made with something else.
        """
        self._entries.clear()
        for file in self.files():
            with file.open("rb") as lines:
                header = _parsed(lines.readline())
                if header is None:
                    continue
                self._compare(header)
                offset = lines.tell()
                for line in lines:
                    record = _parsed(line)
                    if record is not None:
                        self._keep(record, file, offset)
                    offset += len(line)

    def has(self, photo: InputPhoto, pictures: Iterable[str]) -> bool:
        """Whether a photo is masked already: the same file under the same name, and all its pictures are there.

        A photo without a stamp may have changed: it is masked anew.

        Args:
            photo: which.
            pictures: paths below the output folder.
        """
        entry = self._entries.get(photo.file_name)
        stamp = photo_stamp(photo)
        self._stamps.setdefault(photo.path, stamp)
        return (
            entry is not None
            and not entry.failed
            and stamp != ""
            and (entry.name, entry.stamp) == (photo.name, stamp)
            and all((self.folder.parent / path).is_file() for path in pictures)
        )

    def add(self, photo: InputPhoto, record: Mapping[str, Any]) -> None:
        """Keeps the record of a photo: what `PictureWriter.draw` returned, or the "reason" why there is none."""
        offset = self._file.tell()
        stamp = self._stamps.get(photo.path) or photo_stamp(photo)
        about = {"file_name": photo.file_name, "name": photo.name, "stamp": stamp}
        line = {**about, "command": self._command, **record}
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()  # to the system: it outlives this process, if not the power
        self._keep(line, self._own, offset)

    def sync(self) -> None:
        """Puts this process's records on the disk, where other machines see them."""
        os.fsync(self._file.fileno())

    def records(self, photos: Iterable[InputPhoto]) -> Iterable[dict[str, Any]]:
        """The records of some photos, in their order, one at a time; none of those that are not masked."""
        opened: dict[Path, BinaryIO] = {}
        try:
            for photo in photos:
                entry = self._entries.get(photo.file_name)
                if entry is not None:
                    if entry.file not in opened:
                        opened[entry.file] = entry.file.open("rb")
                    opened[entry.file].seek(entry.offset)
                    yield json.loads(opened[entry.file].readline())
        finally:
            for file in opened.values():
                file.close()

    def _keep(self, record: Mapping[str, Any], file: Path, offset: int) -> None:
        """Takes a record for its photo's, unless a later command has made one."""
        entry = Entry(file, offset, record["name"], record["stamp"], "reason" in record, record["command"])
        earlier = self._entries.get(record["file_name"])
        if earlier is None or earlier.command <= entry.command:
            self._entries[record["file_name"]] = entry

    def _opened(self) -> BinaryIO:
        """This process's own file, at its end, which is that of its last whole line."""
        content_end = 0
        if self._own.exists():
            with self._own.open("rb") as lines:
                if _parsed(lines.readline()) is not None:  # else it is none, and begun anew
                    content_end = lines.tell()
                    content_end += sum(len(line) for line in lines if line.endswith(b"\n"))
            os.truncate(self._own, content_end)
        file = self._own.open("ab")
        if not content_end:
            file.write(json.dumps(self._made_with, ensure_ascii=False).encode() + b"\n")
            file.flush()
        return file

    def _compare(self, header: dict[str, Any]) -> None:
        for name, value in self._made_with.items():
            if header.get(name) != value:
                raise ConfigError(
                    f"{self.folder.parent}: holds results with another {name} ({_short(header.get(name))}, now "
                    f"{_short(value)}), and they are not mixed; {WAY_OUT}"
                )


def stamped(photos: Sequence[InputPhoto]) -> list[InputPhoto]:
    """Photos, those behind URIs with stamps: of which a list said nothing, such as a web server's, they are asked for.

    Raises:
        StorageError: a server cannot be asked.
    """
    unknown = [photo for photo in photos if is_uri(photo.path) and not photo.stamp and not photo.fault]
    stamps = dict(together(lambda photo: (photo, _asked_stamp(photo.path)), unknown))
    return [replace(photo, stamp=stamps.get(photo, photo.stamp)) for photo in photos]


def _asked_stamp(uri: str) -> str:
    try:
        known = stat(uri)
    except StorageError as error:
        if not fault_of_file(error, uri):
            raise
        return ""  # who reads it tells why
    return known.stamp if known else ""


def photo_stamp(photo: InputPhoto) -> str:
    """Differs, as a rule, when a photo's file has changed; "" where there is none."""
    if isinstance(photo.path, str):
        return photo.stamp
    try:
        status = photo.path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A whole line's JSON object; None of one that was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
