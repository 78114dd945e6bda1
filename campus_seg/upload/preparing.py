"""What is sent of a photo: the file as it is, or without personal data, or scaled down."""

import contextlib
import hashlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import PIL
import pillow_heif
from PIL import Image

from campus_seg.label_studio.cache import PhotoCache
from campus_seg.label_studio.files import file_stamp
from campus_seg.photos import PhotoError, photo_size

VERSION = 2  # of what `Changes` makes of a photo: another one where that becomes another, and all is sent anew

LARGEST = 178_956_970  # pixels that Pillow reads where nothing else is said
SCALED = 500_000_000  # pixels of a photo that can be scaled down, of which each thread holds one
SUCH_AS = 8000  # pixels of the longer side


@contextlib.contextmanager
def large_photos() -> Iterator[None]:
    """Lets Pillow read photos as large as can be scaled down in the block, and keeps what it warns of to itself."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = SCALED // 2  # it refuses twice as many
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@dataclass(frozen=True)
class Changes:
    """What is done to photos before they are sent.

    Attributes:
        strip: location, names and serial numbers are taken out.
        max_size: pixels of the longer side, 0 = as it is.
    """

    strip: bool = False
    max_size: int = 0

    def kind(self) -> str:
        """Differs where another file may be made of the same photo."""
        libraries = f" {PIL.__version__} {pillow_heif.__version__}" if self.max_size else ""
        return f"sent strip={self.strip} max_size={self.max_size} {VERSION}{libraries}"

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
        width, height, _ = photo_size(io.BytesIO(content))
        if width * height > LARGEST:
            raise PhotoError(
                f"too large: {width} x {height} pixels, more than training and prediction read; give --max-size, "
                f"such as {SUCH_AS}"
            )
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
        trusts: hashes of earlier commands are taken, and what has them need not be made anew.
    """

    def __init__(self, changes: Changes, scratch: Path, cache: PhotoCache | None = None, *, trusts: bool = True):
        self._changes, self._scratch, self._cache, self._trusts = changes, scratch, cache or PhotoCache(), trusts
        self._kind = changes.kind()

    def __call__(self, path: Path) -> Prepared:
        """What is to be sent of a photo, of which no more than size and hash may be known.

        Raises:
            PhotoError: see `Changes.apply`.
        """
        place, stamp = self._key(path)
        known = self._cache.get(self._kind, {place: stamp}).get(place) if self._trusts else None
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
        except MemoryError:
            raise PhotoError("too large for this machine's memory") from None
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
