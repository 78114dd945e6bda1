"""What stands before the page's server: who may ask what, how large, how slow.

Gradio brings some sixty routes, among them uploads to this machine's disk, the reading of its files and queues that
keep what they are given. The page needs few of them; all others are not there.
"""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from campus_seg.errors import one_line
from campus_seg.passwords import CHALLENGE, brings_password
from campus_seg.web.answers import (
    GONE_WRONG,
    NOTHING,
    ODD,
    STOPPING,
    WORDS,
    Answer,
    Message,
    Receive,
    RefusedError,
    Scope,
    Send,
    SlowLineError,
)

BODY_SECONDS = 120.0  # in which a photo has to be here
EVENT_SECONDS = 10.0  # and one of gradio's events
MAX_EVENT = 2**16  # bytes of one of gradio's events
WRONG_SECONDS = 1.0  # that a wrong password waits
WRONG_AT_ONCE = 10  # wrong passwords that wait; more are sent away
DEEP = 2000  # values in one input of an event, such as the names of classes
# Those who may have been led here by another site's page send one of these types, for which no browser asks first.
FORM_TYPES = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
PASSWORD_WANTED = "The password is missing or wrong. The name does not matter."
TOO_SLOW = "This took too long to arrive. Please try again on a better line, or with a smaller photo."
FROM_ELSEWHERE = "Another site asks for this. Open the page at its own address."
OTHER_NAME = (
    "This page is for the computer it runs on: open it at http://127.0.0.1 and its port. Whoever started it can show "
    "it under another name by setting a password."
)
logger = logging.getLogger(__name__)
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,150}"
OWN = re.compile(r"/(photos|examples|results)(/.*)?", re.DOTALL)  # of this project, which looks at the rest itself
OF_GRADIO = re.compile(rf"/|/theme\.css|/gradio_api/theme\.css|/favicon\.ico|/(assets|static)(/{_NAME}){{1,4}}")
ASSETS = re.compile(rf"/assets/{_NAME}")  # named by their content
EVENT = re.compile(r"/gradio_api/run/\w{1,100}", re.ASCII)


class _EventBody(msgspec.Struct, forbid_unknown_fields=True):
    """What gradio's page sends of an event; see gradio.data_classes.PredictBody for what else there is."""

    data: list[Any]
    fn_index: int
    session_hash: str = ""
    event_data: Any = None
    trigger_id: int | None = None


class Guard:
    """An ASGI application before another.

    Args:
        app: answers what is let through.
        events: gradio's number of each of the page's events -> how many inputs it brings.
        password: that every request has to bring; "" = none.
        local: only this computer may ask, and has no password: other names than its own are refused, under which
            a page elsewhere could have browsers come here (DNS rebinding).
    """

    def __init__(self, app: Application, events: Mapping[int, int], *, password: str = "", local: bool = False):
        self._app = app
        self._events = events
        self._password = password
        self._local = local and not password
        self._wrong = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return
        own, event = OWN.fullmatch(scope["path"]), EVENT.fullmatch(scope["path"])
        answer = Answer(
            send, as_json=bool(own or event), plain=bool(own), cacheable=bool(ASSETS.fullmatch(scope["path"]))
        )
        try:
            incoming = await self._admitted(scope, receive)
            await self._app(scope, incoming, answer.send)
        except RefusedError as refused:
            await _end(answer, refused)
        except SlowLineError:
            await _end(answer, RefusedError(408, TOO_SLOW, {"Connection": "close"}))
        except asyncio.CancelledError:  # by the end of the server alone
            await _end(answer, RefusedError(503, STOPPING))
        except Exception as error:
            fault = f"{type(error).__name__}: {one_line(str(error))}"
            logger.error("%s %r: %s", scope["method"], scope["path"][:100], fault)
            logger.debug("this was", exc_info=error)
            await _end(answer, RefusedError(500, GONE_WRONG))

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """Where the rest of an admitted request comes from.

        Raises:
            RefusedError: it is not admitted.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if self._local and not is_local_name(headers.get("host", "")):
            raise RefusedError(421, OTHER_NAME)
        if self._password and not brings_password(headers.get("authorization", ""), self._password):
            await self._turn_away(given="authorization" in headers)
        method, path = scope["method"], scope["path"]
        if EVENT.fullmatch(path):
            wanted = ("POST",)
        elif OF_GRADIO.fullmatch(path) and ".." not in path:
            wanted = ("GET", "HEAD")
        elif OWN.fullmatch(path):
            wanted = ("GET", "POST")
        else:
            raise RefusedError(404, NOTHING)
        if method not in wanted:
            raise RefusedError(405, WORDS[405], {"Allow": ", ".join(wanted)})
        if method != "POST":
            if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                raise RefusedError(400, ODD, {"Connection": "close"})
            return receive
        if is_from_elsewhere(headers):
            raise RefusedError(403, FROM_ELSEWHERE)
        if EVENT.fullmatch(path):
            return await self._event(_timed(receive, EVENT_SECONDS))
        return _timed(receive, BODY_SECONDS)

    async def _turn_away(self, *, given: bool) -> None:
        """Refuses a missing or wrong password; a wrong one after a while, so that nobody tries many."""
        if given:
            if self._wrong >= WRONG_AT_ONCE:
                raise RefusedError(429, PASSWORD_WANTED, {"Retry-After": "5"})
            self._wrong += 1
            try:
                await asyncio.sleep(WRONG_SECONDS)
            finally:
                self._wrong -= 1
        raise RefusedError(401, PASSWORD_WANTED, {"WWW-Authenticate": CHALLENGE})

    async def _event(self, receive: Receive) -> Receive:
        """Reads an event whole and looks at it, before gradio does."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, ODD)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_EVENT:
                raise RefusedError(413, ODD, {"Connection": "close"})
        try:
            given = msgspec.json.decode(body, type=_EventBody)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RefusedError(400, ODD) from None
        if (
            self._events.get(given.fn_index) != len(given.data)
            or not re.fullmatch(r"[A-Za-z0-9]{0,40}", given.session_hash)
            or not all(map(_is_plain, given.data))
        ):
            raise RefusedError(400, ODD)
        return _again(body, receive)


async def _end(answer: Answer, refused: RefusedError) -> None:
    """Answers with a refusal, where no answer has begun; one that has begun is cut off by the server."""
    if not answer.begun:
        try:
            await answer.refuse(refused)
        except (SlowLineError, OSError):
            return


def _timed(receive: Receive, seconds: float) -> Receive:
    """A request's body, which has to be here in time; what comes after it (the asker's leaving) has all time."""
    deadline = asyncio.get_running_loop().time() + seconds
    whole = False

    async def timed() -> Message:
        nonlocal whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise SlowLineError from None
        whole = not message.get("more_body", False)
        return message

    return timed


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, for who reads it next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _is_plain(value: Any) -> bool:
    """Whether an event's input is a number, a text, or a list of these: gradio takes objects for files."""
    if isinstance(value, list):
        return len(value) <= DEEP and not any(isinstance(item, (list, dict)) for item in value)
    return not isinstance(value, dict)


def is_local_name(host: str) -> bool:
    """Whether a Host header names this computer itself, or an address, which no other site's page can pretend."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site's page may have made a browser send this POST.

    Browsers say so themselves (Sec-Fetch-Site), but not to a page without https, whose server may see another host than
    the browser behind a reverse proxy. What is no form they send elsewhere only after a question that is refused here.
    https://developer.mozilla.org/docs/Web/HTTP/Guides/CORS#simple_requests
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        return True
    if host and host in (headers.get("host", "").lower(), headers.get("x-forwarded-host", "").lower()):
        return False
    return headers.get("content-type", "").partition(";")[0].strip().lower() in FORM_TYPES
