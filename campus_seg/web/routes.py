"""The server's own routes: photos come in, pictures and files of what the model finds go out; all in memory."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from campus_seg.errors import CampusError
from campus_seg.web.answers import NOTHING, WORDS, RefusedError, SlowLineError
from campus_seg.web.asked import Body, disposition, in_turn, read_classes, read_threshold
from campus_seg.web.budget import Flight, Room
from campus_seg.web.examples import Example
from campus_seg.web.limits import KINDS
from campus_seg.web.turns import Turns

UPLOADED_BYTES = 256_000_000  # of photos that arrive or wait, at once
ANSWERED_BYTES = 512_000_000  # of answers that are being taken, at once
PIECE = 2**16  # bytes of an answer that are handed over at once
DRAIN = 4  # times the largest photo: so much of a larger one is read, for the browser to hear why it is refused
MEGABYTE = 1_000_000
GONE = "This photo is no longer here: photos are kept for a short while only. Please give it again."
BAD_NUMBERS = "The threshold or the classes are none of the page's. Please load the page again."
NO_LABEL_STUDIO = "This page is not connected to Label Studio."
TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".zip": "application/zip", ".json": "application/json"}


class Model(Protocol):
    """What answers for the photos; see `campus_seg.web.model.DemoModel`."""

    class_names: Sequence[str]

    def predict(self, name: str, content: bytes, arrived: float | None = None) -> Any:
        """A photo's `Result`; when it arrived by time.monotonic()."""

    def draw(self, result: Any, kind: str, threshold: float, class_ids: Sequence[int]) -> bytes:
        """One of its files."""


@dataclass
class Parts:
    """What the routes are made of.

    Attributes:
        model: predicts and draws.
        result: token -> the result, None where it is gone.
        predicting: the turns at the model.
        drawing: the turns at the drawing of files.
        sending: the turns at Label Studio.
        examples: photos to begin with.
        sender: brings a photo to Label Studio (`campus_seg.web.sending.Sender`), None where none is set up.
        max_mb: of a photo.
        uploads: for photos that arrive or wait.
        answers: for files that are being taken.
    """

    model: Model
    result: Callable[[str], Any]
    predicting: Turns
    drawing: Turns
    sending: Turns
    examples: Sequence[Example] = ()
    sender: Any = None
    max_mb: float = 20.0
    uploads: Room = field(default_factory=lambda: Room(UPLOADED_BYTES))
    answers: Room = field(default_factory=lambda: Room(ANSWERED_BYTES))


class Routes:
    """An ASGI application; what it refuses is raised as a RefusedError, for the guard before it."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self.routes = [
            Route("/photos", self._photo, methods=["POST"]),
            Route("/examples/{number}", self._example, methods=["POST"]),
            Route("/examples/{number}.jpg", self._thumbnail, methods=["GET"]),
            Route("/results/{token}/label-studio", self._label_studio, methods=["POST"]),
            Route("/results/{token}/{kind}", self._file, methods=["GET"]),
        ]
        self._router = Router(self.routes, redirect_slashes=False)

    async def __call__(self, scope, receive, send) -> None:
        """One request."""
        try:
            await self._router({**scope, "app": self}, receive, send)  # with an app, unknown routes raise
        except HTTPException as error:
            raise RefusedError(error.status_code, WORDS.get(error.status_code, NOTHING)) from None

    async def _photo(self, request: Request) -> Response:
        most = int(self._parts.max_mb * MEGABYTE)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and len(length) < 20 and int(length) > most and "expect" in request.headers:
            raise self._too_large()  # nothing was sent yet
        arrived, body = time.monotonic(), Body(request)
        with ExitStack() as stack:
            try:
                async with asyncio.timeout(None) as limit:  # the guard has one; this ends those that make way
                    flight = stack.enter_context(self._parts.uploads.taken(limit))
                    content = await self._read(body, flight, most)
            except TimeoutError:
                raise SlowLineError from None
            except RefusedError:
                stack.close()
                with suppress(SlowLineError):
                    await body.drain(DRAIN * most)
                raise
            name = request.query_params.get("name", "")
            predicting = self._parts.predicting.run(self._parts.model.predict, name, content, arrived)
            return _found(await in_turn(request, predicting))

    async def _read(self, body: Body, flight: Flight, most: int) -> bytes:
        pieces = []
        while not body.whole:
            piece = await body.piece()
            if flight.size + len(piece) > most:
                raise self._too_large()
            flight.grow(len(piece))
            pieces.append(piece)
        flight.landed = True
        return b"".join(pieces)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"This file is larger than {self._parts.max_mb:g} MB. Please give a smaller photo.")

    async def _example(self, request: Request) -> Response:
        arrived, example = time.monotonic(), self._example_of(request)
        await Body(request).drain(DRAIN)
        predicting = self._parts.predicting.run(self._parts.model.predict, example.name, example.content, arrived)
        return _found(await in_turn(request, predicting))

    async def _thumbnail(self, request: Request) -> Response:
        return Response(self._example_of(request).thumbnail, media_type="image/jpeg")

    def _example_of(self, request: Request) -> Example:
        number = request.path_params["number"]
        if not (number.isascii() and number.isdecimal()) or len(number) > 3 or int(number) >= len(self._parts.examples):
            raise RefusedError(404, "There is no such example.")
        return self._parts.examples[int(number)]

    async def _file(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in KINDS:
            raise RefusedError(404, NOTHING)
        result, threshold, classes = self._asked(request)
        drawn = self._parts.drawing.run(self._parts.model.draw, result, kind, threshold, classes)
        content = await in_turn(request, drawn)
        headers = {} if kind == "view" else {"Content-Disposition": disposition(result.name, kind)}
        return _ResponseInRoom(self._parts.answers, content, TYPES[KINDS[kind]], headers)

    async def _label_studio(self, request: Request) -> Response:
        if self._parts.sender is None:
            raise RefusedError(404, NO_LABEL_STUDIO)
        result, threshold, classes = self._asked(request)
        await Body(request).drain(DRAIN)
        try:
            sent = await in_turn(request, self._parts.sending.run(self._send, result, threshold, classes))
        except CampusError as error:
            raise RefusedError(400, str(error)) from None
        return _json({"said": sent.text, "link": sent.link})

    def _send(self, result: Any, threshold: float, classes: Sequence[int]) -> Any:
        return self._parts.sender.send(result, threshold, classes)

    def _asked(self, request: Request) -> tuple[Any, float, tuple[int, ...]]:
        """The result, the threshold and the class ids of an address.

        Raises:
            RefusedError: one of them cannot be.
        """
        result = self._parts.result(request.path_params["token"])
        if result is None:
            raise RefusedError(404, GONE)
        known = len(self._parts.model.class_names)
        threshold = read_threshold(request.query_params.get("threshold", "0.5"))
        classes = read_classes(request.query_params.get("classes"), known)
        if threshold is None or classes is None:
            raise RefusedError(400, BAD_NUMBERS)
        return result, threshold, classes


class _ResponseInRoom(Response):
    """Some bytes, which are in memory until the last of them is taken."""

    def __init__(self, room: Room, content: bytes, media_type: str, headers: dict[str, str]):
        super().__init__(content, media_type=media_type, headers=headers)
        self._room = room

    async def __call__(self, scope, receive, send) -> None:
        try:
            async with asyncio.timeout(None) as limit:
                with self._room.taken(limit, len(self.body)) as flight:
                    await self._send(send, flight)
        except TimeoutError:
            raise SlowLineError from None

    async def _send(self, send, flight: Flight) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        view = memoryview(self.body)
        for first in range(0, len(view), PIECE):
            piece = bytes(view[first : first + PIECE])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            flight.pace.moved(len(piece))
        await send({"type": "http.response.body", "body": b""})


def _json(answer: Any) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _found(result: Any) -> Response:
    objects = [{"class": one.class_id, "score": one.score, "area": one.area} for one in result.objects]
    size = {"width": result.width, "height": result.height}
    return _json({"token": result.token, "name": result.name, **size, "objects": objects})
