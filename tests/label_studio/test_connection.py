"""A server's faults: what passes is waited out, all else is one line with the way out, and no token in it."""

import socket
import threading

import pytest
from fake_label_studio import PERSONAL, SHORT, TOKEN, timeout_for

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio import connection
from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import TRIES, Connection

PROJECT = "/api/projects/1/"


@pytest.mark.parametrize("fault", [500, 502, 503, 429, "close", "cut", "stall", "stall within"])
@pytest.mark.parametrize("personal", [False, True])
def test_what_passes_is_waited_out(fault, personal, label_studio, client):
    label_studio.faults[PROJECT] = [fault, None]
    token = PERSONAL if personal else TOKEN
    assert client(token, timeout=timeout_for(fault)).name == "project 1 (Campus)"
    assert label_studio.count("GET", PROJECT) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (500, r"refused \(500 .*Sorry.*look at the server's log, or try later"),
        (429, "refused .429"),
        ("close", "cannot be reached .*start the server, or give another --url"),
        ("cut", "the answer was cut short"),
        ("stall", "no answer within 0.3 s; try again, or set --timeout"),
        ("stall within", "the answer stopped for 0.3 s"),
    ],
)
def test_what_stays_is_one_line(fault, reason, label_studio, client):
    label_studio.faults[PROJECT] = [fault] * 9
    with pytest.raises(LabelStudioError, match=f"^{label_studio.url}{PROJECT}: {reason}") as raised:
        client(timeout=timeout_for(fault))
    assert "\n" not in str(raised.value)
    assert label_studio.count("GET", PROJECT) == TRIES


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (403, "refused .403.*give a token of someone who may"),
        (404, "has no project 1, or not for you; give another --project"),
        (400, "refused .400 Bad Request: Sorry"),
        ("page", "answers with what Label Studio does not .*is --url the server's address"),
    ],
)
def test_what_will_not_pass_is_asked_for_once(fault, reason, label_studio, client):
    label_studio.faults[PROJECT] = [fault]
    with pytest.raises(LabelStudioError, match=reason):
        client()
    assert label_studio.count("GET", PROJECT) == 1


@pytest.mark.parametrize("token", ["f" * 40, PERSONAL.replace("c2ln", "d3Jv")])
def test_a_wrong_token_is_said_and_not_shown(token, label_studio, client):
    with pytest.raises(LabelStudioError, match="refused .401.*LABEL_STUDIO_API_KEY or with --token-file") as raised:
        client(token)
    assert token not in str(raised.value)
    assert token not in repr(Connection(label_studio.url, token))


def test_no_server(monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE", connection.PATIENCE.new(backoff_factor=0))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(LabelStudioError, match=f"{url}.*cannot be reached .Connection refused.; start the server"):
        Client(Connection(url, TOKEN), 1)


def test_a_legacy_token_goes_as_it_is(label_studio, client):
    client()
    assert [authorization for _, _, authorization in label_studio.asked] == [f"Token {TOKEN}"]


def test_a_personal_token_buys_access_anew_where_it_has_run_out(label_studio, client):
    mine = client(PERSONAL)
    assert label_studio.asked[0] == ("POST", "/api/token/refresh/", None)
    label_studio.valid = set()  # some minutes later
    assert mine.tasks() == []
    paths = [path for _, path, _ in label_studio.asked]
    assert paths[2:] == ["/api/tasks", "/api/token/refresh/", "/api/tasks"]
    assert not any(PERSONAL in (authorization or "") for _, _, authorization in label_studio.asked)


def test_access_that_was_bought_is_not_shown_either(label_studio, client):
    mine = client(PERSONAL)
    label_studio.buys_nothing = True
    label_studio.valid = set()
    with pytest.raises(LabelStudioError, match="Invalid token. Bearer …") as raised:
        mine.tasks()
    assert "access" not in str(raised.value).partition("refused")[2].partition(";")[0]


def test_what_creates_is_sent_once(label_studio, client):
    mine = client()
    label_studio.faults["/api/projects/1/import/predictions"] = [502] * 9
    with pytest.raises(LabelStudioError) as raised:
        mine.import_predictions([])
    assert raised.value.code == 502
    assert label_studio.count("POST", "/api/projects/1/import") == 1


def test_a_redirected_request_that_creates_says_where_to(label_studio, client, monkeypatch):
    mine = client()
    label_studio.faults["/api/projects/1/import/predictions"] = [301]
    with pytest.raises(LabelStudioError, match="it sends on to another: give that with --url"):
        mine.import_predictions([])


def test_other_servers_get_no_token(label_studio, monkeypatch, tmp_path):
    """Nor a password of the user's that requests would find."""
    (tmp_path / "netrc").write_text("machine localhost login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    label_studio.valid.add(None)
    label_studio.files["/photo.jpg"] = (b"photo", {})
    other = label_studio.url.replace("127.0.0.1", "localhost")
    assert Connection(label_studio.url, TOKEN).read(f"{other}/photo.jpg").content == b"photo"
    assert Connection(label_studio.url, TOKEN).read("/photo.jpg").content == b"photo"
    assert [authorization for _, _, authorization in label_studio.asked] == [None, f"Token {TOKEN}"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_redirect_takes_the_token_to_no_other_server(elsewhere, label_studio):
    label_studio.valid.add(None)
    label_studio.files["/photo.jpg"] = (b"photo", {})
    host = label_studio.url.replace("127.0.0.1", "localhost") if elsewhere else label_studio.url
    label_studio.redirects = {"/tasks/1/resolve/": f"{host}/photo.jpg"}
    assert Connection(label_studio.url, TOKEN).read("/tasks/1/resolve/").content == b"photo"
    token = f"Token {TOKEN}"
    assert [authorization for *_, authorization in label_studio.asked] == [token, None if elsewhere else token]


@pytest.mark.parametrize(
    ("url", "address", "own"),
    [
        ("http://h:8080", "http://H:8080/a.jpg", True),
        ("http://h", "http://h:80", True),
        ("http://h", "https://h/a.jpg", True),
        ("https://h", "http://h/a.jpg", False),
        ("http://h:8080", "http://h:9000/a.jpg", False),
        ("http://h/studio", "http://h/studio/a.jpg", True),
        ("http://h/studio", "http://h/studios/a.jpg", False),
        ("http://h/my studio", "http://h/my%20studio/a.jpg", True),
        ("http://b\u00fccher.example", "http://xn--bcher-kva.example/a.jpg", True),
        ("http://h", "http://[h/a.jpg", False),
        ("http://*", "http://*/a.jpg", True),  # so that the message says what to check
    ],
)
def test_what_is_the_servers_own(url, address, own):
    assert Connection(url, TOKEN).is_own(address) == own


def test_what_takes_long_is_waited_for_longer_and_only_twice(label_studio, client, monkeypatch):
    monkeypatch.setattr("campus_seg.label_studio.client.PATIENT", 2)
    mine = client(timeout=SHORT)
    label_studio.faults["/api/predictions/"] = ["stall"] * TRIES
    with pytest.raises(LabelStudioError, match="no answer within 0.6 s"):
        mine.predictions()
    assert label_studio.count("GET", "/api/predictions/") == 2


def test_waits_are_long_enough_for_a_server_that_starts_anew():
    patience, waits = connection.PATIENCE, []
    for _ in range(TRIES - 1):
        patience = patience.increment("GET", "/", error=ConnectionRefusedError())
        waits.append(patience.get_backoff_time())
    assert waits == [0, 4, 8]


def test_several_threads_may_ask(label_studio, client):
    mine = client(PERSONAL)
    label_studio.valid = set()
    found = []
    threads = [threading.Thread(target=lambda: found.append(mine.tasks())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[]] * 8
