"""An ASGI application behind the page's own kind of lines, in a thread, and bytes sent to it by hand; for tests."""

import contextlib
import json
import socket
import threading
import time
from types import SimpleNamespace

import requests
import uvicorn

from campus_seg.web.lines import options


@contextlib.contextmanager
def serving(app, **changed):
    """A server of the application; `get`, `post` … ask it, `dial` opens a line to it."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **{**options(), **changed}))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    while not server.started:
        time.sleep(0.01)
    session = requests.Session()
    session.trust_env = False

    def ask(method, path, **options):
        return session.request(method, f"http://127.0.0.1:{port}{path}", **{"timeout": 30, **options})

    def dial(content=b""):
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        line.sendall(content)
        return line

    try:
        yield SimpleNamespace(port=port, ask=ask, dial=dial, server=server)
    finally:
        session.close()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def all_of(line):
    """What still comes on a line until it is closed or cut."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := line.recv(65536):
            parts.append(part)
    return b"".join(parts)


def head(method="GET", path="/", **headers):
    """The head of a request, as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def until(true, seconds=30):
    """Waits until something is true, which threads make so."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


def error_of(answer):
    """The words of a refusal."""
    return json.loads(answer.content)["error"]
