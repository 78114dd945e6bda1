"""Clicks that bring a photo to a server which fails: what people are told is true, and the next click goes on."""

import logging
import time

import numpy as np
import pytest
from clicks import BOTH, PREDICTIONS, PROJECT, TASKS, UPLOAD, words
from drawn import encode
from fake_label_studio import TOKEN
from preannotated import BOX, photo

from campus_seg.web import sending
from campus_seg.web.sending import SendError


@pytest.mark.parametrize("fault", [500, 502, "close", "stall"])
def test_a_photo_without_its_prediction_is_told_and_gone_on_from(fault, label_studio, sender, seen):
    label_studio.faults[PREDICTIONS] = [None, fault]  # what is there is asked for, then the prediction is sent
    with pytest.raises(SendError) as caught:
        sender.send(seen(), 0.5, BOTH)
    text = words(caught)
    assert text.startswith("The photo is in Label Studio, but not what was found in it. ")
    assert text.endswith("Send again to add it; the photo will not be there twice.") and "Sent" not in text
    assert len(label_studio.tasks) == 1 and not label_studio.predictions
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == len(label_studio.predictions) == 1


def test_a_prediction_whose_answer_is_lost_is_looked_for(label_studio, sender, seen):
    label_studio.faults[PREDICTIONS] = [None, "taken"]
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.predictions) == 1


def test_a_prediction_that_comes_late_is_not_there_twice(label_studio, sender, seen):
    label_studio.faults[PREDICTIONS] = [None, "late"]
    with pytest.raises(SendError):
        sender.send(seen(), 0.5, BOTH)
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == len(label_studio.predictions) == 1


def test_a_prediction_that_is_not_kept_is_not_told_as_sent(label_studio, sender, seen, monkeypatch):
    monkeypatch.setattr(label_studio, "create", lambda _: label_studio.predictions.append({"id": 9, "task": 99}))
    with pytest.raises(SendError, match="but not what was found in it"):
        sender.send(seen(), 0.5, BOTH)


def test_a_photo_whose_answer_is_lost_is_looked_for(label_studio, sender, seen):
    label_studio.faults[UPLOAD] = ["taken"]
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == len(label_studio.predictions) == 1


@pytest.mark.parametrize("fault", [500, "close", "stall", "page"])
def test_a_photo_that_may_still_come_is_not_sent_again_at_once(fault, label_studio, sender, seen, monkeypatch):
    label_studio.faults[UPLOAD] = [fault]
    for _ in range(2):
        with pytest.raises(SendError) as caught:
            sender.send(seen(), 0.5, BOTH)
        assert "again in a minute" in words(caught)
    assert label_studio.count("POST", UPLOAD) == 1 and not label_studio.tasks
    sender.send(seen(photo(BOX)), 0.5, BOTH)  # of another photo, everything is known
    now = time.monotonic()
    monkeypatch.setattr(sending.time, "monotonic", lambda: now + sending.UNSURE)
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == len(label_studio.predictions) == 2


def test_a_photo_that_came_late_is_gone_on_from(label_studio, sender, seen):
    label_studio.faults[UPLOAD] = [500]
    with pytest.raises(SendError):
        sender.send(seen(), 0.5, BOTH)
    late = sending.sendable("bench & car.png", seen().content)
    label_studio.take(late.name, late.content)
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == 1


def test_a_server_that_makes_tasks_later(label_studio, sender, seen):
    label_studio.makes_tasks_later = True
    with pytest.raises(SendError, match="again in a minute"):
        sender.send(seen(), 0.5, BOTH)
    label_studio.makes_tasks_later = False
    label_studio.take(*label_studio.waiting.pop())
    assert sender.send(seen(), 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == 1


@pytest.mark.parametrize(
    ("path", "faults", "told"),
    [
        (PROJECT, [500, 500], "Label Studio has a fault just now"),
        (PROJECT, [503, 503], "Label Studio has a fault just now"),
        (PROJECT, [429, 429], "Label Studio is busy"),
        (PROJECT, [403], "does not let this page in"),
        (PROJECT, [404], "no longer there"),
        (PROJECT, ["close", "close"], "Label Studio does not answer"),
        (PROJECT, ["cut", "cut"], "Label Studio does not answer"),
        (PROJECT, ["drip"], "does not answer as it should"),
        (PROJECT, ["page"], "does not answer as it should"),
        (PROJECT, [409], "does not answer as it should"),
        (TASKS, ["stall", "stall"], "Label Studio does not answer"),
        (UPLOAD, [413], "too large for Label Studio"),
        (UPLOAD, [400], "does not take it as it is"),
        (UPLOAD, [302], "does not answer as it should"),
    ],
)
def test_why_nothing_was_sent_is_told_in_plain_words(path, faults, told, label_studio, sender, seen, monkeypatch):
    monkeypatch.setattr("campus_seg.label_studio.connection.pause", lambda _: None)
    label_studio.faults[path] = faults
    with pytest.raises(SendError) as caught:
        sender.send(seen(), 0.5, BOTH)
    assert words(caught).startswith("Nothing was sent. ") and told in str(caught.value)
    assert not label_studio.tasks
    sender.send(seen(), 0.5, BOTH)


def test_a_token_that_is_taken_back(label_studio, sender, seen, caplog):
    label_studio.valid.clear()
    with caplog.at_level(logging.WARNING), pytest.raises(SendError) as caught:
        sender.send(seen(), 0.5, BOTH)
    assert "does not let this page in" in words(caught)
    assert "LABEL_STUDIO_API_KEY" in caplog.text and TOKEN not in caplog.text  # for whoever runs the server


@pytest.mark.parametrize(("fault", "seconds"), [("stall", 8), (503, 3), ("drip", 6), ("close", 3)])
def test_nobody_waits_long(fault, seconds, label_studio, sender, seen):
    """Two tries of 2 s; where the server asks for patience, too."""
    label_studio.faults[PROJECT] = [fault] * 4
    began = time.monotonic()
    with pytest.raises(SendError):
        sender.send(seen(), 0.5, BOTH)
    assert time.monotonic() - began < seconds
    assert label_studio.count("GET", PROJECT) - 1 <= 2


@pytest.mark.parametrize("fault", [400, 403])
def test_nobody_is_asked_to_try_again_what_is_refused(fault, label_studio, sender, seen):
    label_studio.faults[PREDICTIONS] = [None, fault]
    with pytest.raises(SendError) as caught:
        sender.send(seen(), 0.5, BOTH)
    text = words(caught)
    assert text.startswith("The photo is in Label Studio, but not what was found in it. ")
    assert text.endswith(sending.KEEPER) and "again" not in text


@pytest.mark.parametrize(
    ("path", "faults"),
    [
        (PROJECT, [None, None, 403]),  # as for who may label, and not change the project
        (PROJECT, [None, None, 500, 500]),
        (PROJECT, [None, 500, 500]),
        (PREDICTIONS, [None, None, 503, 503]),  # what is asked for to remove doubles
        (PREDICTIONS, [None, None, "stall", "stall"]),
    ],
)
def test_a_prediction_that_is_there_is_told_as_sent(path, faults, label_studio, sender, seen):
    label_studio.faults[path] = faults
    sent = sender.send(seen(), 0.5, BOTH)
    (prediction,) = label_studio.predictions
    assert sent.text == "Sent to Label Studio, with 2 objects. " + sending.MAYBE.format(prediction["model_version"])
    again = sender.send(seen(), 0.5, BOTH)
    assert again.text == "It is in Label Studio already, with 2 objects."
    assert label_studio.model_version == prediction["model_version"]


@pytest.mark.parametrize(
    "interface", ["", '<View><Image name="a" value="$a"/></View>', '<View><Text name="a" value="$a"/></View>']
)
def test_an_interface_without_masks_is_no_silence(interface, label_studio, sender, seen):
    label_studio.interface = interface  # since the server was started
    with pytest.raises(SendError) as caught:
        sender.send(seen(), 0.5, BOTH)
    why = "People cannot draw outlines in this Label Studio project."
    assert words(caught) == f"Nothing was sent. {why} {sending.KEEPER}"
    assert not label_studio.tasks


def slow_line(label_studio, sender):
    """9 MB take 3 s; a connection 1 s, and an answer 8 s, for the loopback keeps some MB under way."""
    sender._client.connection._connect, sender._client.connection.timeout = 1, 8
    label_studio.rate = 3e6


def large(seen):
    """9 MB, more than a line holds by itself."""
    result = seen()
    result.content = encode(np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8), ending=".png")
    return result


def test_slow_lines_need_not_take_a_photo_at_once(label_studio, sender, seen):
    slow_line(label_studio, sender)
    result = large(seen)
    began = time.monotonic()
    assert sender.send(result, 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert time.monotonic() - began > 2
    assert label_studio.files[label_studio.tasks[0]["data"]["image"]][0] == result.content


def test_a_line_that_is_too_slow_is_given_up(label_studio, sender, seen, monkeypatch):
    result = large(seen)
    slow_line(label_studio, sender)
    with monkeypatch.context() as patch, pytest.raises(SendError) as caught:
        patch.setattr("campus_seg.label_studio.multipart.SENDING", 1)
        sender.send(result, 0.5, BOTH)
    assert words(caught) == "Nothing was sent. The line to Label Studio is too slow for this photo."
    assert not label_studio.tasks
    assert sender.send(result, 0.5, BOTH).text == "Sent to Label Studio, with 2 objects."
    assert len(label_studio.tasks) == 1
