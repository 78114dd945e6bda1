"""The lines (TCP connections) to the page's server: how many there are, and how long one may say nothing."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_LINES = 400
HEAD_SECONDS = 15.0  # in which the head of a request has to be here, and after which a closed line is cut
MOST_UNWANTED = 2**20  # bytes
TOLD = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
)
FULL = b"The server is busy just now. Please try again in a few seconds.\n"
BAD = b"This request is none of the page's. Please load the page again.\n"


class Line(H11Protocol):
    """uvicorn's HTTP/1.1, with bounds that it lacks.

    uvicorn waits for the head of a line's first request for ever, and where it closes a line, until all that is written
    has been taken. Where there are too many lines the one goes that has been silent for longest; where none is silent,
    the newcomer is told that the server is busy.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A line opens."""
        super().connection_made(transport)
        self._silent_since = self.loop.time()
        self._closing, self._unwanted = False, 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._look)
        if len(self.connections) > MOST_LINES:
            silent = [line for line in self.connections if line is not self and not line.is_busy]
            if silent:
                min(silent, key=lambda line: line._silent_since).transport.abort()
            else:
                transport.write(TOLD % (len(FULL), FULL))
                transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """A line is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes come; of a body that is no longer wanted only so many, for the answer to be read first."""
        if not self.is_busy and self.conn.their_state is h11.SEND_BODY:
            self._unwanted += len(data)
            if self._unwanted > MOST_UNWANTED:
                self.transport.abort()
                return
        super().data_received(data)

    def on_response_complete(self) -> None:
        """A request is answered."""
        self._silent_since, self._unwanted = self.loop.time(), 0
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in plain words."""
        self.transport.write(TOLD.replace(b"503 Service Unavailable", b"400 Bad Request") % (len(BAD), BAD))
        self.transport.close()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        if self._closing:
            self.transport.abort()
            return
        if self.transport.is_closing():
            self._closing = True
        elif not self.is_busy and self.loop.time() - self._silent_since >= HEAD_SECONDS:
            self.transport.abort()
            return
        self._timer = self.loop.call_later(HEAD_SECONDS, self._look)


def options() -> dict[str, Any]:
    """What uvicorn.Config is to be given for such lines, without its own log, headers and signals' page-long words."""
    return {
        "http": Line,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": 2,
        "h11_max_incomplete_event_size": 2**15,
    }
