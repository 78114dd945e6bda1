"""A project's labels and photos, brought to a folder that is an export."""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import msgspec
from tqdm import tqdm

from campus_seg.errors import GOES_ON, ConfigError, LabelStudioError
from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import AT_ONCE
from campus_seg.label_studio.index import photo_path
from campus_seg.photos import PhotoError
from campus_seg.storage import check_output_folder, enough_room, remove_leftovers, replacing, write_json

LABELS = "project.json"
PHOTOS = "images"
FAILURES = "failures.json"
LOCK = ".lock"
LONGEST = 255  # bytes of a name that file systems take
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]|^\.+|[. ]+$')  # what some system does not take in a name
UPLOADS = "/data/upload/"  # what lies there never changes: every upload has a path of its own


class _Task(msgspec.Struct):
    id: int
    data: dict[str, Any]
    annotations: list[msgspec.Raw]


@dataclass
class Pulled:
    """What became of a project.

    Attributes:
        tasks: how many there are.
        labelled: how many of them have annotations.
        fetched: photos that were new or had changed.
        kept: photos that were there already.
        failures: address -> reason, of photos that could not be had.
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
        ConfigError: the folder cannot be written to, or another command is writing there.
        OutputError: the disk is full.
    """
    check_output_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            return _pull(client, folder)
    except filelock.Timeout:
        raise ConfigError(f"{folder}: another command is writing here; wait for it, or give another folder") from None


def _pull(client: Client, folder: Path) -> Pulled:
    content = client.export()
    try:
        tasks = msgspec.json.decode(content, type=list[_Task])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LabelStudioError(f"{client.name}: its export is no list of tasks ({error}); try again") from None
    photos = _photo_files(client, tasks)
    pulled = Pulled(len(tasks), sum(bool(task.annotations) for task in tasks))
    with enough_room(folder, GOES_ON):
        remove_leftovers(folder)
        remove_leftovers(folder / PHOTOS, below=True)
        fetch = _Fetcher(client, folder)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                results = zip(photos.items(), pool.map(fetch, photos.items()), strict=True)
                for (address, _), result in tqdm(results, "photos", len(photos), unit="photo", disable=None):
                    if isinstance(result, PhotoError):
                        pulled.failures[address] = str(result)
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

    def __call__(self, photo: tuple[str, tuple[int, str]]) -> bool | PhotoError | None:
        address, (task, name) = photo
        path = self._folder / name
        if self.stopped.is_set():
            return None
        if max(len(part.encode()) for part in Path(name).parts) > LONGEST:
            return PhotoError(f"its name is too long for a file, above {LONGEST} bytes")
        state = path.stat() if path.is_file() else None
        if state and address.startswith(UPLOADS):
            return False
        known = {"modified": int(state.st_mtime), "size": state.st_size} if state else {}
        try:
            fetched = self._client.photo(address, task, **known)
        except PhotoError as error:
            return error
        if fetched is None:
            return False
        with replacing(path) as temporary:
            temporary.write_bytes(fetched.content)
            if fetched.modified is not None:  # which the next command asks for a newer one with
                os.utime(temporary, (fetched.modified, fetched.modified))
        return True


def _photo_files(client: Client, tasks: Sequence[_Task]) -> dict[str, tuple[int, str]]:
    """Address -> a task that shows it, and its file below the folder, by which the import will know it.

    Raises:
        LabelStudioError: two photos would be told apart by nothing.
    """
    photos: dict[str, tuple[int, str]] = {}
    owners: dict[str, str] = {}
    for task in tasks:
        for address in client.interface.addresses(task.data):
            if address.startswith("data:"):  # the photo itself, which the import does not take, and says so
                continue
            name = "/".join([PHOTOS, *_safe_parts(photo_path(address).removeprefix("/data/"))])
            other = owners.setdefault(name, address)
            if other != address:
                raise LabelStudioError(
                    f"{client.name}: {other[:100]} and {address[:100]} (task {task.id}) have one path, by which an "
                    "export tells photos apart; rename one of them"
                )
            photos.setdefault(address, (task.id, name))
    return photos


def _safe_parts(path: str) -> Iterator[str]:
    """The parts of a path, with what some system does not take in a name percent-encoded, which the import decodes."""
    for part in path.split("/"):
        if part:
            yield UNSAFE.sub(lambda found: "".join(f"%{ord(letter):02X}" for letter in found[0]), part)
