"""A project's labels and photos, brought to a folder that is an export."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import msgspec
from tqdm import tqdm

from campus_seg.atomic_writes import check_output_folder, enough_room, remove_leftovers, replacing, write_json
from campus_seg.errors import GOES_ON, ConfigError, LabelStudioError
from campus_seg.label_studio.answers import without_password
from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import AT_ONCE
from campus_seg.label_studio.photo_names import PHOTOS, photo_names
from campus_seg.label_studio.raw import NO_JSON
from campus_seg.photos import PhotoError

LABELS = "project.json"
FAILURES = "failures.json"
LOCK = ".lock"
ORIGIN = ".label_studio"  # JSON, but not by its name, by which the import looks for labels
# What a disk says of one file's name; as a photo's address may be that of another's folder, or longer than any path.
OF_ONE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)
UPLOADS = "/data/upload/"  # what lies there never changes: every upload has a path of its own


class _Task(msgspec.Struct):
    id: int
    data: dict[str, Any]
    annotations: list[msgspec.Raw]


class _Origin(msgspec.Struct):
    """Whose labels and photos a folder holds."""

    url: str
    project: int


@dataclass
class Pulled:
    """What became of a project.

    Attributes:
        tasks: how many there are.
        labelled: how many of them have annotations.
        fetched: photos that were new or had changed.
        kept: photos that were there already.
        failures: address, but for a password in it, -> reason, of photos that could not be had.
    """

    tasks: int
    labelled: int
    fetched: int = 0
    kept: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def pull_project(client: Client, folder: Path) -> Pulled:
    """Writes `project.json`, Label Studio's own JSON of all tasks, and the photos below `images/`.

    The labels come last, so that at any time the folder holds the export as it was, or the new one. Photos that are
    there already and have not changed are not fetched again, and none is ever removed.

    Args:
        client: the project.
        folder: where to; made where it is missing.

    Raises:
        LabelStudioError: the server cannot be used; what was fetched so far is kept.
        ConfigError: the folder holds anything but an earlier pull of the project, or cannot be written to, or another
            command is writing there.
        OutputError: the disk is full.
    """
    check_output_folder(folder)
    origin = _Origin(client.connection.url, client.project)
    _check_origin(folder, origin)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            return _pull(client, folder, origin)
    except filelock.Timeout:
        raise ConfigError(f"{folder}: another command is writing here; wait for it, or give another folder") from None


def _check_origin(folder: Path, origin: _Origin) -> None:
    """Makes sure that nothing in a folder is of another project, or anything else."""
    file = folder / ORIGIN
    try:
        there = msgspec.json.decode(file.read_bytes(), type=_Origin)
    except FileNotFoundError:
        if folder.exists() and any(path.name != LOCK for path in folder.iterdir()):
            raise ConfigError(f"{folder}: holds files, and not of an earlier pull; give another --output") from None
    except (OSError, *NO_JSON):
        raise ConfigError(f"{file}: says no longer which project lies here; give another --output") from None
    else:
        if there != origin:
            raise ConfigError(
                f"{folder}: holds project {there.project} of {there.url}; give another --output (or, where that is "
                f"this server under another address, put the new one into {file})"
            )


def _pull(client: Client, folder: Path, origin: _Origin) -> Pulled:
    with enough_room(folder, GOES_ON):
        write_json(folder / ORIGIN, msgspec.to_builtins(origin))
    content = client.export()
    try:
        tasks = msgspec.json.decode(content, type=list[_Task])
    except NO_JSON as error:
        raise LabelStudioError(f"{client.name}: its export is no list of tasks ({error}); try again") from None
    shows: dict[str, int] = {}  # address -> a task that shows it
    for task in tasks:
        for address in client.interface.addresses(task.data):
            if not address.startswith("data:"):  # the photo itself, which the import does not take, and says so
                shows.setdefault(address, task.id)
    names, nameless = photo_names(shows)
    pulled = Pulled(len(tasks), sum(bool(task.annotations) for task in tasks))
    pulled.failures = {without_password(address): reason for address, reason in nameless.items()}
    with enough_room(folder, GOES_ON):
        remove_leftovers(folder)
        remove_leftovers(folder / PHOTOS, below=True)
        fetch = _Fetcher(client, folder)
        photos = [(address, shows[address], name) for address, name in names.items()]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                results = zip(names, pool.map(fetch, photos), strict=True)
                for address, result in tqdm(results, "photos", len(photos), unit="photo", disable=None):
                    if isinstance(result, PhotoError):
                        pulled.failures[without_password(address)] = str(result)
                    pulled.fetched += result is True
                    pulled.kept += result is False
            except BaseException:
                fetch.stopped.set()  # the pool waits for what has begun, and begins nothing more
                raise
        failures = [{"file_name": address, "reason": reason} for address, reason in pulled.failures.items()]
        write_json(folder / FAILURES, failures)
        with replacing(folder / LABELS) as temporary:
            temporary.write_bytes(content)
    return pulled


class _Fetcher:
    """Fetches one photo into its file: True where it had to, False where it is there, or why it cannot be had."""

    def __init__(self, client: Client, folder: Path):
        self._client, self._folder = client, folder
        self.stopped = threading.Event()

    def __call__(self, photo: tuple[str, int, str]) -> bool | PhotoError | None:
        if self.stopped.is_set():
            return None
        try:
            return self._fetched(*photo)
        except PhotoError as error:
            return error
        except OSError as error:
            if error.errno not in OF_ONE:
                raise
            return PhotoError(f"its path cannot be a file's here ({error.strerror})")

    def _fetched(self, address: str, task: int, name: str) -> bool:
        path = self._folder / name
        state = path.stat() if path.is_file() else None
        if state and address.startswith(UPLOADS):
            return False
        known = {"modified": int(state.st_mtime), "size": state.st_size} if state else {}
        fetched = self._client.photo(address, task, **known)
        if fetched is None:
            return False
        with replacing(path) as temporary:
            temporary.write_bytes(fetched.content)
            if fetched.modified is not None:  # which the next command asks for a newer one with
                os.utime(temporary, (fetched.modified, fetched.modified))
        return True
