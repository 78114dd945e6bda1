"""What is sent of a photo: the file as it is, or without personal data, or scaled down."""

import hashlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from campus_seg.label_studio.cache import PhotoCache
from campus_seg.label_studio.files import file_stamp
from campus_seg.photos import PhotoError, photo_size


@dataclass(frozen=True)
class Changes:
    """What is done to photos before they are sent.

    Attributes:
        strip: location, names and serial numbers are taken out.
        max_size: pixels of the longer side, 0 = as it is.
    """

    strip: bool = False
    max_size: int = 0

    def apply(self, content: bytes) -> bytes:
        """A photo's file as it is sent.

        Raises:
            PhotoError: it cannot be read, or not be changed so.
        """
        from campus_seg.upload.privacy import strip_personal
        from campus_seg.upload.scaling import scale_down

        if self.max_size:
            content = scale_down(content, self.max_size)
        if self.strip:
            content = strip_personal(content)
        photo_size(io.BytesIO(content))
        return content


class Prepared(NamedTuple):
    """What is to be sent of a photo.

    Attributes:
        size: in bytes.
        md5: of these, in hex: the hash that S3 and others tell of what they hold.
        path: of a file with them; None where they are known from an earlier command and have not been made this time.
    """

    size: int
    md5: str
    path: Path | None


class Preparer:
    """Makes what is sent of photos, and remembers the hashes for the next time; several threads may.

    Args:
        changes: what is done to them.
        scratch: a folder for files that differ from the photos'.
        cache: where hashes are kept.
    """

    def __init__(self, changes: Changes, scratch: Path, cache: PhotoCache | None = None):
        self._changes, self._scratch, self._cache = changes, scratch, cache or PhotoCache()
        self._kind = f"sent strip={changes.strip} max_size={changes.max_size}"

    def __call__(self, path: Path) -> Prepared:
        """What is to be sent of a photo, of which no more than size and hash may be known.

        Raises:
            PhotoError: see `Changes.apply`.
        """
        place, stamp = self._key(path)
        known = self._cache.get(self._kind, {place: stamp}).get(place)
        if known is None:
            return self.make(path)
        size, md5 = known.split()
        return Prepared(int(size), md5, None)

    def make(self, path: Path) -> Prepared:
        """What is to be sent of a photo, as a file.

        Raises:
            PhotoError: see `Changes.apply`.
        """
        place, stamp = self._key(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PhotoError(f"cannot be read: {error.strerror}") from None
        if not content:
            raise PhotoError("the file is empty")
        try:
            changed = self._changes.apply(content)
        except PhotoError:
            raise
        except Exception as error:  # whatever a damaged photo makes of a library, the others are sent
            raise PhotoError(
                f"damaged, or of a kind that is not known here ({type(error).__name__}: {error})"
            ) from None
        md5 = hashlib.md5(changed, usedforsecurity=False).hexdigest()
        target = path
        if changed != content:
            # A name of its own, since another photo may come to the same bytes; the ending says what type it is.
            descriptor, name = tempfile.mkstemp(path.suffix.lower(), dir=self._scratch)
            target = Path(name)
            with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
                file.write(changed)
        self._cache.put(self._kind, [(place, stamp, f"{len(changed)} {md5}")])
        return Prepared(len(changed), md5, target)

    def drop(self, prepared: Prepared) -> None:
        """Removes the file that was made, where one was."""
        if prepared.path and prepared.path.parent == self._scratch:
            prepared.path.unlink(missing_ok=True)

    def _key(self, path: Path) -> tuple[str, str]:
        try:
            return str(path.absolute()), file_stamp(path)
        except OSError as error:
            raise PhotoError(f"cannot be read: {error.strerror}") from None
