"""A model's predictions, pushed to a real server and read back: its own masks, where people see them."""

import numpy as np
import pytest
from labelled_photos import HEIGHT, INTERFACE, NOTHING, WIDTH
from read_back import beyond, objects_of, objects_of_result

from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.index import given_name
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.pull import pull_project

pytestmark = pytest.mark.label_studio

CLOSE = 0.95


@pytest.fixture(scope="module")
def own_masks(campus, found_by_model):
    """Name -> (label, mask) of what the model finds in each unlabelled photo."""
    return {name: found_by_model(campus.photos[name]) for name in campus.unlabelled}


def test_predictions_are_the_models_own_masks(pushed, own_masks):
    assert set(pushed) == set(own_masks)
    assert all(own_masks.values())  # or an orientation would be compared with nothing
    for name, prediction in pushed.items():
        assert beyond(objects_of_result(prediction["result"], WIDTH, HEIGHT), own_masks[name], CLOSE) == []


def test_holes_and_parts_arrive(drawn):
    prediction, objects = drawn
    assert sorted(region["type"] for region in prediction["result"]) == ["brushlabels", *2 * ["polygonlabels"]]
    assert beyond(objects_of_result(prediction["result"], WIDTH, HEIGHT), objects, CLOSE) == []


def test_the_servers_own_rules_find_no_fault(pushed, drawn, sdk):
    predictions = [*pushed.values(), drawn[0]]
    assert sdk("faults", {"interface": INTERFACE, "predictions": predictions}) == [[]] * len(predictions)
    wrong = {**drawn[0], "result": [{**drawn[0]["result"][0], "from_name": "pencil"}]}
    assert sdk("faults", {"interface": INTERFACE, "predictions": [wrong]}) != [[]]


def test_people_see_this_version(server, campus, pushed):
    (version,) = {one["model_version"] for one in pushed.values()}
    assert version.startswith("campus ")
    assert server.ask("GET", f"/api/projects/{campus.number}/")["model_version"] == version


def test_people_can_edit_them(pushed):
    points = [len(r["value"]["points"]) for one in pushed.values() for r in one["result"] if "points" in r["value"]]
    assert points and np.median(points) <= 30


def test_submitted_predictions_are_pulled_as_the_same_masks(server, campus, pushed, own_masks, drawn, tmp_path):
    """As when somebody accepts them; in a project of its own, since others look at this one."""
    number = server.make_project("Accepted", INTERFACE)
    tasks = server.upload(number, {"nothing.jpg": NOTHING, **{name: campus.photos[name] for name in pushed}})
    for name, prediction in {"nothing.jpg": drawn[0], **pushed}.items():
        server.annotate(tasks[name], prediction["result"])
    pull_project(server.client(number), tmp_path)
    photos = {given_name(photo.name): photo for photo in read_export(str(tmp_path), ExportOptions()).photos}
    for name, objects in {"nothing.jpg": drawn[1], **own_masks}.items():
        assert beyond(objects_of(photos[name].annotations, WIDTH, HEIGHT), objects, CLOSE) == []
