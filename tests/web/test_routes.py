"""Photos in, pictures and files out."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from own_server import all_of, error_of, head, serving, until

from campus_seg.errors import CampusError
from campus_seg.photos import PhotoError
from campus_seg.web import asked as of_requests
from campus_seg.web import budget, guard
from campus_seg.web.answers import RefusedError
from campus_seg.web.asked import disposition, read_classes, read_threshold
from campus_seg.web.budget import Pace, Room
from campus_seg.web.examples import Example
from campus_seg.web.guard import Guard
from campus_seg.web.routes import Parts, Routes
from campus_seg.web.turns import Turns


class Model:
    """Finds two objects in whatever is no lie; waits where it is told to."""

    class_names = ("bench", "car", "dog")

    def __init__(self):
        self.seen, self.drawn, self.kept = [], [], {}
        self.go_on = threading.Event()
        self.go_on.set()

    def predict(self, name, content, arrived=None):
        self.arrived = arrived
        self.go_on.wait(30)
        self.seen.append((name, len(content)))
        if content == b"no photo":
            raise PhotoError("This file is no photo.")
        if content == b"broken":
            raise RuntimeError("in /secret/place")
        objects = [SimpleNamespace(class_id=1, score=0.9, area=12), SimpleNamespace(class_id=0, score=0.25, area=7)]
        token = f"token-{len(self.seen)}"
        self.kept[token] = SimpleNamespace(token=token, name=name or "photo", width=6, height=4, objects=objects)
        return self.kept[token]

    def draw(self, *asked):
        self.go_on.wait(30)
        self.drawn.append(asked)
        return b"drawn" if asked[1] != "cutouts" else b"x" * 30_000_000


@contextmanager
def shown(**changed):
    model = changed.pop("model", None) or Model()
    turns = {name: changed.pop(name, None) or Turns(1, 1) for name in ("predicting", "drawing", "sending")}
    parts = Parts(model=model, result=model.kept.get, **{"max_mb": 1, **turns, **changed})
    with serving(Guard(Routes(parts), {})) as server:
        yield server, model
        model.go_on.set()
    for turn in turns.values():
        turn.close()


@pytest.fixture(scope="module")
def asked():
    with shown() as (server, model):
        yield server, model


def test_a_photo(asked):
    server, model = asked
    answer = server.ask("POST", "/photos?name=a%20b%2Fc.jpg", data=b"abc", headers={"content-type": "text/html"})
    objects = [{"class": 1, "score": 0.9, "area": 12}, {"class": 0, "score": 0.25, "area": 7}]
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    expected = {"token": f"token-{len(model.seen)}", "name": "a b/c.jpg", "width": 6, "height": 4, "objects": objects}
    assert answer.json() == expected and model.seen[-1] == ("a b/c.jpg", 3)
    assert answer.headers["cache-control"] == "no-store"
    assert server.ask("POST", "/photos", data=iter([b"ab", b"cd"])).json()["name"] == "photo"  # without a length
    assert model.seen[-1] == ("", 4)


def test_what_is_no_photo(asked):
    server, _ = asked
    answer = server.ask("POST", "/photos", data=b"no photo")
    assert (answer.status_code, error_of(answer)) == (400, "This file is no photo.")
    answer = server.ask("POST", "/photos", data=b"broken")
    assert answer.status_code == 500 and "secret" not in answer.text and error_of(answer).startswith("Something went")


def test_a_file_that_is_too_large(asked):
    server, model = asked
    seen = len(model.seen)
    for content in (b"x" * 1_000_001, iter([b"x" * 600_000] * 3)):
        answer = server.ask("POST", "/photos", data=content)
        told = "This file is larger than 1 MB. Please give a smaller photo."
        assert (answer.status_code, error_of(answer)) == (413, told)
    assert len(model.seen) == seen
    assert server.ask("POST", "/photos", data=b"x" * 1_000_000).status_code == 200  # as large as may be
    with server.dial(head("POST", "/photos", Content_Length=10**15, Expect="100-continue")) as line:
        assert line.recv(12) == b"HTTP/1.1 413"  # and does not wait for it
    with server.dial(head("POST", "/photos", Content_Length=10**9)) as line:  # no more than some MB of it are read
        sent = 0
        with pytest.raises(OSError):
            while sent < 10**9:
                sent += line.send(b"x" * 2**16)
        assert sent < 50_000_000


def test_the_turns_are_bounded():
    with shown() as (server, model):
        model.go_on.clear()
        with ThreadPoolExecutor(6) as threads:
            asking = [threads.submit(server.ask, "POST", f"/photos?name={n}", data=b"x") for n in range(6)]
            until(lambda: sum(one.done() for one in asking) == 4)
            told = [one.result() for one in asking if one.done()]
            model.go_on.set()
        assert [answer.status_code for answer in told] == [503] * 4
        assert all(answer.headers["Retry-After"] == "5" and "try again" in error_of(answer) for answer in told)
        assert len(model.seen) == 2 and sum(one.result().status_code == 200 for one in asking) == 2


def test_nothing_is_computed_for_who_has_left():
    turns = Turns(1, 1)
    with shown(predicting=turns) as (server, model):
        model.go_on.clear()
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(server.ask, "POST", "/photos?name=first", data=b"x")
            until(lambda: turns.taken == 1)
            with server.dial(head("POST", "/photos?name=second", Content_Length=1) + b"x"):
                until(lambda: turns.taken == 2)
                assert server.ask("POST", "/photos?name=third", data=b"x").status_code == 503
            until(lambda: turns.taken == 1)  # the second has left its place
            fourth = threads.submit(server.ask, "POST", "/photos?name=fourth", data=b"x")
            until(lambda: turns.taken == 2)
            model.go_on.set()
            assert first.result().status_code == fourth.result().status_code == 200
        assert [name for name, _ in model.seen] == ["first", "fourth"]


def test_slow_lines_keep_no_place_at_the_model():
    with shown() as (server, model):
        slow = [server.dial(head("POST", "/photos", Content_Length=1000) + b"x") for _ in range(30)]
        assert server.ask("POST", "/photos", data=b"y").status_code == 200
        assert model.seen == [("", 1)]
        for line in slow:
            line.close()


def test_slow_uploads_make_way(monkeypatch):
    """However fast they have begun."""
    monkeypatch.setattr(budget, "PATIENCE", 3600.0)
    room = Room(1_000_000)
    with shown(uploads=room) as (server, _):
        slow = []
        for number in (1, 2):
            slow.append(server.dial(head("POST", "/photos", Content_Length=500_000) + b"x" * 400_000))
            until(lambda: sum(flight.size for flight in list(room._here)) == number * 400_000)  # noqa: B023
        answer = server.ask("POST", "/photos", data=b"y" * 300_000)
        assert answer.status_code == 503 and "busy" in error_of(answer)  # they have only just stopped
        monkeypatch.setattr(budget, "PATIENCE", 0.1)
        until(lambda: min(flight.pace.lag for flight in list(room._here)) > 0.1)
        assert server.ask("POST", "/photos", data=b"y" * 300_000).status_code == 200
        assert slow[0].recv(12) == b"HTTP/1.1 408"  # it has paused for longer
        slow[1].sendall(b"x" * 100_000)
        assert slow[1].recv(12) == b"HTTP/1.1 200"
        for line in slow:
            line.close()


def test_bytes_in_flight_are_bounded():
    with shown(uploads=Room(1_500_000)) as (server, model):
        model.go_on.clear()
        with ThreadPoolExecutor(1) as thread:
            first = thread.submit(server.ask, "POST", "/photos", data=b"x" * 1_000_000)  # whole, and waits
            until(lambda: hasattr(model, "arrived"))
            answer = server.ask("POST", "/photos", data=b"x" * 600_000)
            assert answer.status_code == 503 and "busy" in error_of(answer)
            model.go_on.set()
            assert first.result().status_code == 200
        assert server.ask("POST", "/photos", data=b"x" * 600_000).status_code == 200  # there is room again


def test_answers_in_flight_are_bounded(monkeypatch):
    """Which a reader holds who takes nothing, for a while."""
    monkeypatch.setattr(budget, "PATIENCE", 3600.0)
    with shown(answers=Room(40_000_000)) as (server, _):
        token = server.ask("POST", "/photos", data=b"x").json()["token"]
        with server.dial(head("GET", f"/results/{token}/cutouts")) as line:
            line.recv(10)
            assert server.ask("GET", f"/results/{token}/cutouts").status_code == 503
            assert server.ask("GET", f"/results/{token}/view").status_code == 200
            monkeypatch.setattr(budget, "PATIENCE", 0.0)
            assert len(server.ask("GET", f"/results/{token}/cutouts").content) == 30_000_000  # the other makes way
            assert len(all_of(line)) < 30_000_000


def test_a_photo_that_does_not_come_in_time(monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    with shown() as (server, model):
        with server.dial(head("POST", "/photos", Content_Length=9) + b"x") as line:
            told = all_of(line)
        assert told.startswith(b"HTTP/1.1 408") and b"took too long" in told and not model.seen


def test_files(asked):
    server, model = asked
    token = server.ask("POST", "/photos?name=caf%C3%A9%22.jpg", data=b"x").json()["token"]
    answer = server.ask("GET", f"/results/{token}/binary?threshold=0.25&classes=2,0,2")
    assert answer.content == b"drawn" and answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"caf__.binary.png\"; filename*=UTF-8''caf%C3%A9%22.binary.png"
    )
    assert model.drawn[-1] == (model.kept[token], "binary", 0.25, (0, 2))
    view = server.ask("GET", f"/results/{token}/view")
    assert "content-disposition" not in view.headers and model.drawn[-1][1:] == ("view", 0.5, (0, 1, 2))
    for kind, media in (("overlay", "image/jpeg"), ("cutouts", "application/zip"), ("predictions", "application/json")):
        assert server.ask("GET", f"/results/{token}/{kind}?classes=").headers["content-type"] == media
    assert model.drawn[-1][3] == ()
    assert server.ask("HEAD", f"/results/{token}/view").status_code == 405


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((f"/results/gone/{kind}", 404) for kind in ("view", "cutouts")),
        *((f"/results/token-1/{kind}", 404) for kind in ("secret", "..", "", "view/x")),
        *((f"/results/token-1/view?threshold={value}", 400) for value in ("0.04", "1.1", "nan", "inf", "x", "")),
        *((f"/results/token-1/view?classes={value}", 400) for value in ("3", "-1", "x", "0,", "0,1,2,2", "%D9%A1")),
        *((path, 404) for path in ("/results", "/results/", "/examples/x.jpg", "/examples/0.jpg", "/photos/x")),
        *((f"/examples/{number}.jpg", 404) for number in ("1" * 5000, "%D9%A1", "-1", "1.0")),
        *((path, 405) for path in ("/photos", "/examples/0")),
    ],
)
def test_what_cannot_be_asked(asked, path, status):
    server, model = asked
    server.ask("POST", "/photos", data=b"x")
    drawn = len(model.drawn)
    answer = server.ask("GET", path)
    assert answer.status_code == status and len(error_of(answer)) > 20 and len(model.drawn) == drawn
    assert server.ask("POST", "/results/token-1/view").status_code == 405


def test_numbers():
    assert read_threshold("0.05") == 0.05 and read_threshold("1") == 1 and read_threshold("0.0499") is None
    assert read_classes(None, 3) == (0, 1, 2) and read_classes("", 3) == () and read_classes("2,1", 3) == (1, 2)


def test_names_of_downloads():
    assert disposition('a";\r\nb.tar.jpg', "rgb") == (
        "attachment; filename=\"a____b.tar.rgb.png\"; filename*=UTF-8''a%22%3B%0D%0Ab.tar.rgb.png"
    )
    assert 'filename="photo.cutouts.zip"' in disposition("photo", "cutouts")


def test_numbers_of_examples_that_are_none_say_nothing_on_the_terminal(asked, caplog):
    for number in ("1" * 5000, "%C2%B2", "x"):
        assert asked[0].ask("POST", f"/examples/{number}").status_code == 404
        assert asked[0].ask("GET", f"/examples/{number}.jpg").status_code == 404
    assert caplog.text == ""


def test_examples():
    with shown(examples=[Example("first.jpg", b"the photo", b"small")]) as (server, model):
        thumbnail = server.ask("GET", "/examples/0.jpg")
        assert (thumbnail.content, thumbnail.headers["content-type"]) == (b"small", "image/jpeg")
        assert server.ask("POST", "/examples/0").json()["name"] == "first.jpg" and model.seen == [("first.jpg", 9)]
        assert server.ask("POST", "/examples/1").status_code == server.ask("GET", "/examples/1.jpg").status_code == 404
        assert model.arrived > time.monotonic() - 5


def test_label_studio():
    class Sender:
        def send(self, result, threshold, classes):
            if not classes:
                raise CampusError("No class is switched on.")
            return SimpleNamespace(text=f"Sent {result.name} {threshold} {classes}", link="http://h/1")

    with shown(sender=Sender()) as (server, _):
        token = server.ask("POST", "/photos?name=a", data=b"x").json()["token"]
        answer = server.ask("POST", f"/results/{token}/label-studio?threshold=0.3&classes=1")
        assert answer.json() == {"said": "Sent a 0.3 (1,)", "link": "http://h/1"}
        answer = server.ask("POST", f"/results/{token}/label-studio?classes=")
        assert (answer.status_code, error_of(answer)) == (400, "No class is switched on.")
        assert server.ask("POST", "/results/gone/label-studio").status_code == 404
    with shown() as (server, _):
        answer = server.ask("POST", "/results/gone/label-studio")
        assert (answer.status_code, error_of(answer)) == (404, "This page is not connected to Label Studio.")


def test_room_is_given_back(monkeypatch):
    monkeypatch.setattr(budget, "PATIENCE", 0.05)

    async def take():
        some = Room(10)
        async with asyncio.timeout(None) as limit:
            with some.taken(limit, 10) as first:
                first.landed = True  # and does not lag, however long it stays
                await asyncio.sleep(0.1)
                with pytest.raises(RefusedError, match="busy"), some.taken(limit, 1):
                    pass
            with some.taken(limit, 6), some.taken(limit, 4):
                await asyncio.sleep(0.1)
                with pytest.raises(RefusedError, match="busy"), some.taken(limit, 11):  # nobody leaves for nothing
                    pass
                await asyncio.sleep(0.01)

    asyncio.run(take())


def test_the_pace_of_a_line(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace()
    now[0] = 104.0
    assert pace.lag == 4
    pace.moved(2**15)
    assert pace.lag == 3  # so much takes a second
    pace.moved(10**9)
    assert pace.lag == 0
    now[0] = 105.0
    assert pace.lag == 1  # what it was faster before is no credit


@pytest.mark.parametrize("path", ["/examples/0", "/results/token-1/label-studio", "/photos"])
def test_bodies_that_nobody_wants_are_not_waited_for(path, monkeypatch):
    monkeypatch.setattr(of_requests, "DRAIN_SECONDS", 0.5)
    changed = {"examples": [Example("a", b"x", b"")], "sender": SimpleNamespace(send=None), "uploads": Room(9)}
    with shown(**changed) as (server, model):
        server.ask("POST", "/photos", data=b"x")
        with server.dial(head("POST", path, Content_Length=100) + b"x" * (50 if path == "/photos" else 1)) as line:
            line.settimeout(5)
            assert line.recv(12) == (b"HTTP/1.1 503" if path == "/photos" else b"HTTP/1.1 408")
        assert len(model.seen) == 1
