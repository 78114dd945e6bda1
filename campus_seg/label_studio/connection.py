"""Requests to a Label Studio server: either kind of token, and patience with its faults."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import Retry

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.account import TIMEOUT
from campus_seg.label_studio.answers import (
    UNASKABLE,
    Bounds,
    CutShortError,
    OddError,
    read_whole,
    refused,
    unanswered,
)
from campus_seg.label_studio.multipart import Multipart
from campus_seg.label_studio.raw import NO_JSON

CONNECT_TIMEOUT = 10.0  # seconds
TRIES = 4
# Where a person waits: tries, seconds, and bytes of an answer.
HURRIED_TRIES, HURRIED_CONNECT, HURRIED_SIZE = 2, 4.0, 2**26
AT_ONCE = 8  # requests, from as many threads
# Before the second try urllib3 does not wait, then 4 and 8 s, in which a server has started anew; or as long as the
# server itself asks for. Also for 429, "too many requests".
PATIENCE = Retry(
    total=TRIES - 1,
    backoff_factor=2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "PATCH", "DELETE"),
    raise_on_status=False,
    retry_after_max=60,
)
REFRESH = "/api/token/refresh/"


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
    """Waits after having tried once more than `tried` times: 2, 4, 8 s."""
    time.sleep(PATIENCE.backoff_factor * 2**tried)


def _normal(address: str) -> str:
    """An address as requests asks for it and answers name it, such as with its host in ASCII."""
    return requests.Request("GET", address).prepare().url


def _session(patience: Retry) -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=patience, pool_maxsize=AT_ONCE))
    return session


class Connection:
    """A server, and who asks it; several threads may.

    What fails for a passing reason (no connection, 429, 5xx, an answer that is slow or cut short) is tried again, each
    time after a longer wait; but what creates something arrives once.

    Args:
        url: from `server_address`.
        token: from `find_token`: a legacy token, or a personal access token, which buys access for some minutes.
        timeout: seconds to wait for the next byte.
        hurried: a person waits for the answer: two tries, soon after each other however long the server asks to wait,
            and answers that are whole within `timeout`.
    """

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT, hurried: bool = False):
        self.url, self.timeout = url, timeout
        self._tries, self._connect = (HURRIED_TRIES, HURRIED_CONNECT) if hurried else (TRIES, CONNECT_TIMEOUT)
        self._bounds = Bounds(HURRIED_SIZE, timeout) if hurried else None
        patience = PATIENCE
        if hurried:
            patience = PATIENCE.new(total=HURRIED_TRIES - 1, respect_retry_after_header=False)
        self._token = token
        self._personal = token.count(".") == 2  # a JSON Web Token (RFC 7519)
        self._auth = None if self._personal else _Bearer(f"Token {token}")
        self._renewing = threading.Lock()
        self._session = _session(patience)
        self._session.mount(url + REFRESH, HTTPAdapter(max_retries=patience.new(allowed_methods=None)))
        self._patient = _session(patience.new(read=1))  # what was waited for so long is waited for once more

    def __repr__(self) -> str:  # without the token
        return f"Connection({self.url!r})"

    def is_own(self, address: str) -> bool:
        """Whether an address is this server's, which alone gets the token: of its host, and below its path."""
        try:
            own, other = _normal(self.url), _normal(address)
            elsewhere = self._session.should_strip_auth(own, other)  # as for redirects
        except UNASKABLE:  # such as "[" in a host
            return address.startswith(f"{self.url}/")
        return not elsewhere and f"{urlsplit(other).path}/".startswith(f"{urlsplit(own).path.rstrip('/')}/")

    def read(
        self,
        address: str,
        *,
        unless: Callable[[requests.Response], bool] | None = None,
        bounds: Bounds | None = None,
        **options: Any,
    ) -> Answer:
        """The whole answer to GET.

        Args:
            address: see `_request`.
            unless: whether, by its head, its body is not wanted.
            bounds: of its body.
            **options: see `_request`.

        Raises:
            CutShortError: it began and did not end, however often it was asked for.
            AddressError: it is more than the bounds allow, or another server than this one is at fault.
            LabelStudioError: the server cannot be reached or refuses; it has the status in `code`.
        """
        for tried in range(self._tries):
            try:
                with self._request("GET", address, **options) as response:
                    if unless and unless(response):
                        return Answer(None, response.headers)
                    return Answer(read_whole(response, self._wait(**options), bounds or self._bounds), response.headers)
            except CutShortError:
                if tried == self._tries - 1:
                    raise
                pause(tried)
        raise AssertionError("unreachable")

    def send(self, method: str, path: str, **options: Any) -> bytes:
        """What the server answers to another method than GET, once; errors are those of `read`.

        Args:
            method: of HTTP.
            path: below the server's address.
            **options: see `_request`.
        """
        with self._request(method, path, **options) as response:
            return read_whole(response, self._wait(**options), self._bounds)

    def value(self, method: str, path: str, kind: Any, **options: Any) -> Any:
        """What the server answers, as JSON of a known kind; errors are those of `read`.

        Args:
            method: of HTTP.
            path: below the server's address.
            kind: a type that msgspec knows; fields that it does not name are left out.
            **options: see `_request`.
        """
        content = self.read(path, **options).content if method == "GET" else self.send(method, path, **options)
        try:
            return msgspec.json.decode(content, type=kind)
        except NO_JSON as error:
            raise OddError(
                f"{self.url}{path}: answers with what Label Studio does not ({error}); is --url the server's address?"
            ) from None

    def _wait(self, *, patience: float = 1.0, **_: Any) -> float:
        """Seconds to wait for the next byte."""
        return patience * self.timeout

    def _request(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        file: tuple[str, bytes, str] | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 1.0,
    ) -> requests.Response:
        """The answer to one request, whose body is still to be read. Another server than this one gets no token.

        Args:
            method: of HTTP.
            address: of another server, or a path of this one.
            params: of the query.
            json: what is sent.
            file: name, content and type of a file that is sent instead, as the field "file" of a form.
            headers: of the request.
            patience: times the timeout to wait, above 1 where it is known to take long.
        """
        own = address.startswith("/")
        full = self.url + address if own else address
        session = self._patient if patience > 1 else self._session
        wait = self._wait(patience=patience)
        # A redirected POST would become a GET.
        options = {"params": params, "json": json, "headers": headers}
        options["allow_redirects"] = method == "GET"
        for renew in (False, True):
            auth = self._authorization(renew) if own else _nobody
            if file:
                body = Multipart("file", file)
                options |= {"data": body, "headers": {**(headers or {}), "Content-Type": body.kind}}
            response = self._answer(session, method, full, wait, auth=auth, **options)
            denied = response.status_code == 401 and self.is_own(response.url)
            if renew or not (denied and own and self._personal):
                break
            response.close()
        self._check(response, 400 if method == "GET" else 300, wait)
        return response

    def _answer(
        self, session: requests.Session, method: str, address: str, wait: float, **options: Any
    ) -> requests.Response:
        try:
            return session.request(method, address, timeout=(self._connect, wait), stream=True, **options)
        except UNASKABLE as error:
            last = getattr(getattr(error, "request", None), "url", None) or address  # of several, by redirects
            raise unanswered(error, last, own=self.is_own(last), wait=wait) from None

    def _check(self, response: requests.Response, limit: int, wait: float) -> None:
        """Raises LabelStudioError where the status is not below the limit."""
        if response.status_code >= limit:
            secrets = (self._token, self._auth.header.partition(" ")[2] if self._auth else "")
            with response:
                raise refused(response, own=self.is_own(response.url), wait=wait, secrets=secrets)

    def _authorization(self, renew: bool) -> _Bearer:
        """What goes with a request; access that has run out, or was never bought, is bought with the token."""
        if not self._personal:
            return self._auth
        with self._renewing:
            if self._auth is None or renew:
                self._auth = _Bearer(f"Bearer {self._bought()}")
            return self._auth

    def _bought(self) -> str:
        options = {"auth": _nobody, "allow_redirects": False, "json": {"refresh": self._token}}
        answer = self._answer(self._session, "POST", self.url + REFRESH, self.timeout, **options)
        self._check(answer, 300, self.timeout)
        try:
            with answer:
                return msgspec.json.decode(read_whole(answer, self.timeout), type=dict[str, str])["access"]
        except (*NO_JSON, KeyError):
            raise LabelStudioError(
                f"{self.url}: does not take a personal access token; is --url the server's address?"
            ) from None
