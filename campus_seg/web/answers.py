"""Answers of the page's server: plain words, never a traceback or a path, and no slower than a line may be."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Scope = MutableMapping[str, Any]

PIECE = 2**16  # bytes that are sent at once
PIECE_SECONDS = 60.0  # for each of them
ANSWER_SECONDS = 600.0  # for all of them: the larger an answer, the faster it has to be taken
BUSY_SECONDS = "5"  # after which a browser may ask again

NOTHING = "There is nothing here. Open the page's own address."
GONE_WRONG = "Something went wrong on the server, which its log tells about. Please try again."
STOPPING = "The server is being stopped. Please try again later."
BUSY = "The server is busy just now. Please try again in a few seconds."
WORDS = {404: NOTHING, 405: "That cannot be done here.", 500: GONE_WRONG, 503: BUSY}
ODD = "This request is none of the page's. Please load the page again."

# What every answer brings. Gradio's page needs its inline scripts and evaluates those of events; nothing may come from
# another host.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY = {
    b"content-security-policy": CONTENT_POLICY.encode(),
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), microphone=(), geolocation=()",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
UNWANTED = (b"access-control-", b"server")  # headers' beginnings that gradio sets and that nobody is to have


class RefusedError(Exception):
    """A request that is not answered as it wishes.

    Attributes:
        status: HTTP's.
        headers: more of the answer's.
    """

    def __init__(self, status: int, words: str, headers: dict[str, str] | None = None):
        super().__init__(words)
        self.status = status
        self.headers = headers or {}


class SlowLineError(Exception):
    """Whoever asks sends or takes too few bytes for the line to be kept."""


def busy(words: str = BUSY) -> RefusedError:
    """The answer to who may come back in a moment."""
    return RefusedError(503, words, {"Retry-After": BUSY_SECONDS})


class Answer:
    """The way of one request's answer to whoever asks: in small pieces, with the headers that every answer brings.

    Args:
        send: the server's.
        as_json: errors are {"error": words}; else they are text.
        plain: errors of the application that answers are plain words; else they are replaced.
        cacheable: the browser may keep the answer, since the address tells its content.
    """

    def __init__(self, send: Send, *, as_json: bool, plain: bool, cacheable: bool = False):
        self._send = send
        self._as_json, self._plain, self._cacheable = as_json, plain, cacheable
        self._replaced = False
        self._deadline = 0.0
        self.begun = False

    async def send(self, message: Message) -> None:
        """Sends what the application answers.

        Raises:
            SlowLineError: nobody takes it.
        """
        if message["type"] == "http.response.start":
            status = message["status"]
            if not self._plain and status >= 400:
                self._replaced = True
                await self.refuse(RefusedError(status, WORDS.get(status, GONE_WRONG if status >= 500 else ODD)))
                return
            await self._begin(status, message.get("headers", ()))
        elif message["type"] == "http.response.body" and not self._replaced:
            await self._pieces(message.get("body", b""), message.get("more_body", False))

    async def refuse(self, error: RefusedError) -> None:
        """Answers with plain words."""
        words = str(error)
        content = msgspec.json.encode({"error": words}) if self._as_json else f"{words}\n".encode()
        kind = "application/json" if self._as_json else "text/plain; charset=utf-8"
        headers = {"content-type": kind, "content-length": str(len(content)), **error.headers}
        await self._begin(error.status, [(name.lower().encode(), value.encode()) for name, value in headers.items()])
        await self._pieces(content, False)

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.begun = True
        sent = [(name, value) for name, value in headers if not name.lower().startswith((*UNWANTED, *SECURITY))]
        if not self._cacheable or status >= 400:
            sent = [(name, value) for name, value in sent if name.lower() != b"cache-control"]
            sent.append((b"cache-control", b"no-store"))
        self._deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        await self._send({"type": "http.response.start", "status": status, "headers": [*sent, *SECURITY.items()]})

    async def _pieces(self, content: bytes, more: bool) -> None:
        view = memoryview(content)
        for first in range(0, max(1, len(view)), PIECE):
            piece = bytes(view[first : first + PIECE])
            last = first + PIECE >= len(view)
            now = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout_at(min(now + PIECE_SECONDS, self._deadline)):
                    await self._send({"type": "http.response.body", "body": piece, "more_body": more or not last})
            except TimeoutError:
                raise SlowLineError from None
