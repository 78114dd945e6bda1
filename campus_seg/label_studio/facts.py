"""What is to be known of many photos: found out in parallel, and taken from the cache where it is known."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tqdm import tqdm

from campus_seg.errors import ExportError
from campus_seg.label_studio.cache import PhotoCache
from campus_seg.label_studio.index import PhotoIndex
from campus_seg.photos import PhotoError, photo_size

CHUNK = 64  # photos that a thread takes at once
MAX_THREADS = 8  # they wait for a disk; more of them wait for each other
REMOTE_CHUNK, REMOTE_THREADS = 4, 16  # of photos that a server has to send
BLOCK = 2**20  # bytes that are hashed at once
SMALL = 64 * 1024  # bytes of a file whose end is read for its header's sake anyhow, so that its hash costs little


class Header(NamedTuple):
    """A photo's upright size in pixels, its EXIF orientation (1-8), and the size of its file in bytes."""

    width: int
    height: int
    orientation: int
    bytes: int


class Unreadable(NamedTuple):
    """A photo that cannot be read, and why."""

    reason: str


class PhotoFacts:
    """What is to be known of the photos of an index, by their names."""

    def __init__(self, index: PhotoIndex, cache: PhotoCache | None = None):
        self._index = index
        self._cache = cache or PhotoCache()
        self._hashes: dict[str, str] = {}

    def headers(self, names: Iterable[str]) -> dict[str, Header | Unreadable]:
        """Sizes and orientations, without decoding the photos."""
        result: dict[str, Header | Unreadable] = {}
        for name, value in self.find("header", names, self._header).items():
            if isinstance(value, str):
                *numbers, sha256 = value.split(",")
                result[name] = Header(*map(int, numbers))
                if sha256:
                    self._hashes[name] = sha256
            else:
                result[name] = value
        return result

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 in hex of the photos' bytes: their identity, since names change from export to export.

        Raises:
            ExportError: a photo is gone.
        """
        names = list(names)
        for name, value in self.find("sha256", [n for n in names if n not in self._hashes], self._hash).items():
            if isinstance(value, Unreadable):
                raise ExportError(f"{name}: cannot be read any more ({value.reason}); start again")
            self._hashes[name] = value
        return {name: self._hashes[name] for name in names}

    def find(
        self, kind: str, names: Iterable[str], find_out: Callable[[str], str | Unreadable]
    ) -> dict[str, str | Unreadable]:
        """Name -> value of each photo; what `find_out` says of a name is kept for the next time.

        Args:
            kind: of value, such as "header"; another meaning wants another name.
            names: of photos.
            find_out: called from several threads.
        """
        stamps = {name: self._stamp(name) for name in names}
        known = self._cache.get(kind, dict(stamps.values()))
        result: dict[str, str | Unreadable] = {name: known[p] for name, (p, _) in stamps.items() if p in known}
        missing = [name for name in stamps if name not in result]
        size, most = (REMOTE_CHUNK, REMOTE_THREADS) if self._index.is_remote else (CHUNK, MAX_THREADS)
        chunks = [missing[i : i + size] for i in range(0, len(missing), size)]
        threads = min(most if self._index.is_remote else 2 * (os.cpu_count() or 1), most, len(chunks))
        with (
            ThreadPoolExecutor(threads or 1) as pool,
            tqdm(total=len(missing), desc=f"photos, {kind}", unit="photo", disable=None if missing else True) as bar,
        ):
            for chunk, values in zip(chunks, pool.map(lambda c: [find_out(n) for n in c], chunks), strict=True):
                result.update(zip(chunk, values, strict=True))
                bar.update(len(chunk))
        fresh = ((*stamps[name], result[name]) for name in missing)
        self._cache.put(kind, [row for row in fresh if isinstance(row[2], str)])
        return result

    def _stamp(self, name: str) -> tuple[str, str]:
        try:
            return self._index.stamp(name)
        except OSError:  # gone, as whoever reads it will say
            return name, ""

    def _header(self, name: str) -> str | Unreadable:
        try:
            size = self._index.size(name)
            with self._index.open(name) as stream:
                if size > SMALL:
                    return ",".join(map(str, (*photo_size(stream), size, "")))
                content = stream.read()
            return ",".join(map(str, (*photo_size(io.BytesIO(content)), size, hashlib.sha256(content).hexdigest())))
        except (OSError, PhotoError) as error:
            return Unreadable(str(error))

    def _hash(self, name: str) -> str | Unreadable:
        digest = hashlib.sha256()
        try:
            with self._index.open(name) as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
        except OSError as error:
            return Unreadable(str(error))
        return digest.hexdigest()
