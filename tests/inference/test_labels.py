"""Where labels go, and what they look like."""

import threading

import numpy as np
import pytest

from campus_seg.inference import labels
from campus_seg.inference.scene import Outline

RED = (250, 10, 20)


def disc(x, y, radius):
    """The outline of a filled circle around (x, y), without contours."""
    return Outline((x - radius, y - radius, x + radius + 1, y + radius + 1), x, x, ())


def overlaps(places, sizes):
    """Pixels that each pair of labels shares, summed."""
    count = np.zeros((1000, 1000), int)
    for (x, y), (width, height) in zip(places, sizes, strict=True):
        count[y : y + height, x : x + width] += 1
    return int((count - 1).clip(0).sum())


def test_labels_stay_inside_and_beside_each_other():
    rng = np.random.default_rng(0)
    outlines = [disc(int(x), int(y), 20) for x, y in rng.integers(20, 380, (20, 2))]
    outlines += [disc(200, 200, 150)] * 5 + [disc(20, 20, 20), disc(380, 380, 19)]
    sizes = [(int(w), 14) for w in rng.integers(40, 90, len(outlines))]
    places = labels.place_labels(sizes, outlines, (400, 400))
    assert overlaps(places, sizes) == 0
    for (x, y), (width, height) in zip(places, sizes, strict=True):
        assert 0 <= x <= 400 - width
        assert 0 <= y <= 400 - height


def test_a_label_stands_above_its_object():
    assert labels.place_labels([(40, 10)], [disc(100, 100, 30)], (200, 200)) == [(80, 60)]


def test_more_labels_than_room_do_not_fail():
    places = labels.place_labels([(50, 20)] * 30, [disc(30, 30, 10)] * 30, (60, 60))
    assert len(places) == 30


def test_the_least_hidden_place_is_taken_where_none_is_free():
    # The first label hides all but the photo's last 4 columns and the second, wherever it goes, 6 of its own 10 at
    # least: beside its object, pushed in from the edge.
    places = labels.place_labels([(36, 20), (10, 10)], [disc(0, 10, 5), disc(35, 10, 4)], (20, 40))
    assert places[0] == (0, 0)
    assert places[1][0] == 30


def test_no_labels():
    assert labels.place_labels([], [], (10, 10)) == []


def test_letters_shrink_where_many_labels_would_hide_the_photo():
    few, many = (labels.text_size(["fire extinguisher 97%"] * n, (3000, 4000)) for n in (3, 100))
    assert few == round(12e6**0.5 / 42)
    assert 30 < many < 50
    hidden = 100 * labels.label_picture("fire extinguisher 97%", many, RED, (3000, 4000)).shape[1] * many
    assert hidden < 0.2 * 12e6
    assert labels.text_size(["fire extinguisher 97%"] * 1000, (480, 640)) == labels.CROWD_TEXT


def test_a_label_is_its_ground_and_contrasting_letters():
    for color, ink in ((RED, 255), ((255, 215, 0), 0)):
        picture = labels.label_picture("dog", 20, color, (400, 400))
        assert picture.dtype == np.uint8
        assert (picture[0, 0] == color[::-1]).all()
        assert (picture == ink).all(axis=2).any()


@pytest.mark.parametrize(("shape", "fits"), [((400, 400), True), ((400, 60), False), ((5, 400), False)])
def test_a_label_that_cannot_fit_is_left_out(shape, fits):
    assert (labels.label_picture("fire extinguisher", 20, RED, shape) is not None) == fits


def test_threads_do_not_share_letters():
    fonts = [labels.label_font(12)]
    thread = threading.Thread(target=lambda: fonts.append(labels.label_font(12)))
    thread.start()
    thread.join()
    assert fonts[0] is labels.label_font(12)
    assert fonts[0] is not fonts[1]
