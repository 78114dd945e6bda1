"""What a request of the page brings and asks for, and the waiting for its answer."""

import asyncio
import math
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from campus_seg.photos import PhotoError
from campus_seg.web.answers import RefusedError, SlowLineError, busy
from campus_seg.web.limits import KINDS, LEAST
from campus_seg.web.turns import BusyError

DRAIN_SECONDS = 10.0  # in which the rest of a body has to be here that nobody waits for
LEFT = "Whoever asked has left."


class Body:
    """What a request brings.

    Attributes:
        whole: nothing more is to come.
    """

    def __init__(self, request: Request):
        self._request = request
        self.whole = False

    async def piece(self) -> bytes:
        """The next part of it.

        Raises:
            RefusedError: whoever sent it has left.
        """
        message = await self._request.receive()
        self.whole = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise RefusedError(400, LEFT)
        return message.get("body", b"")

    async def drain(self, most: int) -> None:
        """Reads what still comes, up to `most` bytes: only then do browsers show why it was refused.

        Raises:
            RefusedError: whoever sent it has left.
            SlowLineError: it takes too long.
        """
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.whole and most > 0:
                    most -= len(await self.piece())
        except TimeoutError:
            raise SlowLineError from None


async def in_turn(request: Request, work: Awaitable[Any]) -> Any:
    """Waits for some work, as long as whoever asks for it does.

    Raises:
        RefusedError: the server is busy, the photo cannot be used, or nobody waits for the answer.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RefusedError(400, LEFT)
        return await working
    except BusyError as error:
        raise busy(str(error)) from None
    except PhotoError as error:
        raise RefusedError(400, str(error)) from None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def read_threshold(text: str) -> float | None:
    """A least score of an address; None for what is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and LEAST <= value <= 1 else None


def read_classes(text: str | None, known: int) -> tuple[int, ...] | None:
    """The class ids of an address, such as "0,2", without doubles; all where none is said, and "" is none at all.

    Returns:
        None for what are none.
    """
    if text is None:
        return tuple(range(known))
    parts = text.split(",") if text else []
    if len(parts) > known or not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        return None
    classes = tuple(sorted({int(part) for part in parts}))
    return classes if all(number < known for number in classes) else None


def disposition(name: str, kind: str) -> str:
    """The header that has a browser save a file under a photo's name (RFC 6266 and 5987)."""
    stem, ending = name.rpartition(".")[0] or name, KINDS[kind]
    saved = f"{stem}.{kind}{ending}"
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in " ._-()") else "_" for letter in saved
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(saved, safe='')}"
