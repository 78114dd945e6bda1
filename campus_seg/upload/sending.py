"""Photos sent to a bucket: many at a time, only what is not there yet, each found to have arrived by its hash."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from campus_seg.atomic_writes import enough_room
from campus_seg.daemons import Daemons
from campus_seg.errors import GOES_ON, StorageError
from campus_seg.inference.inputs import InputPhoto
from campus_seg.label_studio.cache import PhotoCache
from campus_seg.photos import PhotoError
from campus_seg.storage import IN_A_ROW, stopping
from campus_seg.storage_objects import THREADS, Stat, address, check_writable, listing, read_md5, remove, send
from campus_seg.upload.ahead import ahead
from campus_seg.upload.preparing import Changes, Prepared, Preparer, large_photos

MEMORY = "md5 of an object"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
TAKEN = (
    "another photo is there by this name, or this one as sent with other options (--strip-gps, --max-size); rename it, "
    "give another folder, or --overwrite"
)


@dataclass
class Uploaded:
    """What became of photos.

    Attributes:
        places: file name -> URI of each photo that is there now; photos of the same bytes have the same.
        sent: how many were sent.
        bytes: how many bytes these have.
        failures: file name -> why it is not there.
    """

    places: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    bytes: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class _Looked(NamedTuple):
    """A photo, what is to be sent of it or why nothing can be, and whether that lies at its place already."""

    photo: InputPhoto
    prepared: Prepared | PhotoError | StorageError
    there: bool = False


def upload_photos(
    photos: Sequence[InputPhoto],
    uri: str,
    changes: Changes,
    *,
    overwrite: bool = False,
    cache: PhotoCache | None = None,
) -> Uploaded:
    """Sends photos below a URI, each by its file name.

    What is there already, by its hash and whatever it is called there, is not sent again. None is ever removed.

    Args:
        photos: of this machine.
        uri: of a folder in a bucket, or of a server's.
        changes: what is done to them before.
        overwrite: a photo takes the place of another one of its name; else that is its failure.
        cache: where hashes are kept for the next command.

    Raises:
        StorageError: the place cannot be used, or not any more; what was sent so far is there.
        OutputError: this machine's disk is full.
    """
    stopping.clear()  # of an earlier call
    check_writable(uri)
    cache = cache or PhotoCache()
    # Where the command is stopped, threads may be writing there still.
    scratch_folder = tempfile.TemporaryDirectory(prefix="campus_seg-", ignore_cleanup_errors=True)
    with large_photos(), scratch_folder as scratch, enough_room(scratch, GOES_ON):
        prepare = Preparer(changes, Path(scratch), cache, trusts=not overwrite)
        try:
            return _Upload(photos, uri, prepare, cache, overwrite).run(photos)
        except KeyboardInterrupt:
            stopping.set()  # threads that wait for the server try nothing anew
            raise


class _Upload:
    """One command: what it found there, and what has become of photos so far."""

    def __init__(self, photos: Sequence[InputPhoto], uri: str, prepare: Preparer, cache: PhotoCache, overwrite: bool):
        self._uri, self._prepare, self._cache, self._overwrite = uri, prepare, cache, overwrite
        self._found = {address(uri, name): stat for name, stat in listing(uri).items()}
        self._hashes = cache.get(MEMORY, {place: stat.stamp for place, stat in self._found.items()})
        mine = {address(uri, photo.file_name) for photo in photos} if overwrite else set()
        # Where each content lies; what may be overwritten on the way is asked for when its turn comes.
        self._owners = {
            self._hashes.get(place) or stat.md5: place for place, stat in self._found.items() if place not in mine
        }
        self._result = Uploaded()
        self._refused = 0  # by the server, one after the other

    def run(self, photos: Sequence[InputPhoto]) -> Uploaded:
        """Sends what is not there: photos are prepared ahead, chosen in their order, and sent in parallel."""
        cores = os.cpu_count() or 1
        lost = set()
        with (
            Daemons(cores) as preparing,
            Daemons(THREADS) as sending,
            tqdm(total=len(photos), desc="photos", unit="photo", disable=None) as bar,
        ):
            looked = ahead(preparing, self._look, photos, 2 * cores)
            for photo, size in ahead(sending, self._send, self._chosen(looked, bar), 2 * THREADS):
                self._count(size)
                if isinstance(size, Exception):
                    lost.add(address(self._uri, photo.file_name))
                    self._result.failures[photo.file_name] = str(size)
                else:
                    self._result.sent += 1
                    self._result.bytes += size
                bar.update()
        for name in [name for name, place in self._result.places.items() if place in lost]:
            place = self._result.places.pop(name)
            self._result.failures.setdefault(name, f"the same photo as {place}, which could not be sent")
        return self._result

    def _count(self, result: object) -> None:
        """Ends the command where several photos in a row fail by the server, which more of them would as well."""
        if isinstance(result, PhotoError):  # which says nothing of the server
            return
        self._refused = self._refused + 1 if isinstance(result, StorageError) else 0
        if self._refused == IN_A_ROW:
            raise result

    def _look(self, photo: InputPhoto) -> _Looked:
        """Prepares a photo, and looks whether it lies at its place."""
        if photo.fault:
            return _Looked(photo, PhotoError(photo.fault))
        if CONTROL.search(photo.file_name):  # which a URI has no place for
            return _Looked(photo, PhotoError("its name has a control character; rename it"))
        place = address(self._uri, photo.file_name)
        stat = self._found.get(place)
        try:
            prepared = self._prepare(photo.path)
            there = stat is not None and self._holds(place, stat, prepared, self._hashes.get(place, ""))
        except (PhotoError, StorageError) as error:
            return _Looked(photo, error)
        return _Looked(photo, prepared, there)

    def _chosen(self, looked: Iterable[_Looked], bar: tqdm) -> Iterator[tuple[InputPhoto, Prepared]]:
        """The photos that have to be sent; of the others it is noted what became of them."""
        for photo, prepared, there in looked:
            name, place = photo.file_name, address(self._uri, photo.file_name)
            if isinstance(prepared, Exception):
                self._count(prepared)
                self._result.failures[name] = str(prepared)
                bar.update()
                continue
            owner = place if there else self._owners.get(prepared.md5)
            if owner is None and place in self._found and not self._overwrite:
                self._result.failures[name] = TAKEN
            else:
                self._owners[prepared.md5] = self._result.places[name] = owner or place
                if owner is None:
                    yield photo, prepared
                    continue
            self._prepare.drop(prepared)
            bar.update()

    def _send(self, chosen: tuple[InputPhoto, Prepared]) -> tuple[InputPhoto, int | PhotoError | StorageError]:
        """Sends one photo, and makes sure that it has arrived; says how many bytes it has."""
        photo, prepared = chosen
        place = address(self._uri, photo.file_name)
        try:
            if prepared.path is None:
                prepared = self._prepare.make(photo.path)
            # Another command may have sent a photo of this name since the list was made.
            if not self._holds(place, send(prepared.path, place, new=not self._overwrite), prepared, ""):
                return photo, PhotoError(f"it was changed while it was sent; {_given_up(place)}")
        except StorageError as error:
            return photo, PhotoError(TAKEN) if error.exists else error
        except PhotoError as error:
            return photo, error
        finally:
            self._prepare.drop(prepared)
        return photo, prepared.size

    def _holds(self, place: str, stat: Stat, prepared: Prepared, known: str) -> bool:
        """Whether what lies at a place is a photo, by its hash; it is read where no hash is known.

        Args:
            place: a URI.
            stat: what the server says of it.
            prepared: the photo.
            known: the hash of what lies there, by an earlier command; "" = none.
        """
        if stat.size not in (None, prepared.size):
            return False
        if not known:
            # What looks like a hash need not be one of the content, as with some encryptions.
            known = stat.md5 if stat.md5 == prepared.md5 else read_md5(place, stat)
            self._cache.put(MEMORY, [(place, stat.stamp, known)])
        return known == prepared.md5


def _given_up(place: str) -> str:
    """Removes what arrived otherwise than it is to be, where that may be; says what sends it again."""
    try:
        remove(place)
    except StorageError:  # of a key that may only write
        return "the same command with --overwrite sends it again"
    return "the same command sends it again"
