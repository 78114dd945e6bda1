"""The server as it is: a process that people reach over lines of their own making."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import requests
from own_server import all_of, error_of, head
from small_models import write_run
from web_servers import web_server

from campus_seg.errors import ConfigError
from campus_seg.web import lines
from campus_seg.web.server import events_of, listen, require_gradio

pytestmark = pytest.mark.pages

LARGE = ("--opts", "CAMPUS.INPUT_SIZE", "3000")  # with which a small model takes seconds
EVENT = {"data": ["", 50, []], "fn_index": 0, "session_hash": "abc"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "run"
    folder.mkdir()
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def running(run, tmp_path_factory):
    """The tool on a small run. A proxy that nobody may ask stands where it would look for the world outside."""
    scratch = tmp_path_factory.mktemp("scratch")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.settimeout(0)
        proxy = f"http://127.0.0.1:{outside.getsockname()[1]}"
        others = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy)
        with web_server(run, TMPDIR=str(scratch), GRADIO_ALLOWED_PATHS="/", GRADIO_SHARE="true", **others) as web:
            web.scratch = scratch
            yield web
            with pytest.raises(BlockingIOError):
                outside.accept()


def photo(width=4000, height=3000, seed=0):
    """A JPEG of some megabytes, as a phone makes them."""
    small = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(small, (width, height)))[1].tobytes()


def ask(web, method, path, **options):
    session = requests.Session()
    session.trust_env = False
    with session:
        return session.request(method, web.url.rstrip("/") + path, **{"timeout": 120, **options})


def memory(web, which="VmRSS"):
    """What the process has in memory, in MB; "VmHWM": the most since it was last forgotten."""
    return int(re.search(rf"{which}:\s+(\d+)", Path(f"/proc/{web.process.pid}/status").read_text())[1]) / 1024


def forget_the_peak(web):
    Path(f"/proc/{web.process.pid}/clear_refs").write_text("5")


def test_a_photo_and_its_files(running):
    found = ask(running, "POST", "/photos?name=a.jpg", data=photo(400, 300)).json()
    assert (found["name"], found["width"], found["height"]) == ("a.jpg", 400, 300) and found["objects"]
    for kind in ("view", "overlay", "binary", "rgb", "instances", "cutouts", "predictions"):
        answer = ask(running, "GET", f"/results/{found['token']}/{kind}?threshold=0.05")
        assert answer.status_code == 200 and len(answer.content) > 100, kind
    assert ask(running, "GET", "/").status_code == 200


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"just text", "This file is no photo"),
        ("a.jpg", b"", "This file is empty"),
        ("../../etc/<script>alert(1)</script>.jpg", b"<html>", "This file is no photo"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + b"x" * 1000, "This"),
    ],
)
def test_what_is_no_photo(running, name, content, told):
    answer = ask(running, "POST", "/photos", params={"name": name}, data=content)
    assert answer.status_code == 400 and error_of(answer).startswith(told)


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/file={}", "/file={}", "/gradio_api/file/{}", "/gradio_api/proxy=file://{}", "/assets/{}"),
        *("/static/{}", "/svelte/{}", "/gradio_api/custom_component/1/client/component/{}", "/theme.css/{}", "/{}"),
        *("/gradio_api/stream/{}", "/results/{}/view", "/results/{}", "/examples/{}", "/examples/{}.jpg", "/photos/{}"),
        *(
            "/gradio_api/deep_link?session_hash={}",
            "/monitoring/{}",
            "/pwa_icon/{}",
            "/gradio_api/upload_progress?x={}",
        ),
    ],
)
@pytest.mark.parametrize("way", ["/etc/passwd", "etc/passwd", "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_file_of_the_server_can_be_had(running, path, way, method):
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as line:
        line.sendall(head(method, path.format(way), Content_Length=0, Connection="close"))
        told = all_of(line)
    assert (
        told.split()[1] in (b"404", b"405", b"403")
        and b"root:" not in told
        and b"/" not in told.partition(b"\r\n\r\n")[2]
    )


def test_nothing_stays_on_the_disk(running):
    ask(running, "POST", "/photos?name=a.jpg", data=photo(400, 300))
    assert [path for path in running.scratch.iterdir() if "torch" not in path.name] == []


def test_whoever_asks_gradio_for_much_gets_little(running):
    """Each session of gradio keeps a copy of the page."""
    assert ask(running, "POST", "/gradio_api/run/predict", json={**EVENT, "session_hash": "x"}).status_code == 200
    before = memory(running)
    with requests.Session() as session:
        session.trust_env = False
        for number in range(2000):
            answer = session.post(f"{running.url}gradio_api/run/predict", json={**EVENT, "session_hash": f"x{number}"})
    assert answer.status_code == 200
    assert memory(running) - before < 60  # MB; without a bound it is more than 100


@pytest.mark.parametrize("percent", ["null", "72.5", "-5", "1" + "0" * 400, "1e308", "true", '"x"', "[]"])
def test_a_score_may_be_anything(running, percent):
    body = json.dumps({**EVENT, "session_hash": "x"}).replace("50", percent)
    headers = {"Content-Type": "application/json"}
    assert ask(running, "POST", "/gradio_api/run/predict", data=body, headers=headers).status_code == 200


def test_many_large_photos_at_once(running):
    """Each is answered or told that the server is busy, in bounded memory."""
    ask(running, "POST", "/photos", data=photo())
    photos = [photo(seed=seed) for seed in range(32)]
    forget_the_peak(running)
    before = memory(running)
    began = time.monotonic()
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda content: ask(running, "POST", "/photos?name=a.jpg", data=content), photos))
    codes = [answer.status_code for answer in answers]
    more = memory(running, "VmHWM") - before
    print(f"{codes.count(200)} answered, {more:.0f} MB more, {time.monotonic() - began:.1f} s")
    assert set(codes) <= {200, 503} and codes.count(200) >= 21  # one at the model, 20 wait
    told = [answer for answer in answers if answer.status_code == 503]
    assert all(answer.headers["Retry-After"] and "again" in error_of(answer) for answer in told)
    assert more < 500  # MB
    assert ask(running, "POST", "/photos", data=photos[0]).status_code == 200


SLOW = {  # what lines begin with that never say all of it, or take no answer
    "silent": b"",
    "head": b"GET / HT",
    "photo": head("POST", "/photos", Content_Length=1000) + b"x",
    "example": head("POST", "/examples/0", Content_Length=1000),
    "event": head("POST", "/gradio_api/run/x", Content_Length=1000) + b"{",
    "reader": head("GET", "/") * 8,
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_lines_keep_nobody_out(running, kind):
    """More of them than there may be lines at all."""
    with contextlib.ExitStack() as stack:
        for _ in range(lines.MOST_LINES + 50):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(20)
            line.connect(("127.0.0.1", running.port))
            with contextlib.suppress(ConnectionError):  # it has made way already
                line.sendall(SLOW[kind])
        for _ in range(2):
            began = time.monotonic()
            assert ask(running, "POST", "/photos", data=photo(400, 300)).status_code == 200
            assert ask(running, "GET", "/").status_code == 200
            assert time.monotonic() - began < 10
            time.sleep(1)


@pytest.mark.parametrize(
    ("number", "status", "working"),
    [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, True), (signal.SIGTERM, 143, False)],
)
def test_it_ends_within_seconds(run, number, status, working):
    with web_server(run, *(LARGE if working else ())) as web, ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(ask, web, "POST", "/photos", data=photo()) for _ in range(8 if working else 0)]
        idle = socket.create_connection(("127.0.0.1", web.port))
        time.sleep(0.7)
        assert not working or not all(one.done() for one in asking)
        began = time.monotonic()
        web.process.send_signal(number)
        assert web.process.wait(15) == status and time.monotonic() - began < 8
        idle.close()
        for one in asking:  # told, or cut off
            with contextlib.suppress(requests.ConnectionError):
                assert one.result().status_code in (200, 503)
    assert web.said[-1] == "stopped" and not any("Traceback" in line for line in web.said)


NEVER_DONE = """
import threading, time
from campus_seg.errors import exits_on_bad_input, stop_on_sigterm
from campus_seg.web.server import listen, serve

async def app(scope, receive, send):
    pass

@exits_on_bad_input
def main():
    stop_on_sigterm("stopped")
    serve(app, listen("127.0.0.1", 0), begun=lambda: print("begun", flush=True), end=lambda: True)

main()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("before", ["", "trap '' INT; "])  # as in a script's background
def test_it_ends_also_while_a_thread_does_not(number, status, before):
    command = ["bash", "-c", f'{before}exec "$@"', "bash", sys.executable, "-c", NEVER_DONE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        assert process.wait(10) == status and process.stderr.read() == "stopped\n"


def test_a_port_that_is_taken():
    first = listen("127.0.0.1", 0)
    port = first.socket.getsockname()[1]
    assert first.address == f"http://127.0.0.1:{port}" and first.local
    with pytest.raises(ConfigError, match=f"^127.0.0.1:{port}: cannot be listened on .*in use.*; give another --port$"):
        listen("127.0.0.1", port)
    first.socket.close()


def test_addresses():
    for host in ("localhost", "127.0.0.2"):
        listening = listen(host, 0)
        assert listening.local and listening.address.startswith(f"http://{host}:")
        listening.socket.close()
    with pytest.raises(ConfigError, match="give another --host"):
        listen("192.0.2.1", 0)
    for host in ("nowhere.invalid", "a" * 99, "", "256.1.1.1", "[", "é" * 70):
        with pytest.raises(ConfigError, match="--host|--port"):
            listen(host, 0).socket.close()


def test_an_address_for_others(monkeypatch):
    """Where the server listens at every address of this machine, one is told that others can open."""
    theirs = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    for host in ("0.0.0.0", "::"):
        listening = listen(host, 0)
        told = urlsplit(listening.address)
        assert not listening.local and told.port == listening.socket.getsockname()[1]
        assert told.hostname in (theirs or [host])
        with socket.create_connection((told.hostname, told.port), timeout=5):
            listening.socket.close()
    monkeypatch.setattr("campus_seg.web.server.SOMEWHERE", ("::1", 9))
    listening = listen("0.0.0.0", 0)
    assert listening.address.startswith("http://0.0.0.0:")
    listening.socket.close()


def test_gradio_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(os, "environ", {**os.environ, "GRADIO_SHARE": "True", "GRADIO_ROOT_PATH": "/x"})
    with pytest.raises(ConfigError, match=r"^the page needs gradio \(.*\): pip install 'campus_seg\[web\]'$"):
        require_gradio()
    assert "GRADIO_SHARE" not in os.environ and os.environ["GRADIO_ROOT_PATH"] == "/x"
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_an_event_with_a_queue_is_refused():
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as page:
        text = gr.Textbox()
        text.change(lambda a: a, text, text, queue=False)
        assert events_of(page) == {0: 1}
        text.submit(lambda a: a, text, text)
    with pytest.raises(ValueError, match="queue=False"):
        events_of(page)
