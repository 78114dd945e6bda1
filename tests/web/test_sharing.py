"""The page's public address, without asking gradio's servers for one."""

import os
import signal
import subprocess
import sys

import pytest
from own_server import until
from small_processes import are_gone

from campus_seg.web.server import Sharing, listen

pytestmark = pytest.mark.pages


def test_a_public_address(monkeypatch, capsys):
    from gradio import networking

    asked = []
    listening = listen("127.0.0.1", 0)

    def setup_tunnel(host, port, *rest):
        asked.append((host, port))
        if len(asked) > 1:
            raise RuntimeError("no way\nout")
        return "https://x.gradio.live"

    monkeypatch.setattr(networking, "setup_tunnel", setup_tunnel)
    for wanted in (False, True, True):
        sharing = Sharing(listening, wanted)
        sharing.open()
        until(lambda: not sharing.close())  # noqa: B023
    said = capsys.readouterr()
    assert asked == [("127.0.0.1", listening.socket.getsockname()[1])] * 2
    assert said.out == "https://x.gradio.live: the page for all\n"
    assert said.err == (
        "no public address could be had; is gradio's server in reach? (RuntimeError: no way out) "
        f"The page is there without it: {listening.address}\n"
    )
    listening.socket.close()


SHARED = """
import subprocess, time
from campus_seg.errors import exits_on_bad_input, stop_on_sigterm
from campus_seg.web import server
from campus_seg.web.server import listen, require_gradio, serve
require_gradio()
from gradio import networking, tunneling
server.BEGIN_SECONDS = 60  # for machines that are busy

def setup_tunnel(host, port, *rest):  # as gradio does it, with another program and no request
    tunnel = tunneling.Tunnel("h", 1, host, port, "x", None)
    if {before}:
        print("asked", flush=True)
        time.sleep({before})
    tunneling.CURRENT_TUNNELS.append(tunnel)
    print("asked", flush=True)
    time.sleep({between})
    begun = subprocess.Popen(["sleep", "77"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(begun.pid, flush=True)  # before this process may end
    tunnel.proc = begun
    time.sleep({after})
    tunnel.url = "https://x"
    return tunnel.url

networking.setup_tunnel = setup_tunnel

async def app(scope, receive, send):
    pass

@exits_on_bad_input
def main():
    stop_on_sigterm("stopped")
    serve(app, listen("127.0.0.1", 0), begun=lambda: None, end=lambda: {working}, share=True)

main()
"""


@pytest.mark.parametrize("working", [True, False])
@pytest.mark.parametrize(("before", "between", "after"), [(0, 0, 0), (0, 0, 60), (0, 0.7, 60), (60, 0, 0)])
def test_the_public_address_ends_with_the_page(working, before, between, after):
    """Gradio's program, also one that is only being begun, and also while a thread is at work."""
    code = SHARED.format(working=working, before=before, between=between, after=after)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout.readline() == "asked\n"
        number = 0 if before or between else int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        number = number or next((int(line) for line in process.stdout.read().split() if line.isdecimal()), 0)
        assert bool(number) is not bool(before)
        gone = are_gone([number] if number else [])
        if not gone:
            os.kill(number, signal.SIGKILL)
        assert gone and "stopped" in process.stderr.read()
