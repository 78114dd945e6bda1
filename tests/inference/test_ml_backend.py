"""What Label Studio asks an ML backend, and what others may not."""

import base64
import io
import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from wsgiref.util import setup_testing_defaults

import pytest
from fake_label_studio import FakeLabelStudio, running
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


def test_a_prediction(backend, label_studio, caplog):
    caplog.set_level(logging.INFO, "campus_seg.inference.ml_backend")
    label_studio.add_photo("b.png", b"")["data"] = {"image": "/data/upload/1/absent.png"}
    tasks = [{"id": number, "project": 1, "data": {}} for number in (1, 2)]
    question = {"tasks": tasks, "project": "1.2", "label_config": CARS, "params": {"context": None}}
    status, _, answer = ask(backend, "POST", "/predict", question)
    found, failed = answer["results"]
    ((region,), score) = found["result"], found["score"]
    assert "task 1: 1 regions" in caplog.text
    assert status == 200 and {tuple(point) for point in region["value"]["points"]} == CORNERS and 0.5 < score < 1
    assert "result" not in failed and failed["error"]  # which Label Studio does not keep
    assert label_studio.asked[-1][2].startswith("Token ")


def test_only_photos_of_the_projects_own_tasks_are_fetched(backend, label_studio, caplog):
    """Not what whoever asks says of them; and what another server answered is told to nobody but the log."""
    label_studio.files["/secret.png"] = (photo(BOX), {})
    other = FakeLabelStudio(files={"/inside.png": (b"the secret of another server", {})}, valid={None})
    with running(other):
        label_studio.add_photo("c.png", b"")["data"] = {"image": f"{other.url}/inside.png"}
        tasks = [{"id": 1, "data": {"image": "/secret.png"}}, {"id": 99, "data": {"image": f"{other.url}/inside.png"}}]
        tasks.append({"id": 2, "data": {}})
        _, _, answer = ask(backend, "POST", "/predict", {"tasks": tasks, "label_config": CARS})
        ((region,), *_), *failed = (one.values() for one in answer["results"])
        assert {tuple(point) for point in region["value"]["points"]} == CORNERS
        assert [len(one) for one in failed] == [1, 1] and "secret" not in str(answer)
        assert [path for _, path, _ in label_studio.asked if "secret" in path] == []
        assert [path for _, path, _ in other.asked] == ["/inside.png"]  # which task 2 names
    assert "task 99: project 1 (Campus) has no such task" in caplog.text


def test_one_photo_is_predicted_on_at_a_time(backend, label_studio):
    """By a model that one thread may use."""
    inside, most = [], []

    class Slow(Model):
        def __call__(self, photos):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            answer = super().__call__(photos)
            inside.pop()
            return answer

    backend._annotator.predictor = Slow()
    question = {"tasks": [{"id": 1}] * 3, "label_config": CARS}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(backend, "POST", "/predict", question), range(4)))
    assert [status for status, _, _ in answers] == [200] * 4
    assert most == [1] * 12


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


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")])
def test_where_it_listens_is_said(host, shown, backend, monkeypatch, capsys):
    """Also where a name stands for several addresses."""
    waitress = pytest.importorskip("waitress")
    create, answers = waitress.create_server, []

    def create_server(*args, **options):
        server = create(*args, **options)
        monkeypatch.setattr(server, "run", lambda: answers.append(port_said(capsys)), raising=False)
        return server

    def port_said(capsys):
        said = capsys.readouterr().out
        assert said.startswith(f"http://{shown}:")
        return int(said.removeprefix(f"http://{shown}:").partition(":")[0])

    monkeypatch.setattr(waitress, "create_server", create_server)
    try:
        serve(backend._annotator, PASSWORD, host, 0)
    except ConfigError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    (port,) = answers
    assert port > 0
    with socket.create_connection((host, port), timeout=5):
        pass


def test_a_host_that_is_none(backend):
    pytest.importorskip("waitress")
    with pytest.raises(ConfigError, match="--host no.such.host.invalid: is no address of this machine"):
        serve(backend._annotator, PASSWORD, "no.such.host.invalid", 0)
