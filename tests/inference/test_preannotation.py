"""From photos on a server to predictions there, with a stand-in for the model that sees exactly what was drawn."""

import io

import pytest
from fake_label_studio import INTERFACE
from PIL import Image
from preannotated import BOX, CARS, CORNERS, STORED, Model, photo

from campus_seg.errors import ConfigError, LabelStudioError
from campus_seg.inference.preannotation import Preannotator, push_predictions
from campus_seg.inference.selection import Selection


@pytest.fixture
def pushed(label_studio, client):
    """Runs a push; with `selection`, `replace`, or another `model`."""
    label_studio.interface = CARS

    def pushed(selection=Selection(), model=None, **options):  # noqa: B008 - it is frozen
        mine = client()
        return push_predictions(mine, Preannotator(mine, model or Model(), selection, "campus"), **options)

    return pushed


@pytest.mark.parametrize("orientation", STORED)
def test_boxes_are_where_people_see_them_however_a_photo_is_stored(orientation, label_studio, pushed):
    content = photo(BOX, orientation=orientation)
    with Image.open(io.BytesIO(content)) as stored:
        assert stored.size == ((40, 80) if orientation >= 5 else (80, 40))
    label_studio.add_photo("a.png", content)
    pushed()
    ((region,),) = [one["result"] for one in label_studio.predictions]
    assert {tuple(point) for point in region["value"]["points"]} == CORNERS
    assert (region["original_width"], region["original_height"]) == (80, 40)
    assert region["value"]["polygonlabels"] == ["bench"]


def test_twice_doubles_nothing_and_new_photos_are_done(label_studio, pushed):
    label_studio.add_photo("a.png", photo(BOX, (52, 24, 72, 36), classes=[0, 1]))
    label_studio.add_photo("b.png", photo())
    first = pushed()
    assert (first.created, first.objects, first.there) == (2, 2, 0)
    scores = {one["task"]: one["score"] for one in label_studio.predictions}
    assert 0.5 <= scores[1] < 1 and scores[2] == 0
    label_studio.add_photo("c.png", photo(BOX))
    second = pushed()
    assert (second.created, second.there) == (1, 2)
    assert [one["task"] for one in label_studio.predictions] == [1, 2, 3]
    assert {one["model_version"] for one in label_studio.predictions} == {label_studio.model_version}
    assert label_studio.model_version.startswith("campus ")


def test_other_options_are_another_version_and_replace_begins_anew(label_studio, pushed):
    label_studio.add_photo("a.png", photo(BOX, (52, 24, 72, 36), classes=[0, 1]))
    pushed()
    pushed(Selection(classes=("car",)))
    versions = [one["model_version"] for one in label_studio.predictions]
    assert len(set(versions)) == 2 and label_studio.model_version == versions[1]
    assert [len(one["result"]) for one in label_studio.predictions] == [2, 1]
    assert pushed(replace=True).created == 1
    assert {one["id"] for one in label_studio.predictions} == {2, 3}
    slow = Model()
    slow.made_with["engine"] = "openvino bf16"
    assert pushed(model=slow).created == 0


def test_what_people_have_labelled_or_skipped_is_left_alone(label_studio, pushed):
    for number in range(3):
        label_studio.add_photo(f"{number}.png", photo(BOX))
    label_studio.tasks[0]["total_annotations"] = 1
    label_studio.tasks[1]["cancelled_annotations"] = 1
    assert pushed().created == 1
    assert [one["task"] for one in label_studio.predictions] == [3]


def test_an_interface_with_other_controls_is_another_version(label_studio, pushed):
    label_studio.add_photo("a.png", photo(BOX))
    pushed()
    label_studio.interface = CARS.replace('name="polygon"', 'name="mask"')
    assert pushed().created == 1
    first, second = label_studio.predictions
    assert (first["result"][0]["from_name"], second["result"][0]["from_name"]) == ("polygon", "mask")
    assert first["model_version"] != second["model_version"] == label_studio.model_version


def test_photos_that_cannot_be_had_are_named_and_the_others_done(label_studio, pushed):
    label_studio.add_photo("a.png", photo(BOX))
    label_studio.add_photo("b.png", b"<html>Sorry</html>")
    label_studio.add_photo("c.png", photo(BOX))["data"] = {"image": []}
    label_studio.add_photo("d.png", photo(BOX))["data"]["image"] = ["/a.png", "/b.png"]
    done = pushed()
    assert done.created == 1 and list(done.failures) == [2, 3, 4]
    assert done.failures[3] == "shows no photos, and one is wanted"
    assert done.failures[4] == "shows 2 photos, and one is wanted"


def test_a_push_that_was_stopped_goes_on(label_studio, pushed, monkeypatch):
    monkeypatch.setattr("campus_seg.inference.preannotation.BATCH", 2)
    for number in range(12):
        label_studio.add_photo(f"{number}.png", photo(BOX))
    label_studio.faults["/data/upload/1/11.png"] = ["close"] * 9
    with pytest.raises(LabelStudioError, match="cannot be reached"):
        pushed()
    sent = len(label_studio.predictions)
    assert 0 < sent < 12
    label_studio.faults.clear()
    assert pushed().created == 12 - sent
    assert [one["task"] for one in label_studio.predictions] == list(range(1, 13))


def test_what_the_project_lacks_is_known_before_any_photo_is_fetched(label_studio, pushed):
    label_studio.interface = INTERFACE
    label_studio.add_photo("a.png", photo(BOX))
    with pytest.raises(LabelStudioError, match="no label 'bench' to draw with"):
        pushed()
    assert label_studio.count("GET", "/data/") == 0
    with pytest.raises(ConfigError, match="class cow: the model knows bench, car"):
        pushed(Selection(classes=("cow",)))
    assert pushed(Selection(classes=("car",))).created == 1
