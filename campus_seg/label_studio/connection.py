"""Requests to a Label Studio server: either kind of token, patience with its faults, and one clear line for each."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import Retry

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.account import TIMEOUT, TOKEN_VARIABLE

CONNECT_TIMEOUT = 10.0  # seconds
TRIES = 4
AT_ONCE = 8  # requests, from as many threads
# Seconds between two tries grow from the first on: 0.5, 1, 2. Also for 429, "too many requests".
PATIENCE = Retry(
    total=TRIES - 1,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "PATCH", "DELETE"),
    raise_on_status=False,
    retry_after_max=60,
)
CUT = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
REFRESH = "/api/token/refresh/"
LONGEST = 200  # letters of what a server says of an error


class CutShortError(LabelStudioError):
    """An answer that began and did not end."""


class Answer(NamedTuple):
    """What was answered; no content where it was not wanted."""

    content: bytes | None
    headers: Mapping[str, str]


class _Bearer(AuthBase):
    """Puts a header into requests to the server itself."""

    def __init__(self, header: str):
        self.header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.header
        return request


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """To other servers; without it, requests would look for a password in ~/.netrc."""
    return request


def pause(tried: int) -> None:
    """Waits after having tried once more than `tried` times, as long as `PATIENCE` does."""
    time.sleep(PATIENCE.backoff_factor * 2**tried)


class Connection:
    """A server, and who asks it; several threads may.

    What fails for a passing reason (no connection, 429, 5xx, an answer that is slow or cut short) is tried again, each
    time after a longer wait; but what creates something arrives once.

    Args:
        url: from `server_address`.
        token: from `find_token`: a legacy token, or a personal access token, which buys access for some minutes.
        timeout: seconds to wait for the next byte.
    """

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT):
        self.url, self.timeout = url, timeout
        self._token = token
        self._personal = token.count(".") == 2  # a JSON Web Token (RFC 7519)
        self._auth = None if self._personal else _Bearer(f"Token {token}")
        self._renewing = threading.Lock()
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=PATIENCE, pool_maxsize=AT_ONCE))
        self._session.mount(url + REFRESH, HTTPAdapter(max_retries=PATIENCE.new(allowed_methods=None)))

    def __repr__(self) -> str:  # without the token
        return f"Connection({self.url!r})"

    def read(
        self, address: str, *, unless: Callable[[requests.Response], bool] | None = None, **options: Any
    ) -> Answer:
        """The whole answer to GET.

        Args:
            address: see `answer`.
            unless: whether, by its head, its body is not wanted.
            **options: see `answer`.

        Raises:
            CutShortError: it began and did not end, however often it was asked for.
            LabelStudioError: as of `answer`.
        """
        for tried in range(TRIES):
            try:
                with self.answer("GET", address, **options) as response:
                    wanted = unless is None or not unless(response)
                    return Answer(response.content if wanted else None, response.headers)
            except CutShortError:
                if tried == TRIES - 1:
                    raise
                pause(tried)
        raise AssertionError("unreachable")

    def value(self, method: str, path: str, kind: Any, **options: Any) -> Any:
        """What the server answers, as JSON of a known kind.

        Args:
            method: of HTTP.
            path: below the server's address.
            kind: a type that msgspec knows; fields that it does not name are left out.
            **options: see `answer`.
        """
        if method == "GET":
            content = self.read(path, **options).content
        else:
            with self.answer(method, path, **options) as response:
                content = response.content
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise LabelStudioError(
                f"{self.url}{path}: answers with what Label Studio does not ({error}); is --url the server's address?"
            ) from None

    @contextmanager
    def answer(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 0.0,
    ) -> Iterator[requests.Response]:
        """The answer to one request, whose body is read in the block. Another server than this one gets no token.

        Args:
            method: of HTTP.
            address: of another server, or a path of this one.
            params: of the query.
            json: what is sent.
            headers: of the request.
            timeout: seconds to wait for the next byte, at least, where it is known to take long.

        Raises:
            LabelStudioError: the server cannot be reached or refuses; it has the status in `code`.
        """
        own = address.startswith("/")
        full = self.url + address if own else address
        shown = full.partition("?")[0]  # what is behind it may be a key to a photo
        wait = (CONNECT_TIMEOUT, max(timeout, self.timeout))
        options = {"params": params, "json": json, "headers": headers, "timeout": wait, "stream": True}
        began = False
        try:
            for renew in (False, True):
                auth = self._authorization(renew) if own else _nobody
                # A redirected POST would become a GET.
                response = self._session.request(method, full, auth=auth, allow_redirects=method == "GET", **options)
                if not (response.status_code == 401 and own and self._personal) or renew:
                    break
                response.close()
            with response:
                if response.status_code >= (400 if method == "GET" else 300):
                    raise self._refused(response, shown)
                began = True
                yield response
        except CUT as error:
            raise CutShortError(f"{shown}: the answer was cut short ({_reason(error)}); try again") from None
        except requests.exceptions.SSLError as error:
            raise LabelStudioError(
                f"{shown}: its certificate is not trusted ({_reason(error)}); name your authority's file in "
                "REQUESTS_CA_BUNDLE"
            ) from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ReadTimeout) as error:
            if began:
                raise CutShortError(
                    f"{shown}: the answer stopped for {wait[1]:g} s; try again, or set --timeout"
                ) from None
            if "Read timed out" in str(error):  # after several tries, requests has no error of its own for that
                raise LabelStudioError(
                    f"{shown}: no answer within {wait[1]:g} s; try again, or set --timeout"
                ) from None
            raise LabelStudioError(
                f"{shown}: cannot be reached ({_reason(error)}); start the server, or give another --url"
            ) from None
        except (requests.exceptions.RequestException, UnicodeError) as error:
            raise LabelStudioError(f"{shown}: cannot be asked ({type(error).__name__}); check --url") from None

    def _authorization(self, renew: bool) -> _Bearer:
        """What goes with a request; access that has run out, or was never bought, is bought with the token."""
        if not self._personal:
            return self._auth
        with self._renewing:
            if self._auth is None or renew:
                self._auth = _Bearer(f"Bearer {self._bought()}")
            return self._auth

    def _bought(self) -> str:
        options = {"auth": _nobody, "allow_redirects": False, "timeout": (CONNECT_TIMEOUT, self.timeout)}
        answer = self._session.post(self.url + REFRESH, json={"refresh": self._token}, **options)
        if answer.status_code >= 300:
            raise self._refused(answer, self.url + REFRESH)
        try:
            return msgspec.json.decode(answer.content, type=dict[str, str])["access"]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            raise LabelStudioError(
                f"{self.url}: does not take a personal access token; is --url the server's address?"
            ) from None

    def _refused(self, response: requests.Response, shown: str) -> LabelStudioError:
        code = response.status_code
        said = f"{code} {response.reason or ''}".strip()
        try:
            told = msgspec.json.decode(response.content)
            detail = (told.get("validation_errors") or told.get("detail")) if isinstance(told, dict) else None
            said += f": {detail}" if detail else ""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, requests.exceptions.RequestException):
            pass  # a page for people; the status says enough
        for secret in (self._token, self._auth.header.partition(" ")[2] if self._auth else ""):
            said = said.replace(secret, "…") if secret else said  # some servers repeat what they were given
        said = said[:LONGEST]
        if code < 400:
            way_out = f"it sends on to {response.headers.get('Location', 'another')[:LONGEST]}: give that with --url"
        elif code in (401, 403):
            way_out = f"give a token of someone who may, in {TOKEN_VARIABLE} or with --token-file"
        elif code == 404:
            way_out = "check --url and --project"
        elif code >= 500 or code == 429:
            way_out = "look at the server's log, or try later"
        else:
            way_out = "see what it says"
        return LabelStudioError(f"{shown}: refused ({said}); {way_out}", code)


def _reason(error: BaseException | None) -> str:
    """What the system said, from within the errors that libraries wrap it in."""
    innermost = "no connection"
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
