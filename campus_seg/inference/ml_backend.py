"""The model behind Label Studio's ML-backend routes, as a WSGI application (PEP 3333).

What Label Studio 1.23 asks for: GET /health and /versions, POST /setup, /predict, /validate and, of projects with this
backend, /webhook for every event, which is of no use here.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from campus_seg.errors import ConfigError, LabelStudioError
from campus_seg.inference.preannotation import Preannotator
from campus_seg.label_studio.interface import ClassControls, Interface
from campus_seg.label_studio.raw import NO_JSON
from campus_seg.passwords import CHALLENGE, brings_password
from campus_seg.photos import PhotoError

MAX_BODY = 2**24  # bytes of a request: tasks and an interface, no photos
STATUS = {200: "200 OK", 400: "400 Bad Request", 401: "401 Unauthorized", 404: "404 Not Found"}
STATUS |= {405: "405 Method Not Allowed", 413: "413 Content Too Large", 500: "500 Internal Server Error"}
logger = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class _AskedTask(msgspec.Struct):
    id: int


class _Question(msgspec.Struct):
    """What /predict is asked.

    Who asks, and with what access, is not looked at; nor where a task's photo is said to lie, or whoever asks could
    have anything fetched that this server can reach.
    """

    tasks: list[_AskedTask]
    label_config: str = ""


class _Interface(msgspec.Struct):
    """What /setup and /validate bring: an interface, by either name."""

    schema: str = ""
    config: str = ""


class _BadRequestError(Exception):
    """What is answered with its status and reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Backend:
    """The application.

    Args:
        annotator: what predicts; it fetches the photos itself, from its own server and with its own token.
        password: that every request has to bring (HTTP Basic, any user), as Label Studio does where it is set there.
    """

    def __init__(self, annotator: Preannotator, password: str):
        self._annotator = annotator
        self._password = password
        self._one_at_a_time = threading.Lock()  # a predictor is for one thread
        self._routes = {
            ("GET", "/"): self._health,
            ("GET", "/health"): self._health,
            ("GET", "/versions"): lambda _: {"versions": [annotator.model_version]},
            ("POST", "/setup"): self._setup,
            ("POST", "/validate"): self._setup,
            ("POST", "/predict"): self._predict,
            ("POST", "/webhook"): lambda _: {},
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        headers = [("Content-Type", "application/json")]
        try:
            status, answer = 200, self._answered(environ)
        except _BadRequestError as error:
            status, answer = error.status, {"error": str(error)}
            if status == 401:
                headers.append(("WWW-Authenticate", CHALLENGE))
        except LabelStudioError as error:
            logger.error("%s", error)
            status, answer = 500, {"error": str(error)}
        content = msgspec.json.encode(answer)
        start_response(STATUS[status], [*headers, ("Content-Length", str(len(content)))])
        return [content]

    def _answered(self, environ: dict[str, Any]) -> Any:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "").rstrip("/") or "/"
        if not brings_password(environ.get("HTTP_AUTHORIZATION", ""), self._password):
            raise _BadRequestError(401, "the password is missing or wrong")
        route = self._routes.get((method, path))
        if route is None:
            known = any(path == other for _, other in self._routes)
            raise _BadRequestError(405 if known else 404, f"no {method} {path[:100]} here")
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise _BadRequestError(413, f"more than {MAX_BODY} bytes")
        return route(environ["wsgi.input"].read(int(length)))

    def _health(self, _: bytes) -> dict[str, str]:
        return {"status": "UP", "model_class": "campus_seg", "model_version": self._annotator.model_version}

    def _setup(self, body: bytes) -> dict[str, str]:
        given = _read(body, _Interface)
        xml = given.schema or given.config
        if xml:
            try:
                self._annotator.controls(Interface.parse(xml, "this project"))
            except LabelStudioError as error:  # Label Studio shows it to who connects the model
                raise _BadRequestError(400, str(error)) from None
        return {"model_version": self._annotator.model_version}

    def _predict(self, body: bytes) -> dict[str, Any]:
        question = _read(body, _Question)
        try:
            interface = Interface.parse(question.label_config, "this project")
            controls = self._annotator.controls(interface)
        except LabelStudioError as error:
            raise _BadRequestError(400, str(error)) from None
        return {"results": [self._prediction(task.id, interface, controls) for task in question.tasks]}

    def _prediction(self, number: int, interface: Interface, controls: ClassControls) -> dict[str, Any]:
        """One task's; where its photo cannot be had one without a result, which Label Studio does not keep."""
        try:
            image = self._annotator.photo(number, interface, controls)
        except PhotoError as error:
            logger.warning("task %s: %s", number, error)
            return {"error": "the photo cannot be had; this server's log says why"}
        with self._one_at_a_time:
            (instances,) = self._annotator.predictor([image])
        regions, score = self._annotator.regions(image, instances, controls)
        logger.info("task %s: %d regions", number, len(regions))
        return {"result": regions, "score": score, "model_version": self._annotator.model_version}


def serve(annotator: Preannotator, password: str, host: str, port: int) -> None:
    """Answers until it is stopped.

    Raises:
        ConfigError: nothing can listen there, or what listens is not installed.
    """
    try:
        import waitress
    except ImportError:
        raise ConfigError("serve needs waitress: pip install 'campus_seg[serve]'") from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings show addresses, with keys to photos in them
    shown = f"[{host}]" if ":" in host else host
    try:
        server = waitress.create_server(
            Backend(annotator, password), host=host, port=port, ident=None, max_request_body_size=MAX_BODY
        )
    except OSError as error:
        raise ConfigError(f"{shown}:{port}: cannot be listened on ({error.strerror}); give another --port") from None
    except ValueError:
        raise ConfigError(f"--host {host}: is no address of this machine; give 127.0.0.1, or another of its") from None
    # A name may have several addresses, such as localhost.
    port = getattr(server, "effective_listen", [(host, getattr(server, "effective_port", port))])[0][1]
    print(f"http://{shown}:{port}: {annotator.model_version}; Ctrl-C stops it", flush=True)
    server.run()


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except NO_JSON as error:
        raise _BadRequestError(400, f"not what Label Studio asks ({error})") from None
