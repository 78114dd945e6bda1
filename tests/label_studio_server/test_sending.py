"""Photos of the page, brought to a real server by clicks: they open there, with what was found in them where it is."""

import io
from urllib.parse import unquote

import numpy as np
import pytest
from labelled_photos import HEIGHT, INTERFACE, WIDTH, scene, stored
from PIL import Image
from preannotated import STORED
from read_back import beyond, objects_of_result
from real_label_studio import TOKEN

from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import Connection
from campus_seg.label_studio.uploads import find_upload
from campus_seg.photos import read_photo_bytes
from campus_seg.tools.label_studio import main
from campus_seg.web import sending
from campus_seg.web.sendable import sendable
from campus_seg.web.sending import Sender, SendError

pytestmark = pytest.mark.label_studio

CLOSE = 0.95


def shown(server, sent):
    """The photo that a link's task shows, as its bytes and as a browser turns it, and the task."""
    task = server.ask("GET", f"/api/tasks/{sent.link.rpartition('=')[2]}/")
    content = server.ask("GET", task["data"]["image"], parse=False)
    return content, task


def saved(upright, image_format, **options):
    stream = io.BytesIO()
    Image.fromarray(upright).save(stream, image_format, **options)
    return stream.getvalue()


def on_its_side(upright):
    """A PNG that EXIF turns, which not every browser follows."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(np.asarray(Image.fromarray(upright).transpose(STORED[6])), "PNG", exif=exif)


PHOTOS = {
    "Süd Platz (1).jpg": lambda upright: stored(upright, 1),
    "side.JPG": lambda upright: stored(upright, 6),
    "mirrored.jpeg": lambda upright: stored(upright, 5),
    "drawn.png": lambda upright: saved(upright, "PNG"),
    "turned.png": on_its_side,
    "web.webp": lambda upright: saved(upright, "WEBP", quality=95),
    "IMG_0001.HEIC": lambda upright: saved(upright, "HEIF", quality=95),
    "new.avif": lambda upright: saved(upright, "AVIF", quality=95),
    "old.bmp": lambda upright: saved(upright, "BMP"),
    "<img src=x onerror=alert(1)>.jpg": lambda upright: stored(upright, 3),
    "9" * 90 + ".jpg": lambda upright: stored(upright, 8),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_opens_there_with_what_was_found_in_it(name, server, sender, seen, every, found_by_model):
    content = PHOTOS[name](scene(60 + list(PHOTOS).index(name))[0])
    sent = sender.send(seen(content, name), 0.5, every)
    objects = found_by_model(content)
    assert objects  # or nothing with nothing would be compared
    word = "object" if len(objects) == 1 else "objects"
    assert sent.text == f"Sent to Label Studio, with {len(objects)} {word}."  # and the project shows it
    there, task = shown(server, sent)
    (prediction,) = task["predictions"]
    assert beyond(objects_of_result(prediction["result"], WIDTH, HEIGHT), objects, CLOSE) == []
    as_it_is = name.endswith((".jpg", ".JPG", ".jpeg", ".webp")) or name == "drawn.png"
    assert (there == content) == as_it_is
    image = np.abs(read_photo_bytes(there).astype(int) - read_photo_bytes(content))
    assert image.mean() < 4 and read_photo_bytes(there).shape[:2] == (HEIGHT, WIDTH)
    file = unquote(task["data"]["image"].rpartition("/")[2])
    assert file.endswith(f"-{sendable(name, content).name}") and not set(file) & set("<>&\"' /")
    assert task["total_predictions"] == 1


def test_a_second_click_doubles_nothing(server, sender, seen, every):
    content = stored(scene(80)[0], 1)
    result = seen(content)
    first = sender.send(result, 0.5, every)
    before = server.ask("GET", f"/api/tasks?project={sender.project}&page_size=1")["total"]
    second = sender.send(result, 0.5, every)
    assert (second.link, second.text[:32]) == (first.link, "It is in Label Studio already, w")
    third = sender.send(result, 0.9, every)
    assert third.link == first.link and "too" in third.text
    assert server.ask("GET", f"/api/tasks?project={sender.project}&page_size=1")["total"] == before
    assert len(shown(server, first)[1]["predictions"]) == 2


def test_what_failed_halfway_is_gone_on_from(server, sender, seen, every, monkeypatch):
    result = seen(stored(scene(81)[0], 6))
    with monkeypatch.context() as patch:
        patch.setattr(sending, "add_prediction", lambda client, _: client.connection.value("POST", "/api/nothing", int))
        with pytest.raises(SendError, match="The photo is in Label Studio, but not what was found in it"):
            sender.send(result, 0.5, every)
    sent = sender.send(result, 0.5, every)
    assert sent.text.startswith("Sent to Label Studio")
    assert len(shown(server, sent)[1]["predictions"]) == 1


def test_a_photo_whose_answer_is_lost_is_found(server, sender, seen, every, monkeypatch):
    def lost(*given):
        upload_photo(*given)
        raise sending.LabelStudioError("no answer")

    upload_photo = sending.upload_photo
    monkeypatch.setattr(sending, "upload_photo", lost)
    sent = sender.send(seen(stored(scene(82)[0], 1)), 0.5, every)
    assert sent.text.startswith("Sent to Label Studio")
    assert len(shown(server, sent)[1]["predictions"]) == 1


def test_what_the_project_does_not_show_is_told(server, predictor, seen, every):
    """To who labels one photo after another, as the server gives them."""
    number = server.make_project("Two thresholds", INTERFACE)
    sender = Sender(Client(Connection(server.url, TOKEN, timeout=10, hurried=True), number), predictor, "campus")
    first, second = seen(stored(scene(85)[0], 1)), seen(stored(scene(86)[0], 1))
    told = sender.send(first, 0.5, every), sender.send(second, 0.6, every)
    versions = [shown(server, one)[1]["predictions"][0]["model_version"] for one in told]
    assert versions[0] != versions[1] and told[0].text.endswith("s.")
    assert told[1].text.endswith(sending.OTHERS.format(versions[1]))

    following = server.ask("GET", f"/api/projects/{number}/next")
    visible = [one["model_version"] for one in following["predictions"]]
    assert visible == ([versions[0]] if following["id"] == int(told[0].link.rpartition("=")[2]) else [])


@pytest.mark.parametrize(("threshold", "only"), [(0.5, False), (0.9, False), (0.5, True)])
def test_the_prediction_is_that_of_a_push(threshold, only, server, predictor, run, token, seen, every):
    """So a push leaves alone what the page has sent; in a project of its own, since a push looks at all tasks."""
    number = server.make_project("Both", INTERFACE)
    given = ["--confidence-threshold", str(threshold), *(["--classes", predictor.class_names[0]] if only else [])]
    client = Client(Connection(server.url, TOKEN, timeout=60), number)
    sent = Sender(client, predictor, run.parent.name).send(
        seen(stored(scene(83)[0], 1)), threshold, every[:1] if only else every
    )
    assert main(["push", "--config-file", str(run), "--url", server.url, "--project", str(number), *given]) == 0
    (prediction,) = shown(server, sent)[1]["predictions"]
    assert server.ask("GET", f"/api/projects/{number}/")["model_version"] == prediction["model_version"]


def test_what_the_server_does_not_take_is_told(server, sender, predictor, seen, every):
    result = seen(stored(scene(84)[0], 1))
    client = Client(Connection(server.url, TOKEN, timeout=10, hurried=True), sender.project)
    client.connection._auth.header = "Token 0"
    with pytest.raises(SendError, match="does not let this page in"):
        Sender(client, predictor, "campus").send(result, 0.5, every)
    two = INTERFACE.replace("</View>", '<Image name="map" value="$map"/></View>')
    odd = Client(Connection(server.url, TOKEN, timeout=10, hurried=True), server.make_project("Two keys", two))
    with pytest.raises(SendError, match="Label Studio does not take it as it is"):
        Sender(odd, predictor, "campus").send(result, 0.5, every)
    few = INTERFACE.replace('<Label value="car"/>', "")
    lacking = Client(Connection(server.url, TOKEN, timeout=10, hurried=True), server.make_project("No cars", few))
    with pytest.raises(SendError, match="has no label car"):
        Sender(lacking, predictor, "campus").send(result, 0.5, every)
    mark = sendable(result.name, result.content).mark
    assert find_upload(odd, mark) is find_upload(lacking, mark) is None
