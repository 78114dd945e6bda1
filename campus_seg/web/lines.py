"""The lines (TCP connections) to the page's server: how many there are, and how long one may say nothing."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from campus_seg.web.budget import Pace

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
    has been taken. Where there are too many lines the one goes that lags most, of those for whose asker the server
    waits: nothing is asked, or not all is here, or the answer is not taken. Where it waits for none of them, the
    newcomer is told that the server is busy.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A line opens."""
        super().connection_made(transport)
        self._pace = Pace()
        self._closing = self._stuck = self._cut = False
        self._unwanted = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._cut_if_silent)
        here = [line for line in self.connections if not line._cut]  # those that were cut are there for a moment yet
        if len(here) > MOST_LINES:
            waiting = [line for line in here if line is not self and line.waits]
            if waiting:
                max(waiting, key=lambda line: line._pace.lag)._end()
            else:
                transport.write(TOLD % (len(FULL), FULL))
                transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """A line is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes come; of a body that is no longer wanted only so many, for the answer to be read first."""
        was_busy = self.is_busy
        if was_busy:
            self._pace.moved(len(data))
        elif self.conn.their_state is h11.SEND_BODY:
            self._unwanted += len(data)
            if self._unwanted > MOST_UNWANTED:
                self._end()
                return
        super().data_received(data)
        if self.is_busy and not was_busy:
            self._pace.begin()

    def pause_writing(self) -> None:
        """The answer is not taken as fast as it is sent."""
        self._stuck = True
        self._pace.begin()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Most of it was taken."""
        self._stuck = False
        super().resume_writing()

    def on_response_complete(self) -> None:
        """A request is answered."""
        self._unwanted = 0
        self._pace.begin()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in plain words."""
        self.transport.write(TOLD.replace(b"503 Service Unavailable", b"400 Bad Request") % (len(BAD), BAD))
        self.transport.close()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def waits(self) -> bool:
        """Whether the server waits for whoever asks, and not the other way round."""
        return not self.is_busy or self._stuck or self.conn.their_state is h11.SEND_BODY

    def _end(self) -> None:
        self._cut = True
        self.transport.abort()

    def _cut_if_silent(self) -> None:
        if self._closing:
            self._end()
            return
        if self.transport.is_closing():
            self._closing = True
        elif not self.is_busy and self._pace.lag >= HEAD_SECONDS - 0.1:  # the loop's clock is another
            self._end()
            return
        self._timer = self.loop.call_later(HEAD_SECONDS, self._cut_if_silent)


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
