"""Lines to the page's server that say nothing, and too many of them."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from own_server import all_of, head, serving, until

from campus_seg.web import lines


def test_lines_that_say_nothing_are_cut(monkeypatch):
    monkeypatch.setattr(lines, "HEAD_SECONDS", 0.5)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    with serving(app, lifespan="off", timeout_keep_alive=3600) as web:  # uvicorn by itself cuts none of them
        for content in (b"", b"GET / HTTP/1.1\r\nHost: x", head() + b"GET / HT"):
            with web.dial(content) as line:
                all_of(line)  # fails where more is waited for
        with web.dial(b"\x16\x03\x01 no HTTP\r\n\r\n") as line:
            told = all_of(line)
            assert told.startswith(b"HTTP/1.1 400") and b"load the page again" in told


def test_too_many_lines_of_which_none_is_silent(monkeypatch):
    monkeypatch.setattr(lines, "MOST_LINES", 2)
    begun, go_on = [], threading.Event()

    async def app(scope, receive, send):
        begun.append(1)
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    with serving(app, lifespan="off") as web, ThreadPoolExecutor(2) as threads, contextlib.ExitStack() as stack:
        stack.callback(go_on.set)
        busy = [threads.submit(web.ask, "GET", "/") for _ in range(2)]
        until(lambda: len(begun) == 2)
        with web.dial(head()) as line:
            assert line.recv(12) == b"HTTP/1.1 503"
        go_on.set()
        assert all(answer.result().status_code == 200 for answer in busy)
