"""A proxy on the loopback that lets a share of the requests fail as servers and networks do."""

import contextlib
import random
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("500", "503", "stall", "cut", "short")
HOP_BY_HOP = ("connection", "transfer-encoding", "expect", "keep-alive")
ERRORS = {"500": ("InternalError", "We encountered an internal error."), "503": ("SlowDown", "Reduce your rate.")}
XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'


@dataclass
class Faults:
    """Which requests fail, and how: by a draw that depends on the seed, the request and how often it was made.

    So one seed gives the same faults whatever the order in which threads ask. "500" and "503" are not passed on; a
    "stall" and a "cut" are, so that what a request does may have been done without an answer; a "short" body has a
    length that says it were whole.

    Attributes:
        share: of the requests that fail, 0 to 1.
        kinds: some of `FAULTS`.
        seed: of the draw.
        only: what a request that may fail begins with, such as "GET /campus/"; "" = any.
        made: fault -> how many there were; "" = none.
        asked: (method, path) of every request.
    """

    share: float = 0.1
    kinds: tuple[str, ...] = FAULTS
    seed: int = 0
    only: str = ""
    made: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def __post_init__(self) -> None:
        self._times: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def draw(self, method: str, path: str, ranged: str) -> str:
        """How this request fails; "" = it does not."""
        request = f"{method} {path} {ranged}"
        with self._lock:
            self.asked.append((method, path))
            self._times[request] += 1
            chance = random.Random(f"{self.seed} {request} {self._times[request]}")
            failing = chance.random() < self.share and request.startswith(self.only)
            return chance.choice(self.kinds) if failing else ""

    def count(self, fault: str) -> None:
        """Counts what became of a request."""
        with self._lock:
            self.made[fault] += 1


@contextlib.contextmanager
def proxy(address: str, faults: Faults) -> Iterator[Faults]:
    """Passes requests on to a server; `faults.address` is where it listens."""
    upstream = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 120  # seconds; of a client that keeps a connection and never asks again

        def log_message(self, *args: object) -> None:
            pass

        def answer(self) -> None:
            body = self._body()
            fault = faults.draw(self.command, self.path, self.headers.get("Range", ""))
            if fault in ERRORS:
                faults.count(fault)
                content = XML.format(*ERRORS[fault]).encode()
                return self._send(int(fault), [("Content-Type", "application/xml")], content, len(content))
            connection = HTTPConnection(upstream.hostname, upstream.port, timeout=60)
            try:
                kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                connection.request(self.command, self.path, body=body, headers={**kept, "Connection": "close"})
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, HTTPException) as error:
                return self.send_error(502, str(error))
            finally:
                connection.close()
            length = int(answer.headers.get("Content-Length", len(content)))  # a HEAD's is that of another body
            if fault == "short" and len(content) < 2:
                fault = "cut"
            faults.count(fault)
            if fault == "stall":
                faults.released.wait(self.timeout)
                return self._cut()
            if fault == "cut" and not content:
                return self._cut()
            half = content[: len(content) // 2]
            if fault == "short":
                content, length = half, len(half)
            self._send(answer.status, answer.getheaders(), half if fault == "cut" else content, length)
            return self._cut() if fault == "cut" else None

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = answer  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(chunks)

        def _send(self, status: int, headers: list[tuple[str, str]], content: bytes, length: int) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in (*HOP_BY_HOP, "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _cut(self) -> None:
            """Ends the connection in the middle of things."""
            self.wfile.flush()
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that waited no longer

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    faults.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield faults
    finally:
        faults.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
