"""Who may ask the page's server for what."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from own_server import all_of, error_of, head, serving, until

from campus_seg.web import answers, guard
from campus_seg.web.guard import Guard, is_from_elsewhere, is_local_name

EVENT = {"data": ["abc", 50, [0, 1]], "fn_index": 7, "session_hash": "a1b2", "event_data": None, "trigger_id": 3}
SECURITY = ("content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options")


async def echo(scope, receive, send):
    """Answers with the method, the path and the body; like gradio, it lets any site read its answers."""
    body, more = b"", True
    while scope["method"] == "POST" and more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/results/broken":
        raise ValueError("in /secret/place")
    if scope["path"] == "/assets/broken.js":
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Traceback in /secret/place", "more_body": False})
        return
    large = b"x" * 300_000 if scope["path"] == "/results/large" else b""
    headers = [(b"access-control-allow-origin", b"http://localhost:1"), (b"server", b"uvicorn")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    content = scope["method"].encode() + b" " + scope["path"].encode() + b" " + body + large
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
def server():
    with serving(Guard(echo, {7: 3})) as running:
        yield running


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/assets/index-D_1.js", "/static/js/iframeResizer.min.js", "/theme.css", "/favicon.ico"),
        *("/results/abc/view", "/examples/0.jpg"),
    ],
)
def test_what_the_page_needs(server, path):
    answer = server.ask("GET", path)
    assert answer.status_code == 200 and answer.text == f"GET {path} "
    assert all(name in answer.headers for name in SECURITY) and "server" not in answer.headers
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers.get("cache-control") == (None if path.startswith("/assets/") else "no-store")


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/file=/etc/passwd"),
        *("/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/queue/join", "/gradio_api/queue/data", "/login"),
        *("/gradio_api/heartbeat/abc", "/gradio_api/stream/a/1/2/playlist.m3u8", "/gradio_api/info", "/config"),
        *("/gradio_api/call/show", "/gradio_api/vibe-edit", "/gradio_api/mcp/", "/monitoring", "/gradio_api/deep_link"),
        *("/gradio_api/component_server", "/gradio_api/runs", "/gradio_api/startup-events", "/gradio_api/reset"),
        *("/assets/..%2f..%2fetc%2fpasswd", "/assets/%2e%2e/x", "/assets//etc/passwd", "/static/a/..%2f..%2fx"),
        *("/assets/a%5c..%5cb", "/assets/a%00b", "/svelte/x", "/photosx", "/results%0d%0aX: y", "/gradio_api/run/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_nothing_else_is_there(server, path, method):
    answer = server.ask(method, path, data=b"{}" if method != "GET" else None)
    assert answer.status_code == 404 and answer.text == f"{answers.NOTHING}\n"
    assert all(name in answer.headers for name in SECURITY)


def test_other_methods(server):
    for method, path in (
        ("POST", "/"),
        ("DELETE", "/results/a"),
        ("OPTIONS", "/photos"),
        ("GET", "/gradio_api/run/show"),
    ):
        answer = server.ask(method, path)
        assert answer.status_code == 405 and "Allow" in answer.headers, path
    assert server.ask("GET", "/results/a/view", data=b"x").status_code == 400  # whose body nobody reads


def test_an_event(server):
    answer = server.ask("POST", "/gradio_api/run/show", json=EVENT)
    assert answer.text == f"POST /gradio_api/run/show {json.dumps(EVENT)}"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"oauth_token": "x"}, 400),
        ({"batched": True}, 400),
        ({"event_id": "x"}, 400),
        ({"fn_index": 8}, 400),
        ({"fn_index": "7"}, 400),
        ({"data": ["abc", 50]}, 400),
        ({"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 50, []]}, 400),
        ({"data": ["abc", 50, [{"path": "/etc/passwd"}]]}, 400),
        ({"data": ["abc", 50, [0] * 2001]}, 400),
        ({"session_hash": "../x"}, 400),
        ({"session_hash": "a" * 41}, 400),
        ({"data": ["a" * 70_000, 50, []]}, 413),
    ],
)
def test_an_event_that_is_none_of_the_page(server, change, status):
    answer = server.ask("POST", "/gradio_api/run/show", json={**EVENT, **change})
    assert (answer.status_code, error_of(answer)) == (status, answers.ODD)


def test_what_is_no_event(server):
    for content in (b"", b"{", b"\xff", b"[" * 60_000, b'{"data": []}'):
        assert server.ask("POST", "/gradio_api/run/show", data=content).status_code == 400


def test_faults_are_told_in_plain_words(server, caplog):
    own, of_gradio = server.ask("GET", "/results/broken"), server.ask("GET", "/assets/broken.js")
    assert (own.status_code, error_of(own)) == (500, answers.GONE_WRONG)
    assert (of_gradio.status_code, of_gradio.text) == (500, f"{answers.GONE_WRONG}\n")
    assert "ValueError: in /secret/place" in caplog.text


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),  # no browser
        ({"sec-fetch-site": "same-origin", "origin": "https://other"}, False),  # the browser knows better than the host
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site", "content-type": "application/json"}, True),
        ({"origin": "http://a:80", "host": "a:80"}, False),
        ({"origin": "http://a", "host": "b"}, True),
        ({"origin": "http://a", "host": "b", "content-type": "text/plain; charset=utf-8"}, True),
        ({"origin": "http://a", "host": "b", "x-forwarded-host": "a"}, False),  # behind a reverse proxy
        (
            {"origin": "http://a", "host": "b", "content-type": "application/octet-stream"},
            False,
        ),  # another site may not
        ({"origin": "null", "host": "b"}, True),
        ({"origin": "http://[", "host": "b"}, True),
    ],
)
def test_who_may_have_been_led_here_by_another_site(headers, elsewhere, server):
    assert is_from_elsewhere(headers) is elsewhere
    answer = server.ask("POST", "/photos", data=b"x", headers={"host": "127.0.0.1", "content-type": "", **headers})
    assert answer.status_code == (403 if elsewhere else 200)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(
            (name, True)
            for name in ("127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860", "10.0.0.1", "a.localhost")
        ),
        *((name, False) for name in ("", "evil.example", "127.0.0.1.evil.example:7860", "localhost.evil", "[")),
    ],
)
def test_names_of_this_computer(host, local):
    assert is_local_name(host) is local


def test_other_names_are_refused_only_where_all_depends_on_the_address():
    other = {"host": "evil.example"}
    with serving(Guard(echo, {}, local=True)) as here:
        assert here.ask("GET", "/", headers=other).status_code == 421
        assert here.ask("GET", "/").status_code == 200
    with serving(Guard(echo, {}, local=True, password="secret")) as here:
        assert here.ask("GET", "/", headers=other, auth=("x", "secret")).status_code == 200


def test_a_password(monkeypatch):
    monkeypatch.setattr(guard, "WRONG_SECONDS", 1.0)
    with serving(Guard(echo, {}, password="secret")) as here:
        for path in ("/", "/photos", "/assets/a.js", "/gradio_api/upload"):
            missing = here.ask("GET", path)
            assert missing.status_code == 401 and missing.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert here.ask("GET", "/", auth=("anybody", "secret")).status_code == 200
        began = time.monotonic()
        assert here.ask("GET", "/", auth=("anybody", "Secret")).status_code == 401
        assert time.monotonic() - began >= 1.0
        for odd in ("Basic", "Basic !", "Bearer secret", "Basic c2VjcmV0"):
            assert here.ask("GET", "/", headers={"authorization": odd}).status_code == 401


def test_wrong_passwords_keep_nobody_out(monkeypatch):
    """More of them than wait at once are sent away."""
    go_on = threading.Event()

    async def wait(_):
        while not go_on.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(guard, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": wait}))
    with ExitStack() as stack:
        here = stack.enter_context(serving(Guard(echo, {}, password="secret")))
        threads = stack.enter_context(ThreadPoolExecutor(25))
        stack.callback(go_on.set)
        wrong = [threads.submit(here.ask, "GET", "/", headers={"authorization": "Basic !"}) for _ in range(25)]
        until(lambda: sum(one.done() for one in wrong) == 15)
        assert here.ask("GET", "/", auth=("", "secret")).status_code == 200
        assert here.ask("GET", "/").status_code == 401  # browsers ask first without one
        assert {one.result().status_code for one in wrong if one.done()} == {429}
        waiting = [one for one in wrong if not one.done()]
        go_on.set()
        assert [one.result().status_code for one in waiting] == [401] * 10


def test_a_body_that_never_ends(monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    with serving(Guard(echo, {})) as here:
        began = time.monotonic()
        with here.dial(head("POST", "/photos", Content_Length=100) + b"x") as line:
            told = all_of(line)
        assert time.monotonic() - began >= 0.5 and told.startswith(b"HTTP/1.1 408") and b"took too long" in told
        monkeypatch.undo()
        assert here.ask("POST", "/photos", data=b"x").status_code == 200


def test_who_has_sent_all_may_wait():
    """For the answer, as long as it takes."""

    async def take(last):
        messages = [{"type": "http.request", "body": b"x", "more_body": not last}, {"type": "http.disconnect"}]

        async def receive():
            if len(messages) == 1:
                await asyncio.sleep(0.01)
            return messages.pop(0)

        timed = guard._timed(receive, 0)  # what is there at once is in time, also then
        await timed()
        return await timed()

    assert asyncio.run(take(last=True))["type"] == "http.disconnect"
    with pytest.raises(answers.SlowLineError):
        asyncio.run(take(last=False))


def test_an_event_that_never_ends(monkeypatch):
    monkeypatch.setattr(guard, "EVENT_SECONDS", 0.5)
    begun = head("POST", "/gradio_api/run/x", Content_Length=100) + b"{"
    with serving(Guard(echo, {})) as here, here.dial(begun) as line:
        line.settimeout(5)
        assert line.recv(12) == b"HTTP/1.1 408"


def test_an_answer_that_nobody_takes(monkeypatch):
    monkeypatch.setattr(answers, "PIECE_SECONDS", 0.5)
    ended = []

    async def large(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"x" * 50_000_000})
        except answers.SlowLineError:
            ended.append("slow")
            raise

    with serving(Guard(large, {})) as here, here.dial(head("GET", "/results/a/view")):
        until(lambda: ended)
    assert ended == ["slow"]


def test_a_reader_that_takes_too_little(monkeypatch):
    """Takes a piece now and then, each in time, but not all of them."""
    monkeypatch.setattr(answers, "PIECE_SECONDS", 1.0)
    monkeypatch.setattr(answers, "PIECE", 1000)
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 1.0)
    sent = []

    async def slowly(message):
        sent.append(len(message.get("body", b"")))
        await asyncio.sleep(0.1)  # 10 kB a second: all would take 10 s

    async def read():
        answer = answers.Answer(slowly, as_json=False, plain=True)
        await answer.send({"type": "http.response.start", "status": 200, "headers": []})
        await answer.send({"type": "http.response.body", "body": b"x" * 100_000})

    with pytest.raises(answers.SlowLineError):
        asyncio.run(read())
    assert 1 < len(sent) <= 11


def test_answers_come_whole(server):
    assert server.ask("GET", "/results/large").text == "GET /results/large " + "x" * 300_000
