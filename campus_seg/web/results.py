"""What was found in the photos of the last half hour, in memory and nowhere else."""

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from detectron2.structures import Instances

from campus_seg.web.limits import KEEP, SWEEP
from campus_seg.web.received import ReceivedPhoto

MAX_BYTES = 400_000_000


@dataclass(frozen=True)
class ShownObject:
    """An object of a photo, for a table.

    Attributes:
        class_id: index into the model's class names, from 0.
        score: confidence, 0 … 1.
        area: pixels of its mask.
    """

    class_id: int
    score: float
    area: int


@dataclass(frozen=True, eq=False)
class Result:
    """What was found in a photo.

    Attributes:
        token: what the browser calls it, which nobody can guess.
        photo: as it was received.
        width: in pixels, upright.
        height: likewise.
        instances: as a `Predictor` gives them, masks of 28 x 28.
        objects: those that have at least one pixel, by falling score.
        screen: the upright photo as a JPEG for the screen.
        arrived: when the photo did, by time.monotonic().
    """

    token: str
    photo: ReceivedPhoto = field(repr=False)
    width: int
    height: int
    instances: Instances = field(repr=False)
    objects: tuple[ShownObject, ...] = field(repr=False)
    screen: bytes = field(repr=False)
    arrived: float

    @property
    def name(self) -> str:
        """Of the photo's file, clean."""
        return self.photo.name

    @property
    def content(self) -> bytes:
        """Of the photo's file."""
        return self.photo.content

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        tensors = (getattr(value, "tensor", value) for value in self.instances.get_fields().values())
        held = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
        return len(self.content) + len(self.screen) + held + 200 * len(self.objects) + 2000


class Results:
    """The results that can still be asked for. Several threads may use it.

    Args:
        max_bytes: that all take together; those that arrived first make room. The last one stays, whatever it takes.
            What is waiting, being drawn or being sent comes on top.
        keep: seconds, after which a result is gone at the latest, if `sweep` is called every `SWEEP` seconds (or every
            thirtieth of `keep`, where that is less).
    """

    def __init__(self, max_bytes: int = MAX_BYTES, keep: float = KEEP):
        self._max_bytes = max_bytes
        self._age = keep - min(SWEEP, keep / 30)  # a sweep later it is as old as was said
        self._results: dict[str, Result] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(
        self,
        photo: ReceivedPhoto,
        width: int,
        height: int,
        instances: Instances,
        objects: Sequence[ShownObject],
        *,
        screen: bytes = b"",
        arrived: float | None = None,
    ) -> Result:
        """Keeps a result under a new token. The arguments are its attributes; it arrived now unless that is given."""
        arrived = time.monotonic() if arrived is None else arrived
        token = secrets.token_urlsafe(16)
        result = Result(token, photo, width, height, instances, tuple(objects), screen, arrived)
        with self._lock:
            self._results[token], self._sizes[token] = result, result.size
            others = sorted((other for other in self._results.values() if other is not result), key=lambda r: r.arrived)
            for oldest in others:
                if self._bytes() <= self._max_bytes:
                    break
                self._remove(oldest.token)
        return result

    def get(self, token: str) -> Result | None:
        """The result of that token; None where there is none, or none any more."""
        with self._lock:
            result = self._results.get(token)
            if result is not None and self._is_old(result):
                self._remove(token)
                return None
            return result

    def sweep(self) -> int:
        """Forgets the results that are too old; how many that were."""
        with self._lock:
            old = [token for token, result in self._results.items() if self._is_old(result)]
            for token in old:
                self._remove(token)
            return len(old)

    def _bytes(self) -> int:
        return sum(self._sizes.values())

    def _is_old(self, result: Result) -> bool:
        return time.monotonic() - result.arrived >= self._age

    def _remove(self, token: str) -> None:
        del self._results[token], self._sizes[token]
