"""The photos of a report: which are shown, and what stands on them."""

import cv2
import numpy as np
from rectangles import NAMES, coco, found, label

from campus_seg.errors import ExportError
from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.report_photos import SIDE, Album, Drawing, ranked_photos, shown_detections
from campus_seg.photos import PhotoError

HALF = dict.fromkeys(NAMES, 0.5)


def noise(seed):
    """What draws a photo of which there are two pictures."""
    pictures = np.random.default_rng(seed).integers(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    return lambda: [(pictures[0], f"{seed} left"), (pictures[1], f"{seed} right")]


def unreadable(error):
    def draw():
        raise error

    return draw


def test_an_album_is_full_when_it_is_full(caplog):
    gone = [unreadable(PhotoError("photo.jpg: gone")), unreadable(ExportError("other.jpg: of another size"))]
    album = Album(18_000)
    photos = album.add([noise(0), *gone, *(noise(seed) for seed in range(1, 9))])
    assert [(picture.alt, picture.width, picture.height) for picture in photos[0]] == [
        *(("0 left", 50, 40), ("0 right", 50, 40))
    ]
    assert photos[1:3] == [(), ()] and album.unread == 2
    assert "photo.jpg: gone" in caplog.text and "other.jpg: of another size" in caplog.text
    shown = [photo for photo in photos if photo]
    assert all(len(photo) == 2 for photo in shown)
    assert 1 < len(shown) < 9 and sum(len(picture.uri) for photo in shown for picture in photo) <= 18_000
    assert photos.index((), 3) == len(shown) + 2  # the first ones are there
    assert album.without == 9 - len(shown)
    assert album.add([noise(9)]) == [()] and album.without == 10 - len(shown)


def test_the_worst_photos_come_first():
    """Panoptic quality by hand, of cars."""
    labels = [label(1, 1, 10, 10, 40, 40), label(2, 1, 100, 10, 40, 40), label(3, 1, 10, 10, 40, 40, image=2)]
    labels += [label(4, 1, 10, 10, 40, 40, image=3), label(5, 2, 100, 10, 40, 40, image=3)]
    labels += [label(6, 1, 10, 10, 40, 40, image=4), label(7, 1, 100, 10, 40, 40, image=4)]
    labels += [label(8, 2, 10, 10, 40, 40, image=5)]
    finds = [
        found(1, 0.9, 14, 10, 40, 40),  # IoU 36 / 44, one missed and one made up: (36 / 44) / (1 + 0.5 + 0.5)
        found(1, 0.8, 10, 55, 40, 40),
        found(1, 0.9, 10, 10, 40, 40, image=2),  # found exactly, and a dog that is none of a car's business
        found(2, 0.9, 100, 10, 40, 40, image=2),
        found(1, 0.4, 10, 10, 40, 40, image=3),  # below the threshold
        found(1, 0.9, 10, 10, 40, 40, image=5),
    ]
    photos = match_photos(coco(*labels, images=5), finds)
    pairings = [photo.pair(least_scores=HALF, across_classes=False) for photo in photos]
    ranked = [(round(quality, 4), photo.image["id"]) for quality, photo in ranked_photos(photos, pairings, 1)]
    assert ranked == [(0.0, 4), (0.0, 3), (0.4091, 1), (1.0, 2)]  # of 3 and 4 that with more cars first; 5 has none


def test_shown_are_the_detections_that_count_and_those_asked_for():
    finds = [
        found(1, 0.5, 0, 0, 9, 9),
        found(2, 0.5, 9, 0, 9, 9),
        found(3, 0.3, 20, 0, 9, 9),
        found(3, 0.2, 9, 9, 9, 9),
    ]
    (photo,) = match_photos(coco(), finds)
    assert shown_detections(photo, {1: 0.5, 2: 0.6, 3: 0.4}, also=[finds[2]]) == [finds[0], finds[2]]


def test_both_pictures_of_a_photo_are_small_and_have_its_marks_where_they_belong(tmp_path):
    """At half size: a box of 100 … 180 x 40 … 100 pixels lies at 50 … 90 x 20 … 50, and its mark 4 pixels around it."""
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((SIDE, 2 * SIDE, 3), 128, np.uint8))
    colors = {1: (255, 0, 0), 2: (0, 255, 0), 3: (0, 0, 255)}
    filled = {
        "category_id": 1,
        "bbox": [600, 200, 100, 100],
        "segmentation": [[600, 200, 700, 200, 700, 300, 600, 300]],
    }
    sides = {"Labelled": [filled], "Found": []}
    drawn = Drawing(NAMES, colors).draw(tmp_path / "photo.png", sides, [[100, 40, 80, 60], [600, 40, 20, 20]])
    assert [said for _, said in drawn] == ["Labelled: 1 car", "Found: nothing"]
    (labelled, _), (bare, _) = drawn
    assert labelled.shape == bare.shape == (SIDE // 2, SIDE, 3)
    yellow = (bare == (0, 255, 255)).all(axis=2)
    assert yellow[25:35, [46, 94]].all() and yellow[[16, 54], 66:90].all()
    assert not yellow[18:34, 50:90].any() and (bare[25, 70] == 128).all()  # nothing within
    assert not yellow[:, 100:290].any() and yellow[24, 296]  # the second, from 300 - 4 on
    tag = bare[38:54, 47:62]
    assert (tag.max(axis=2) < 60).any() and (tag == (0, 255, 255)).all(axis=2).any()  # a number on it
    b, g, r = labelled[125, 325]  # within the label: red
    assert r > 140 and r > g and r > b and (bare[125, 325] == 128).all()
