"""Clicks that bring a photo and its prediction to a server on the loopback; test_sending_faults.py has its faults."""

import argparse
import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from blobs import draw
from clicks import BOTH, CAR, PROJECT
from drawn import encode
from fake_label_studio import PERSONAL, TOKEN
from own_server import until
from PIL import Image
from preannotated import BOX, CARS, CORNERS, STORED, Model, photo

from campus_seg.errors import ConfigError, LabelStudioError
from campus_seg.inference.preannotation import Preannotator
from campus_seg.inference.selection import Selection
from campus_seg.label_studio.account import HURRY, add_server_arguments
from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import Connection
from campus_seg.photos import read_photo_bytes
from campus_seg.web import sending
from campus_seg.web.sending import Sender, SendError, connected_sender


def test_a_click_brings_photo_and_prediction(label_studio, sender, seen):
    result = seen()
    sent = sender.send(result, 0.5, BOTH)
    assert sent.text == "Sent to Label Studio, with 2 objects."
    assert sent.link == f"{label_studio.url}/projects/1/data?task=1"
    (task,), (prediction,) = label_studio.tasks, label_studio.predictions
    assert task["file_upload"].startswith("00000000-bench_car-") and task["file_upload"].endswith(".png")
    assert label_studio.files[task["data"]["image"]][0] == result.content
    assert sorted(region["value"]["polygonlabels"] for region in prediction["result"]) == [["bench"], ["car"]]
    assert prediction["task"] == 1 and 0.5 <= prediction["score"] < 1
    assert label_studio.model_version == prediction["model_version"]  # none had been chosen


@pytest.mark.parametrize("orientation", STORED)
def test_boxes_are_where_people_see_them_however_a_photo_is_stored(orientation, label_studio, sender, seen):
    sender.send(seen(photo(BOX, orientation=orientation)), 0.5, BOTH)
    ((region,),) = [one["result"] for one in label_studio.predictions]
    assert {tuple(point) for point in region["value"]["points"]} == CORNERS
    (content, _) = label_studio.files[label_studio.tasks[0]["data"]["image"]]
    height, width = read_photo_bytes(content).shape[:2]
    assert (region["original_width"], region["original_height"]) == (width, height) == (80, 40)


def test_only_what_is_switched_on_is_sent(label_studio, sender, seen):
    result = seen()
    scores = result.instances.scores.tolist()
    least = (scores[0] + scores[1]) / 2
    assert sender.send(result, least, BOTH).text == "Sent to Label Studio, with 1 object."
    kept = int(result.instances.pred_classes[0])
    (region,) = label_studio.predictions[0]["result"]
    assert region["value"]["polygonlabels"] == [["bench", "car"][kept]]
    again = sender.send(result, 0.5, [1 - kept])
    assert again.text.startswith("The photo was in Label Studio already. Now it has a prediction with 1 object, too. ")
    (region,) = label_studio.predictions[1]["result"]
    assert region["value"]["polygonlabels"] == [["bench", "car"][1 - kept]]
    assert len(label_studio.tasks) == 1 and len({one["model_version"] for one in label_studio.predictions}) == 2
    with pytest.raises(SendError, match="No class is switched on"):
        sender.send(result, 0.5, [])
    assert len(label_studio.predictions) == 2


def test_photos_without_objects_are_sent_too(label_studio, sender, seen):
    assert sender.send(seen(photo()), 0.5, BOTH).text == "Sent to Label Studio, with no objects."
    assert [(one["result"], one["score"]) for one in label_studio.predictions] == [([], 0.0)]


def test_a_second_click_and_a_new_server_double_nothing(label_studio, sender, seen, model):
    first = sender.send(seen(), 0.5, BOTH)
    again = Sender(Client(Connection(label_studio.url, TOKEN, timeout=10), 1), model, "campus")
    for clicked, name in ((sender, "bench & car.png"), (again, "other.png")):
        second = clicked.send(seen(name=name), 0.5, BOTH)
        assert (second.text, second.link) == ("It is in Label Studio already, with 2 objects.", first.link)
    assert len(label_studio.tasks) == len(label_studio.predictions) == 1
    other = seen(photo(CAR, classes=[1]))
    assert sender.send(other, 0.5, BOTH).link.endswith("task=2")


def test_the_version_is_that_of_a_push(label_studio, sender, seen, model, client):
    sender.send(seen(), 0.5, BOTH)
    pushing = Model()
    pushing.made_with = model.made_with_above(Selection(0.5).least)
    pushed = Preannotator(client(), pushing, Selection(0.5), "campus")
    assert label_studio.predictions[0]["model_version"] == pushed.model_version
    sender.send(seen(), 0.5, [1])
    pushed = Preannotator(client(), pushing, Selection(0.5, classes=("car",)), "campus")
    assert label_studio.predictions[1]["model_version"] == pushed.model_version


def test_what_people_chose_to_see_stays(label_studio, sender, seen):
    label_studio.model_version = "theirs"
    sent = sender.send(seen(), 0.5, BOTH)
    assert label_studio.model_version == "theirs"
    version = label_studio.predictions[0]["model_version"]
    assert sent.text == f"Sent to Label Studio, with 2 objects. {sending.OTHERS.format(version)}"


def test_what_the_project_does_not_show_is_told(label_studio, sender, seen):
    """The least score is a part of the version, and a project shows one version."""
    first, other = seen(), seen(photo(CAR, classes=[1]))
    assert sender.send(first, 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    told = sender.send(other, 0.6, BOTH).text
    shown, hidden = (one["model_version"] for one in label_studio.predictions)
    assert label_studio.model_version == shown != hidden
    assert told == f"Sent to Label Studio, with 1 object. {sending.OTHERS.format(hidden)}"
    assert sender.send(other, 0.6, BOTH).text.endswith(sending.OTHERS.format(hidden))
    assert sender.send(first, 0.5, BOTH).text == "It is in Label Studio already, with 2 objects."


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_photo_named_after_another_is_not_taken_for_it(by_hand, label_studio, sender, seen):
    """As one is that was saved from Label Studio, and edited."""
    named = sending.sendable("bench & car.png", seen().content).name
    named = f"{named}.edited.png" if by_hand else named.replace(".png", ".edited.png")
    edited = seen(photo(CAR, classes=[1]), named)
    if by_hand:
        label_studio.take(named, edited.content)
    else:
        sender.send(edited, 0.5, BOTH)
    sent = sender.send(seen(), 0.5, BOTH)
    assert (sent.text, sent.link[-6:]) == ("Sent to Label Studio, with 2 objects.", "task=2")
    assert label_studio.files[label_studio.tasks[1]["data"]["image"]][0] == seen().content


def test_a_click_asks_for_nothing_that_grows_with_the_project(label_studio, sender, seen):
    for number in range(700):
        label_studio.add_photo(f"{number}.png", b"")
    sender.send(seen(), 0.5, BOTH)
    assert label_studio.listed and all(label_studio.listed)  # never without a task
    assert label_studio.count("POST", "/api/projects/1/import/predictions") == 0
    assert len(label_studio.asked) <= 12


def test_two_clicks_at_once_are_one(label_studio, sender, seen):
    label_studio.faults[PROJECT] = ["stall"]
    told = []
    thread = threading.Thread(target=lambda: told.append(sender.send(seen(), 0.5, BOTH)))
    thread.start()
    until(lambda: sender._under_way)
    with pytest.raises(SendError, match="on its way"):
        sender.send(seen(), 0.5, BOTH)
    thread.join()
    assert len(told) == len(label_studio.tasks) == 1
    assert sender.send(seen(), 0.5, BOTH).text.startswith("It is in Label Studio already")


def test_a_class_that_cannot_be_drawn_there(label_studio, sender, seen):
    label_studio.interface = CARS.replace('value="bench"', 'value="seat"')  # since the server was started
    with pytest.raises(SendError, match="has no label bench. Switch it off here and send again"):
        sender.send(seen(), 0.5, BOTH)
    assert not label_studio.tasks
    assert sender.send(seen(), 0.5, [1]).text == "Sent to Label Studio, with 1 object."


def test_an_interface_that_was_changed_since(label_studio, sender, seen):
    sender.send(seen(), 0.5, BOTH)
    label_studio.interface = CARS.replace('name="polygon"', 'name="outline"')
    sender.send(seen(), 0.5, BOTH)
    assert [one["result"][0]["from_name"] for one in label_studio.predictions] == ["polygon", "outline"]


def test_a_photo_that_label_studio_cannot_show(label_studio, sender, seen):
    stream = io.BytesIO()
    Image.fromarray(draw((40, 80), [BOX])[..., ::-1]).save(stream, "BMP")
    content = stream.getvalue()
    assert sender.send(seen(content, "map.bmp"), 0.5, BOTH).text == "Sent to Label Studio, with 1 object."
    (task,) = label_studio.tasks
    assert task["file_upload"].endswith(".jpg")
    assert label_studio.files[task["data"]["image"]][0].startswith(b"\xff\xd8")
    sender.send(seen(content, "map.bmp"), 0.5, BOTH)
    assert len(label_studio.tasks) == 1


def arguments(label_studio, *given):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config-file")
    add_server_arguments(parser, required=False)
    return parser.parse_args(["--config-file", "mask_rcnn_mini_FPN.yaml", "--url", label_studio.url, *given])


def test_the_commands_arguments(label_studio, model, monkeypatch, tmp_path):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    assert connected_sender(arguments(label_studio), model) is None
    label_studio.interface = CARS
    args = arguments(label_studio, "--project", "1", "--timeout", "300")
    (tmp_path / "walks").mkdir()
    (tmp_path / "walks/config.yaml").write_text("")
    args.config_file = str(tmp_path / "walks/config.yaml")
    made = connected_sender(args, model)
    assert made.name == "project 1 (Campus)" and made._client.connection.timeout == 300  # as was asked for
    plain = connected_sender(arguments(label_studio, "--project", "1"), model)
    assert plain._client.connection.timeout == HURRY == 10
    content = photo(BOX)
    instances = model.look(read_photo_bytes(content))
    made.send(SimpleNamespace(name="a.png", content=content, instances=instances), 0.5, BOTH)
    assert label_studio.predictions[0]["model_version"].startswith("walks ")
    with pytest.raises(LabelStudioError, match="has no project 7"):
        connected_sender(arguments(label_studio, "--project", "7"), model)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    with pytest.raises(ConfigError, match="no token"):
        connected_sender(args, model)


def test_personal_tokens_and_large_photos(label_studio, model, seen):
    label_studio.interface = CARS
    sender = Sender(Client(Connection(label_studio.url, PERSONAL, timeout=5, hurried=True), 1), model, "campus")
    label_studio.valid = {one for one in label_studio.valid if "Token" in one}  # what was bought has run out
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)
    result = seen()
    result.content = encode(noise, ending=".png")
    assert sender.send(result, 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert label_studio.files[label_studio.tasks[0]["data"]["image"]][0] == result.content


def test_labels_that_the_project_lacks_are_named_at_the_start(label_studio, model, monkeypatch, caplog):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    label_studio.interface = CARS.replace('value="bench"', 'value="seat"')
    assert connected_sender(arguments(label_studio, "--project", "1"), model)
    assert "has no label 'bench'" in caplog.text
