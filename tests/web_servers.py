"""tools/web_demo.py in a process of its own, with a small model, for tests."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from judged_runs import odd_export, write_folder, write_judged_run
from small_models import write_weights

TOOLS = Path(__file__).resolve().parents[1] / "tools"
BEGUN = re.compile(r"^(http://\S+): the page$")
PATIENCE = 120  # seconds, for a server to begin


@dataclass
class WebServer:
    """A server that answers.

    Attributes:
        url: with a slash at its end.
        process: the tool's.
        said: the lines it has printed.
    """

    url: str
    process: subprocess.Popen
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])


def write_web_run(folder: Path) -> Path:
    """A run of a random model for classes of odd names, with an import of drawn photos; returns its folder."""
    run = folder / "run"
    cfg = write_judged_run(run, write_folder(odd_export(20), folder / "export"), trained=False)
    write_weights(cfg, run)
    return run


@contextlib.contextmanager
def web_server(run: Path, *more: object, port: int = 0, **environment: str) -> Iterator[WebServer]:
    """Starts the tool on a run.

    Args:
        run: a run's folder.
        more: further arguments.
        port: 0 = any that is free.
        environment: what is added to this process's own.
    """
    command = [sys.executable, TOOLS / "web_demo.py", "--config-file", run / "config.yaml", "--port", port, *more]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    server, begun = WebServer("", process), threading.Event()

    def listen() -> None:
        for line in process.stdout:
            server.said.append(line.rstrip("\n"))
            print(line, end="")  # for those who read why a test failed
            if found := BEGUN.match(server.said[-1]):
                server.url = f"{found[1]}/"
                begun.set()
        begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert begun.wait(PATIENCE) and server.url, "\n".join(server.said)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            listener.join()


def visualized(run: Path, photos: Path, output: Path, *more: object) -> Path:
    """Masks photos with tools/visualize.py, in a process of its own as the server is; returns the output folder."""
    command = [sys.executable, TOOLS / "visualize.py", "--config-file", run / "config.yaml", "--input", photos]
    subprocess.run(
        [str(part) for part in [*command, "--output", output, *more]], check=True, capture_output=True, timeout=PATIENCE
    )
    return output
