"""A real Label Studio 1.23, started from an environment of its own (make test-label-studio) with an empty database."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import Connection

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(os.environ.get("LABEL_STUDIO_BIN", ROOT / ".venv-label-studio" / "bin"))
USER, PASSWORD = "annotator@example.com", "campus-photos-1"
TOKEN = "c0ffee" * 6 + "c0ff"
STARTS_WITHIN = 240  # seconds; an empty database takes some hundred migrations
# It would ask the internet for news, and send what it does and where it fails.
QUIET = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
# Without these it would not talk to a backend on its own machine.
LOCAL = {"ML_BLOCK_LOCAL_IP": "false", "SSRF_PROTECTION_ENABLED": "false"}
SETTINGS = {**QUIET, **LOCAL, "DISABLE_SIGNUP_WITHOUT_LINK": "true", "DJANGO_DB": "sqlite"}
# Of this process's environment it gets no more: it would find whatever Label Studio a developer has set up there, and
# fill that one's database.
KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")


@dataclass
class Server:
    """The server, and what its API does that this project does not.

    Attributes:
        url: its address.
        personal: a personal access token.
    """

    url: str
    personal: str = ""

    def ask(self, method: str, path: str, *, parse: bool = True, **options: Any) -> Any:
        """The JSON of an answer, or its bytes."""
        headers = {"Authorization": f"Token {TOKEN}"}
        answer = requests.request(method, self.url + path, headers=headers, timeout=120, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if parse else answer.content

    def make_project(self, title: str, interface: str) -> int:
        """An empty project's number."""
        return self.ask("POST", "/api/projects/", json={"title": title, "label_config": interface})["id"]

    def upload(self, project: int, photos: dict[str, bytes]) -> dict[str, int]:
        """Name -> task of photos."""
        files = [(f"file{i}", photo) for i, photo in enumerate(photos.items())]
        self.ask("POST", f"/api/projects/{project}/import", files=files)
        tasks = self.ask("GET", f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")
        return {task["file_upload"].partition("-")[2]: task["id"] for task in tasks}

    def add_user(self, name: str) -> int:
        """The number of a second annotator."""
        return self.ask("POST", "/api/users/", json={"username": name, "email": f"{name}@example.com"})["id"]

    def annotate(self, task: int, result: list[dict[str, Any]], **options: Any) -> None:
        """Submits regions as a person does."""
        self.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": result, **options})

    def client(self, project: int, token: str = TOKEN) -> Client:
        """This project's own client."""
        return Client(Connection(self.url, token, timeout=60), project)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server whose database lies in an empty folder."""
    if not (BIN / "label-studio").is_file():
        pytest.fail(f"there is no Label Studio in {BIN}: make test-label-studio installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [BIN / "label-studio", "start", "--data-dir", folder, "--no-browser", "--internal-host", "127.0.0.1"]
    command += ["--port", port, "--username", USER, "--password", PASSWORD, "--user-token", TOKEN]
    command += ["--enable-legacy-api-token"]
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"HOME": str(folder), **SETTINGS}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            **{"stdout": log, "stderr": log, "env": environment, "start_new_session": True},
        )
    try:
        server = Server(f"http://127.0.0.1:{port}")
        _wait(server, process, folder / "log.txt")
        server.personal = server.ask("POST", "/api/token/")["token"]
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(server: Server, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{server.url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    pytest.fail(f"Label Studio does not start: {log.read_text()[-2000:]}")
