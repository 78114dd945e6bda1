"""A file as a form that is sent piece by piece: each piece has a request's time, and not all of them together."""

import io
import time

from urllib3 import encode_multipart_formdata

from campus_seg.errors import LabelStudioError

SENDING = 120.0  # seconds at most for the whole of it: 20 MB over 1.4 Mbit/s


class SlowLineError(LabelStudioError):
    """What was not sent in time; the server has taken nothing of it."""


class Multipart(io.BytesIO):
    """A form with one file, as the body of one request.

    Args:
        field: of the form.
        file: name, content and type of the file.

    Attributes:
        kind: its Content-Type.

    Raises:
        SlowLineError: of `read`, once it has taken too long.
    """

    def __init__(self, field: str, file: tuple[str, bytes, str]):
        body, self.kind = encode_multipart_formdata({field: file})
        super().__init__(body)
        self._until: float | None = None

    def read(self, size: int | None = -1) -> bytes:
        now = time.monotonic()
        self._until = self._until or now + SENDING
        if now > self._until:
            sent = f"{self.tell() / 1e6:.1f} of {self.getbuffer().nbytes / 1e6:.1f} MB"
            raise SlowLineError(f"the line to Label Studio is slow: {sent} of a file were sent in {SENDING:g} s")
        return super().read(size)
