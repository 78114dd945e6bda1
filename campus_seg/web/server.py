"""The page's server: the routes, gradio's page behind the guard, and how it begins and ends."""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campus_seg.errors import ConfigError, Stopped, one_line
from campus_seg.web.limits import SWEEP

if TYPE_CHECKING:  # they need gradio, whose absence `require_gradio` explains
    import gradio as gr

    from campus_seg.web.routes import Parts

BEGIN_SECONDS = 1.0  # in which a program has begun
END_SECONDS = 2.0  # that a photo at the model is waited for, when the server ends
SESSIONS = 100  # of gradio, which keeps a copy of the page for each
LOOPBACK = ("127.", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::", "")
SOMEWHERE = ("192.0.2.1", 9)  # in no network: RFC 5737 keeps it for documentation
OPEN_TO_ALL = "without a password: anybody who reaches it can use the model; set one with --password-file"


@dataclass(frozen=True)
class Listening:
    """Where the server listens.

    Attributes:
        socket: that does; others wait in it until the server has begun.
        address: for people, such as http://127.0.0.1:7860.
        local: only this computer can reach it.
    """

    socket: socket.socket
    address: str
    local: bool


def require_gradio() -> None:
    """Makes gradio ready, which then asks nobody outside for anything and takes no orders from the environment:
    all GRADIO_… are taken out of this process's, but for GRADIO_ROOT_PATH, and GRADIO_TEMP_DIR is set.

    Raises:
        ConfigError: it is not installed.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_") and name != "GRADIO_ROOT_PATH"]:
        del os.environ[name]
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    scratch = Path(tempfile.gettempdir(), f"campus_seg-{secrets.token_hex(8)}")  # there only while the page is built
    os.environ["GRADIO_TEMP_DIR"] = str(scratch)
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"the page needs gradio ({one_line(str(error))}): pip install 'campus_seg[web]'") from None


def listen(host: str, port: int) -> Listening:
    """Takes a port, before a model is loaded for nothing.

    Raises:
        ConfigError: it is taken, or the host is no address of this machine.
    """
    bare = host.removeprefix("[").removesuffix("]")
    shown = f"[{bare}]" if ":" in bare else bare
    try:
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):
        raise ConfigError(f"--host {host}: is no address of this machine; give 127.0.0.1, or another of its") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        listening.close()
        other = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
        raise ConfigError(f"{shown}:{port}: cannot be listened on ({error.strerror}); give another {other}") from None
    local = listening.getsockname()[0].startswith(LOOPBACK)
    if bare in EVERY_ADDRESS:
        shown = _own_address() or shown
    return Listening(listening, f"http://{shown}:{listening.getsockname()[1]}", local)


def _own_address() -> str:
    """This machine's address in its network, which others can open; "" where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(SOMEWHERE)  # finds the way there, and sends nothing
            return outward.getsockname()[0]
        except OSError:
            return ""


def events_of(blocks: "gr.Blocks") -> dict[int, int]:
    """The events of a page for the guard: gradio's number of each -> how many inputs it brings.

    Raises:
        ValueError: one of them would go through gradio's queue, which keeps what it is given.
    """
    if queued := [event.api_name for event in blocks.fns.values() if event.queue is not False]:
        raise ValueError(f"the page's events {queued}: need queue=False")
    return {number: len(event.inputs) for number, event in blocks.fns.items()}


def application(parts: "Parts", blocks: "gr.Blocks", look: Mapping[str, Any], sweep: Callable[[], Any]) -> Callable:
    """The routes and gradio's page as one ASGI application, without a guard; removes the folder GRADIO_TEMP_DIR.

    Args:
        parts: of the routes.
        blocks: the page.
        look: its css, js and head, for gradio.
        sweep: forgets what is too old; called each minute.
    """
    import gradio as gr
    from starlette.applications import Starlette

    from campus_seg.web.guard import OWN
    from campus_seg.web.routes import Routes

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweeping(sweep))
        yield
        sweeping.cancel()

    blocks.state_session_capacity = SESSIONS
    behind = Starlette(lifespan=lifespan)
    own = {"footer_links": [], "run_history": False, "show_error": False, "ssr_mode": False, "pwa": False}
    own |= {"mcp_server": False, "enable_monitoring": False}
    try:
        gr.mount_gradio_app(behind, blocks, "/", **{**look, **own})
    finally:  # it makes a folder for its editor, which is not to be had here
        shutil.rmtree(os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
    routes = Routes(parts)

    async def both(scope, receive, send) -> None:
        own = scope["type"] == "http" and OWN.fullmatch(scope["path"])
        await (routes if own else behind)(scope, receive, send)

    return both


async def _sweeping(sweep: Callable[[], Any]) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        sweep()


def serve(
    app: Callable, listening: Listening, *, begun: Callable[[], Any], end: Callable[[], bool], share: bool = False
) -> None:
    """Answers until it is stopped. Where a thread is still at work then, this ends the process.

    Args:
        app: ASGI.
        listening: where.
        begun: called once answers are given.
        end: begins no more work; whether a thread is still at some.
        share: also under gradio's public address.

    Raises:
        KeyboardInterrupt: Ctrl-C, or `Stopped` by another signal, as a tool's main wants it.
    """
    import uvicorn

    from campus_seg.web.lines import options

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            begun()
            sharing.open()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            end()
            await super().shutdown(sockets)

    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would print pages on what the guard has said
    sharing = Sharing(listening, share)
    try:
        Server(uvicorn.Config(app, **options())).run([listening.socket])
        raise KeyboardInterrupt  # of whose signal nothing else is seen in a script's background, where it is ignored
    except KeyboardInterrupt as stopped:
        until = time.monotonic() + END_SECONDS
        while end() and time.monotonic() < until:
            time.sleep(0.05)
        opening = sharing.close()
        if opening or end():
            _end_at_once(stopped)
        raise
    finally:
        sharing.close()


def _end_at_once(stopped: KeyboardInterrupt) -> None:
    """Ends the process while a thread is in a library: the interpreter's own end crashes there at times."""
    known = isinstance(stopped, Stopped)
    print(stopped if known else "stopped", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(128 + stopped.signal_number if known else 130)


class Sharing:
    """Gradio's public address for the page, from which a program of gradio's forwards to this computer.

    Args:
        listening: where the page is.
        wanted: else nothing is done.
    """

    def __init__(self, listening: Listening, wanted: bool):
        self._listening, self._wanted = listening, wanted
        self._opening = threading.Thread(target=self._open, daemon=True)

    def open(self) -> None:
        """Asks for the address, and prints it when it is there."""
        if self._wanted:
            self._opening.start()

    def close(self) -> bool:
        """Ends the program, which would outlive this process.

        Returns:
            Whether it may still be begun, unless this process ends at once.
        """
        if not self._wanted:
            return False
        from gradio.tunneling import CURRENT_TUNNELS

        until = time.monotonic() + BEGIN_SECONDS
        while any(tunnel.proc is None and tunnel.url is None for tunnel in CURRENT_TUNNELS):  # it is begun just now
            if not self._opening.is_alive() or time.monotonic() > until:
                break
            time.sleep(0.01)
        for tunnel in list(CURRENT_TUNNELS):
            with contextlib.redirect_stdout(sys.stderr):
                tunnel.kill()
        CURRENT_TUNNELS.clear()
        return self._opening.is_alive()

    def _open(self) -> None:
        from gradio import networking

        host, port = self._listening.socket.getsockname()[:2]
        try:
            address = networking.setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)
        except Exception as error:  # of whatever kind: the page is there without it
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            here = f"The page is there without it: {self._listening.address}"
            print(f"no public address could be had; is gradio's server in reach? ({reason}) {here}", file=sys.stderr)
            return
        print(f"{address}: the page for all", flush=True)
