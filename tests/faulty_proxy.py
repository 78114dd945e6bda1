"""Proxies on the loopback that let requests, or connections, fail as servers and networks do."""

import contextlib
import itertools
import random
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
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
        hits: (fault, method, path) of every request that failed.
    """

    share: float = 0.1
    kinds: tuple[str, ...] = FAULTS
    seed: int = 0
    only: str = ""
    made: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    hits: list[tuple[str, str, str]] = field(default_factory=list)
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

    def count(self, fault: str, method: str, path: str) -> None:
        """Notes what became of a request."""
        with self._lock:
            self.made[fault] += 1
            if fault:
                self.hits.append((fault, method, path))

    def of(self, method: str, ending: str) -> set[str]:
        """The kinds of faults that hit a method on paths with an ending, such as GETs of ".jpg"."""
        return {fault for fault, asked, path in self.hits if asked == method and urlsplit(path).path.endswith(ending)}


def seed_that_hits(requests: Iterable[tuple[str, str]], kinds: tuple[str, ...] = FAULTS, first: int = 0) -> int:
    """The first seed, from a number on, by which each kind of fault hits one of these requests at its first time.

    Args:
        requests: (method, path), without a range.
        kinds: as those of `Faults`.
        first: the number.
    """
    requests = list(requests)
    for seed in itertools.count(first):
        faults = Faults(seed=seed, kinds=kinds)
        if {faults.draw(method, path, "") for method, path in requests} >= set(kinds):
            return seed
    raise AssertionError


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
                faults.count(fault, self.command, self.path)
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
            faults.count(fault, self.command, self.path)
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


@dataclass
class Cuts:
    """Connections that end in the middle of things: each after a number of bytes that a seed draws.

    Attributes:
        least, most: bytes, in both directions, between which a connection ends; how many is drawn for each.
        seed: of the draws.
        on: whether any are cut.
        lengths: bytes after which connections were cut.
        port: at which it listens.
    """

    least: int
    most: int
    seed: int = 0
    on: bool = True
    lengths: list[int] = field(default_factory=list)
    port: int = 0


@contextlib.contextmanager
def cutting(port: int, cuts: Cuts) -> Iterator[Cuts]:
    """Passes the bytes of connections on to a port of this machine, and ends connections; `cuts.port` is its own."""
    draws = random.Random(cuts.seed)
    open_ones: set[socket.socket] = set()

    def serve(client: socket.socket, limit: int) -> None:
        server = socket.create_connection(("127.0.0.1", port))
        both = {client, server}
        open_ones.update(both)
        lock, total, cut = threading.Lock(), 0, False

        def pass_on(source: socket.socket, target: socket.socket) -> None:
            nonlocal total, cut
            with contextlib.suppress(OSError):
                while data := source.recv(4096):
                    with lock:
                        total += len(data)
                        if cuts.on and total >= limit:
                            cuts.lengths += [] if cut else [limit]
                            cut = True
                            break
                    target.sendall(data)
            for each in both:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        threads = [
            threading.Thread(target=pass_on, args=pair, daemon=True) for pair in ((client, server), (server, client))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in both:
            each.close()
        open_ones.difference_update(both)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        cuts.port = listening.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    limit = draws.randint(cuts.least, cuts.most)
                    threading.Thread(target=serve, args=(client, limit), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield cuts
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in list(open_ones):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
