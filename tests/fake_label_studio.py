"""A server on the loopback that answers as Label Studio 1.23 does, and fails as servers do when it is told to."""

import contextlib
import json
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"
INTERFACE = """<View>
  <Image name="image" value="$image"/>
  <PolygonLabels name="polygon" toName="image"><Label value="car"/><Label value="dog"/></PolygonLabels>
  <BrushLabels name="brush" toName="image"><Label value="car"/><Label value="dog"/></BrushLabels>
</View>"""
PIECE = 2**15  # bytes
STALL = 5.0  # seconds; tests wait for less
SHORT, LONG = 0.3, 3.0  # seconds that a client waits in tests of silence, and in others
FILTERS = {
    ("filter:tasks:id", "equal"): lambda task, value: task["id"] == value,
    ("filter:tasks:file_upload", "contains"): lambda task, value: value in task["file_upload"],
}


@dataclass
class FakeLabelStudio:
    """What the server holds, and what it was asked.

    Attributes:
        faults: path -> how it fails, request by request: a status, "stall", "stall within", "cut", "drip", "close",
            "page", "taken" or "late"; None = it does not.
        redirects: path -> the address that it sends on to.
        rate: bytes a second that it takes of what is sent, 0 = as fast as it can.
        page_size_max: of tasks, 0 = whatever is asked for.
        asked: (method, path, Authorization) of every request.
    """

    interface: str = INTERFACE
    tasks: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    model_version: str = ""
    valid: set[str] = field(default_factory=lambda: {f"Token {TOKEN}"})
    buys_nothing: bool = False  # access that is bought is worth nothing
    refuses: set[int] = field(default_factory=set)  # tasks whose predictions it leaves out without a word
    faults: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    late: list[tuple[Any, ...]] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    rate: float = 0
    page_size_max: int = 0
    makes_tasks_later: bool = False  # of files, as editions that are paid for do
    waiting: list[tuple[str, bytes]] = field(default_factory=list)  # files of which no task is made yet
    listed: list[list[str] | None] = field(default_factory=list)  # of which tasks predictions were listed, None = all
    url: str = ""

    def add_photo(self, name: str, content: bytes, **task: Any) -> dict[str, Any]:
        """An upload and its task, without annotations."""
        path = f"/data/upload/1/{quote(name)}"
        self.files[path] = (content, {})
        added = {"id": len(self.tasks) + 1, "data": {"image": path}, "annotations": [], "file_upload": name}
        self.tasks.append({**added, "total_annotations": 0, "cancelled_annotations": 0, **task})
        return self.tasks[-1]

    def count(self, method: str, start: str) -> int:
        """Requests of a method whose path begins so."""
        return sum(asked == method and path.startswith(start) for asked, path, _ in self.asked)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Status and JSON of a request of the API."""
        if path == "/api/projects/1/":
            if method == "PATCH":
                self.model_version = body["model_version"]
            return 200, {
                "id": 1,
                "title": "Campus",
                "label_config": self.interface,
                "model_version": self.model_version,
            }
        if path == "/api/projects/1/export":
            return 200, self.tasks
        if path == "/api/tasks":
            tasks = self.tasks
            if "query" in query:
                (only,) = json.loads(query["query"][0])["filters"]["items"]
                tasks = [task for task in tasks if FILTERS[only["filter"], only["operator"]](task, only["value"])]
            page, size = int(query.get("page", ["1"])[0]), int(query["page_size"][0])
            size = min(size, self.page_size_max or size)
            if page > 1 and (page - 1) * size >= len(tasks):
                return 404, {"detail": "Invalid page."}
            some = tasks[(page - 1) * size : page * size]
            return 200, {"tasks": some, "total": len(tasks), "total_annotations": 0, "total_predictions": 0}
        if path == "/api/projects/1/import":
            assert query["commit_to_project"] == query["return_task_ids"] == ["true"]
            return self.take(*body)
        if path == "/api/predictions/" and method == "POST":
            self.create([body])
            return 201, self.predictions[-1]
        if path == "/api/predictions/":
            self.listed.append(query.get("task"))
            wanted = [int(number) for number in query.get("task", [])]
            return 200, [one for one in self.predictions if not wanted or one["task"] in wanted]
        if path.startswith("/api/predictions/"):
            key = int(path.split("/")[3])
            if method == "PATCH":
                (prediction,) = (one for one in self.predictions if one["id"] == key)
                prediction.update({} if prediction["task"] in self.refuses else body)
                return 200, prediction
            self.predictions = [one for one in self.predictions if one["id"] != key]
            return 204, None
        if path == "/api/projects/1/import/predictions":
            return 201, {"created": self.create(body)}
        return 404, {"detail": "Not found."}

    def take(self, name: str, content: bytes) -> tuple[int, Any]:
        """The import of a file, which becomes a task."""
        ending = name.rpartition(".")[2]
        if ending not in ("jpg", "png", "webp"):
            return 400, {"detail": "Validation error", "validation_errors": [f".{ending} extension is not supported"]}
        if self.makes_tasks_later:
            self.waiting.append((name, content))
            return 201, {"import": 1}
        task = self.add_photo(f"{len(self.tasks):08x}-{name}", content)
        return 201, {"task_count": 1, "file_upload_ids": [1], "task_ids": [task["id"]]}

    def create(self, predictions: list[dict[str, Any]]) -> int:
        """Adds predictions but for those that it refuses; says how many."""
        taken = [one for one in predictions if one["task"] not in self.refuses]
        for one in taken:
            key = 1 + max((other["id"] for other in self.predictions), default=0)
            self.predictions.append({"id": key, **json.loads(json.dumps(one))})
        return len(taken)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FakeLabelStudio

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802 - http.server's names
        state, parts = self.state, urlsplit(self.path)
        try:
            body = self.read()
        except EOFError:  # who asked gave up
            self.close_connection = True
            return
        authorization = self.headers.get("Authorization")
        state.asked.append((self.command, parts.path, authorization))
        fault = state.faults[parts.path].pop(0) if state.faults[parts.path] else None
        if fault == "late":  # the request is carried out after the next one of its kind, and its answer never comes
            state.late.append((self.command, parts.path, parse_qs(parts.query), body))
            fault = 502
        if fault == "taken":  # the request is carried out, and its answer never comes
            state.answer(self.command, parts.path, parse_qs(parts.query), body)
            fault = 502
        if fault == "close":
            self.close_connection = True
            return
        if fault == "stall":
            time.sleep(STALL)
            self.close_connection = True
            return
        if fault == "page":
            self.send(200, b"<html>Welcome</html>")
        elif fault in ("cut", "stall within"):
            self.send(200, b"[" + b" " * 99, length=1000)
            time.sleep(STALL if fault == "stall within" else 0)
            self.close_connection = True
        elif fault == "drip":  # never silent for long, and never done
            self.send(200, b"", length=1000)
            with contextlib.suppress(OSError):
                for _ in range(40):
                    time.sleep(0.05)
                    self.wfile.write(b" ")
                    self.wfile.flush()
            self.close_connection = True
        elif parts.path in state.redirects:
            self.send(303, b"", {"Location": state.redirects[parts.path]})
        elif fault:
            self.send(fault, json.dumps({"detail": "Sorry."}).encode())
        elif parts.path == "/api/token/refresh/":
            good = body["refresh"] == PERSONAL
            access = f"access{len(state.asked)}"
            if good and not state.buys_nothing:
                state.valid.add(f"Bearer {access}")
            answer = {"access": access} if good else {"detail": "Token is invalid"}
            self.send(200 if good else 401, json.dumps(answer).encode())
        elif authorization not in state.valid:
            self.send(401, json.dumps({"detail": f"Invalid token. {authorization}"}).encode())
        elif parts.path in state.files:
            content, headers = state.files[parts.path]
            since = self.headers.get("If-Modified-Since")
            unchanged = since and since == headers.get("Last-Modified")
            self.send(304 if unchanged else 200, b"" if unchanged else content, headers)
        else:
            status, value = state.answer(self.command, parts.path, parse_qs(parts.query), body)
            if self.command == "POST" and state.late:
                state.answer(*state.late.pop())
            self.send(status, b"" if value is None else json.dumps(value).encode())

    def read(self) -> Any:
        """The request's JSON, or name and bytes of its one file."""
        length, body = int(self.headers.get("Content-Length") or 0), b""
        while len(body) < length:
            part = self.rfile.read1(min(PIECE, length - len(body)))
            if not part:
                raise EOFError
            body += part
            time.sleep(len(part) / self.state.rate if self.state.rate else 0)
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            (part,) = (
                BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).iter_parts()
            )
            return part.get_filename(), part.get_payload(decode=True)
        return json.loads(body) if body else None

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        with contextlib.suppress(OSError):  # who asked has gone
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()


def timeout_for(fault: Any) -> float:
    """How long a client is to wait for a server with this fault."""
    return SHORT if str(fault).startswith("stall") else LONG


@contextlib.contextmanager
def running(state: FakeLabelStudio):
    """Serves a state on a free port of the loopback, by `state.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    server.daemon_threads = True
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)  # so that a slow one is felt
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
