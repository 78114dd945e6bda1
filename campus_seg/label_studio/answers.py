"""Answers of servers: read whole, and what is wrong with them as one clear line with the way out."""

import contextlib
import io
import time
from typing import NamedTuple

import msgspec
import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.account import TOKEN_VARIABLE
from campus_seg.label_studio.raw import NO_JSON

CHUNK = 2**20  # bytes
LONGEST = 200  # letters of what a server says of an error
UNASKABLE = (requests.exceptions.RequestException, HTTPError, ValueError)  # odd addresses raise all three


class AddressError(LabelStudioError):
    """One address that cannot be had; Label Studio's own server is not at fault."""


class CutShortError(LabelStudioError):
    """An answer that began and did not end."""


class OddError(LabelStudioError):
    """What is no Label Studio, or not to be trusted; it stays until somebody changes the settings."""


class Bounds(NamedTuple):
    """How much an answer may be: bytes once decoded, and seconds from its head to its end."""

    size: int
    seconds: float


def read_whole(response: requests.Response, wait: float, bounds: Bounds | None = None) -> bytes:
    """The body of an answer that is being streamed.

    Args:
        response: whose body nobody has read.
        wait: seconds for the next byte, as it was asked for with; for the message.
        bounds: for servers that may be anybody's.

    Raises:
        CutShortError: it does not end.
        AddressError: it is more than the bounds allow.
    """
    shown = shown_address(response.url)
    content = io.BytesIO()
    began = time.monotonic()
    try:
        while part := response.raw.read1(CHUNK, decode_content=True):  # requests itself would wait for a whole chunk
            content.write(part)
            if bounds and content.tell() > bounds.size:
                raise AddressError(f"{shown}: above {bounds.size / 1e9:.2g} GB, more than is wanted")
            if bounds and time.monotonic() - began > bounds.seconds:
                raise AddressError(f"{shown}: not whole after {bounds.seconds:g} s; set --timeout if it is so large")
    except ReadTimeoutError:
        raise CutShortError(f"{shown}: the answer stopped for {wait:g} s; try again, or set --timeout") from None
    except HTTPError:
        raise CutShortError(f"{shown}: the answer was cut short; try again") from None
    return content.getvalue()


def unanswered(error: Exception, address: str, *, own: bool, wait: float) -> LabelStudioError:
    """Why a request got no answer.

    Args:
        error: one of `UNASKABLE`.
        address: that was asked last, after redirects.
        own: whether it is Label Studio's own.
        wait: seconds that it was given.
    """
    kind = LabelStudioError if own else AddressError
    shown = shown_address(address)
    if isinstance(error, requests.exceptions.SSLError):
        reason = _reason(error, "no trust")
        return (OddError if own else AddressError)(
            f"{shown}: its certificate is not trusted ({reason}); name your authority's file in REQUESTS_CA_BUNDLE"
        )
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ReadTimeout):
        if "Read timed out" in str(error):  # after several tries, requests has no error of its own for that
            return kind(f"{shown}: no answer within {wait:g} s; try again, or set --timeout")
        way_out = "start the server, or give another --url" if own else "see to that server"
        return kind(f"{shown}: cannot be reached ({_reason(error, 'no connection')}); {way_out}")
    way_out = "; check --url" if own else ""
    return AddressError(f"{shown}: cannot be asked, or sends on to no address ({type(error).__name__}){way_out}")


def refused(response: requests.Response, *, own: bool, wait: float, secrets: tuple[str, ...] = ()) -> LabelStudioError:
    """What a status that is no success means.

    Args:
        response: whose body nobody has read.
        own: whether it is Label Studio's own.
        wait: seconds for its body.
        secrets: are not shown, where a server repeats what it was given.
    """
    code, shown = response.status_code, shown_address(response.url)
    said = f"{code} {response.reason or ''}".strip()[:LONGEST]
    if not own:
        return AddressError(f"{shown}: refused ({said}); see to that server", code)
    with contextlib.suppress(*NO_JSON, LabelStudioError):  # a page for people; the status says enough
        told = msgspec.json.decode(read_whole(response, wait, Bounds(CHUNK, wait)))
        detail = (told.get("validation_errors") or told.get("detail")) if isinstance(told, dict) else None
        said += f": {detail}" if detail else ""
    for secret in filter(None, secrets):
        said = said.replace(secret, "…")
    if code < 400:
        target = shown_address(response.headers.get("Location", "another"))
        way_out = f"it sends on to {target[:LONGEST]}: give that with --url"
    elif code in (401, 403):
        way_out = f"give a token of someone who may, in {TOKEN_VARIABLE} or with --token-file"
    elif code == 404:
        way_out = "check --url and --project"
    elif code >= 500 or code == 429:
        way_out = "look at the server's log, or try later"
    else:
        way_out = "see what it says"
    return LabelStudioError(f"{shown}: refused ({said[:LONGEST]}); {way_out}", code)


def without_password(address: str) -> str:
    """An address without the user and password that may stand before its host."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if separator else address


def shown_address(address: str) -> str:
    """An address for messages: what is behind "?" may be a key to a photo, and before the host a password."""
    return without_password(address.partition("?")[0])


def _reason(error: BaseException | None, innermost: str) -> str:
    """What the system said, from within the errors that libraries wrap it in; `innermost` where it said nothing."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        strerror = getattr(error, "strerror", None)
        innermost = strerror if isinstance(strerror, str) and strerror else innermost
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = getattr(error, "reason", None) or (inner[0] if inner else None) or error.__cause__ or error.__context__
        if not isinstance(error, BaseException):
            break
    return innermost
