"""Predictions arrive, each once, whatever becomes of the answers."""

import pytest

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.push import Push

IMPORT = "/api/projects/1/import/predictions"
REGION = {
    **{"id": "1", "type": "polygonlabels", "from_name": "polygon", "to_name": "image"},
    "value": {"points": [[0, 0], [100, 0], [50, 100]], "polygonlabels": ["car"]},
}


@pytest.fixture
def push(label_studio, client):
    for number in range(5):
        label_studio.add_photo(f"{number}.jpg", b"")
    return Push(client(), "campus 1")


def send(push, tasks=(1, 2, 3)):
    push.send([push.prediction(task, [REGION], 0.5) for task in tasks])


def versions(label_studio):
    return sorted((one["task"], one["model_version"]) for one in label_studio.predictions)


def test_predictions_are_there_once(push, label_studio, client):
    send(push)
    assert versions(label_studio) == [(1, "campus 1"), (2, "campus 1"), (3, "campus 1")]
    assert label_studio.predictions[0]["result"] == [REGION] and label_studio.predictions[0]["score"] == 0.5
    push.finish([1, 2, 3])
    assert label_studio.model_version == "campus 1"
    again = Push(client(), "campus 1")
    assert [task.id for task in again.left(again.client.tasks())] == [4, 5]
    other = Push(client(), "campus 2")
    assert len(other.left(other.client.tasks())) == 5


@pytest.mark.parametrize("fault", ["taken", 502, "close"])
def test_an_answer_that_never_came(fault, push, label_studio):
    """Whether or not the server had taken the request."""
    label_studio.faults[IMPORT] = [fault, None]
    send(push)
    assert versions(label_studio) == [(1, "campus 1"), (2, "campus 1"), (3, "campus 1")]
    assert label_studio.count("POST", IMPORT) == (1 if fault == "taken" else 2)


def test_a_server_that_stays_away(push, label_studio):
    label_studio.faults[IMPORT] = [502] * 9
    with pytest.raises(LabelStudioError, match="502"):
        send(push)
    assert label_studio.predictions == [] and label_studio.count("POST", IMPORT) == 3


def test_a_request_that_is_refused_is_not_sent_again(push, label_studio):
    label_studio.faults[IMPORT] = [400]
    with pytest.raises(LabelStudioError, match="refused .400"):
        send(push)
    assert label_studio.count("POST", IMPORT) == 1


def test_what_the_server_leaves_out_without_a_word_is_said(push, label_studio):
    label_studio.refuses = {2}
    with pytest.raises(
        LabelStudioError, match="left out 1 of 3 predictions and does not say why, the first for task 2"
    ):
        send(push)


def test_one_that_arrived_twice_is_removed(push, label_studio):
    send(push)
    label_studio.create([push.prediction(2, [REGION], 0.5)])
    push.finish([1, 2, 3])
    assert [one["id"] for one in label_studio.predictions] == [1, 2, 3]


def test_one_that_is_gone_is_said(push, label_studio):
    send(push)
    label_studio.predictions = label_studio.predictions[:2]
    with pytest.raises(LabelStudioError, match="1 predictions are gone again, the first of task 3"):
        push.finish([1, 2, 3])
    assert label_studio.model_version == ""


def test_nothing_is_sent_that_people_could_not_have_drawn(push, label_studio):
    wrong = {**REGION, "value": {**REGION["value"], "polygonlabels": ["cat"]}}
    with pytest.raises(LabelStudioError, match="a prediction for task 2 does not fit .*polygon has no label"):
        push.send([push.prediction(1, [REGION], 0.5), push.prediction(2, [wrong], 0.5)])
    assert label_studio.predictions == []


def test_an_interface_that_people_change_meanwhile_is_noticed(push, label_studio):
    send(push, (1, 2))
    label_studio.interface = label_studio.interface.replace('"polygon"', '"mask"')
    with pytest.raises(LabelStudioError, match="no polygonlabels called polygon on image., which somebody has changed"):
        send(push, (3, 4))
    assert len(label_studio.predictions) == 2


def test_removing_this_versions_predictions(push, label_studio):
    send(push)
    label_studio.create([{"task": 1, "result": [], "model_version": "campus 2"}])
    assert push.remove() == 3
    assert versions(label_studio) == [(1, "campus 2")]
    assert len(push.left(push.client.tasks())) == 5
