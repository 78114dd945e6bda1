"""What Label Studio asks an ML backend, and what others may not."""

import base64
import io
import json
import socket
from wsgiref.util import setup_testing_defaults

import pytest
from preannotated import BOX, CARS, CORNERS, Model, photo

from campus_seg.errors import ConfigError
from campus_seg.inference.ml_backend import MAX_BODY, Backend, serve
from campus_seg.inference.preannotation import Preannotator
from campus_seg.inference.selection import Selection

PASSWORD = "open-sesame"


@pytest.fixture
def backend(label_studio, client):
    label_studio.interface = CARS
    label_studio.add_photo("a.png", photo(BOX))
    return Backend(Preannotator(client(), Model(), Selection(), "campus"), PASSWORD)


def ask(backend, method, path, value=None, *, authorization=("anyone", PASSWORD), body=None, **environ):
    """Status, headers and JSON of an answer."""
    body = json.dumps(value).encode() if body is None else body
    if isinstance(authorization, tuple):
        authorization = "Basic " + base64.b64encode(":".join(authorization).encode()).decode()
    asked = {"REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(body))}
    asked |= {"HTTP_AUTHORIZATION": authorization, "wsgi.input": io.BytesIO(body), **environ}
    setup_testing_defaults(asked)
    heads = []
    content = b"".join(backend(asked, lambda *head: heads.append(head)))
    ((status, headers),) = heads
    assert int(dict(headers)["Content-Length"]) == len(content)
    return int(status[:3]), dict(headers), json.loads(content)


def test_routes_that_label_studio_knows(backend):
    """As its 1.23 asks them."""
    assert ask(backend, "GET", "/health")[2]["status"] == "UP"
    version = ask(backend, "POST", "/setup", {"project": "1.2", "schema": CARS, "access_token": "t"})[2][
        "model_version"
    ]
    assert version.startswith("campus ")
    assert ask(backend, "GET", "/versions")[2] == {"versions": [version]}
    assert ask(backend, "POST", "/validate", {"config": CARS})[0] == 200
    assert ask(backend, "POST", "/webhook", {"action": "ANNOTATION_CREATED"})[::2] == (200, {})


def test_a_prediction(backend, label_studio):
    tasks = [{"id": 1, "project": 1, "data": {"image": "/data/upload/1/a.png"}}]
    tasks.append({"id": 2, "project": 1, "data": {"image": "/data/upload/1/absent.png"}})
    question = {"tasks": tasks, "project": "1.2", "label_config": CARS, "params": {"context": None}}
    status, _, answer = ask(backend, "POST", "/predict", question)
    found, failed = answer["results"]
    ((region,), score) = found["result"], found["score"]
    assert status == 200 and {tuple(point) for point in region["value"]["points"]} == CORNERS and 0.5 < score < 1
    assert "result" not in failed and "404" in failed["error"]  # which Label Studio does not keep
    assert label_studio.asked[-1][2].startswith("Token ")


def test_an_interface_that_does_not_fit_is_said(backend):
    for path, value in (("/setup", {"schema": "<View/>"}), ("/predict", {"tasks": [], "label_config": "<View/>"})):
        status, _, answer = ask(backend, "POST", path, value)
        assert status == 400 and "shows no photo" in answer["error"]


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic ???", f"Token {PASSWORD}", ("a", "b"), ("a", ""), f"Basic {PASSWORD}"]
)
@pytest.mark.parametrize("path", ["/health", "/predict", "/other"])
def test_without_the_password_nothing_is_said(authorization, path, backend):
    status, headers, answer = ask(backend, "GET", path, authorization=authorization)
    assert (status, set(answer)) == (401, {"error"}) and headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/predict", {}, 405),
        ("GET", "/nothing", {}, 404),
        ("POST", "/predict", {"body": b"{"}, 400),
        ("POST", "/predict", {"body": b"[]"}, 400),
        ("POST", "/predict", {"body": b'{"tasks": [{"id": "x"}]}'}, 400),
        ("POST", "/predict", {"CONTENT_LENGTH": str(MAX_BODY + 1)}, 413),
        ("POST", "/predict", {"CONTENT_LENGTH": "-1"}, 413),
    ],
)
def test_bad_requests(method, path, options, status, backend):
    assert ask(backend, method, path, **options)[0] == status


def test_a_label_studio_that_is_away(backend, label_studio):
    label_studio.faults["/data/upload/1/a.png"] = ["close"] * 9
    tasks = [{"id": 1, "data": {"image": "/data/upload/1/a.png"}}]
    status, _, answer = ask(backend, "POST", "/predict", {"tasks": tasks, "label_config": CARS})
    assert status == 500 and "cannot be reached" in answer["error"]


def test_a_port_that_is_taken(backend):
    pytest.importorskip("waitress")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot be listened on .*give another --port"):
            serve(backend._annotator, PASSWORD, "127.0.0.1", port)
