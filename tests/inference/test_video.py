"""Videos masked by a stand-in for the model whose objects are known, compared with numbers worked out by hand."""

import csv
import json
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from masked_folders import files
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from campus_seg.errors import OutputError
from campus_seg.inference import pipeline
from campus_seg.inference.folder import mask_photos
from campus_seg.inference.inputs import find_photos
from campus_seg.inference.selection import Selection
from campus_seg.palette import class_colors
from campus_seg.videos import Frame, VideoReader, VideoWriter

CLASSES = ["bench", "dog"]
FRAMES = 9
RATE = Fraction(30000, 1001)


def box_of(index):
    """A dog of 20 x 10 pixels that walks to the right."""
    return 4 * index, 10, 4 * index + 20, 20


def index_of(image):
    """Which frame it is, by its grey."""
    return round((float(image[40:, 60:].mean()) - 60) / 12)


def predict(photos):
    """As a Predictor does: in each frame a dog where `box_of` says, and an unsure bench behind it."""
    found = []
    for image in photos:
        x0, y0, x1, y1 = box_of(index_of(image))
        one = Instances(image.shape[:2])
        one.pred_boxes = Boxes(torch.tensor([[0.0, 30, 30, 40], [x0, y0, x1, y1]]))
        one.scores, one.pred_classes = torch.tensor([0.3, 0.9]), torch.tensor([0, 1])
        one.pred_masks = torch.ones(2, 1, 28, 28)
        found.append(one)
    return found


def draw(path, frames=FRAMES):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path.with_suffix(".mp4"), RATE, 1 / RATE) as movie:
        for i in range(frames):
            movie.add(Frame(i, i / RATE, np.full((48, 80, 3), 60 + 12 * i, np.uint8)))
    path.with_suffix(".mp4").rename(path)


def mask(folder, output, predict=predict, **options):
    found = find_photos([str(folder)], output)
    return mask_photos(predict, CLASSES, found.photos, output, videos=found.videos, **options)


@pytest.fixture
def masked(tmp_path):
    draw(tmp_path / "in" / "gate" / "walk.mov")
    summary = mask(tmp_path / "in", tmp_path / "out", selection=Selection(0.5))
    assert (summary.videos, summary.failed_videos, summary.counts.photos) == ({"gate/walk.mov": FRAMES}, 0, 0)
    return tmp_path / "out"


def test_a_video_is_masked_at_its_rate_and_length(masked):
    with av.open(str(masked / "videos/gate/walk.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == RATE
        assert container.duration / 1e6 == pytest.approx(float(FRAMES / RATE), abs=1e-3)
    bench, dog = (np.array(color[::-1]) for color in class_colors(2))
    for frame in VideoReader(masked / "videos/gate/walk.mp4"):
        x0, y0, x1, y1 = box_of(frame.index)
        grey = 60 + 12 * frame.index
        assert frame.time == frame.index / RATE
        inside, outside = frame.image[y0 + 4 : y1 - 3, x0 + 4 : x1 - 4], frame.image[:, 60:][22:30]
        assert np.abs(inside.mean((0, 1)) - (0.55 * grey + 0.45 * dog)).max() < 20
        assert np.abs(outside.mean((0, 1)) - grey).max() < 4


def test_frames_have_predictions_and_a_table_of_their_own(masked):
    coco = COCO(str(masked / "videos/gate/walk.json"))
    images = coco.loadImgs(coco.getImgIds())
    assert [image["frame_index"] for image in images] == list(range(FRAMES))
    assert [image["time"] for image in images] == [round(i * 1001 / 30000, 6) for i in range(FRAMES)]
    assert images[3]["file_name"] == "gate/walk.mov/000003"
    for image in images:
        (annotation,) = coco.loadAnns(coco.getAnnIds(image["id"]))
        x0, y0, x1, y1 = box_of(image["frame_index"])
        assert (annotation["category_id"], annotation["bbox"]) == (2, [x0, y0, x1 - x0, y1 - y0])
        assert mask_util.decode(annotation["segmentation"])[y0:y1, x0:x1].all()
    rows = list(csv.DictReader((masked / "videos/gate/walk.csv").open(newline="")))
    assert [(row["photo"], row["class"], row["x"]) for row in rows] == [
        (f"gate/walk.mov/{i:06d}", "dog", str(4 * i)) for i in range(FRAMES)
    ]
    assert json.loads((masked / "predictions.json").read_text())["images"] == []  # photos alone
    assert len((masked / "summary.csv").read_text().splitlines()) == 1
    assert '"videos": ["gate/walk"]' in (masked / "gallery.js").read_text()


def test_what_counts_is_chosen_as_for_photos(tmp_path):
    draw(tmp_path / "in" / "a.mp4")
    mask(tmp_path / "in", tmp_path / "out", selection=Selection(0.2, {"dog": 0.95}), save=["binary"])
    assert set(files(tmp_path / "out")) >= {"videos/a.json", "videos/a.csv"}
    assert "videos/a.mp4" not in files(tmp_path / "out")  # no overlay was asked for
    coco = COCO(str(tmp_path / "out/videos/a.json"))
    assert {annotation["category_id"] for annotation in coco.loadAnns(coco.getAnnIds())} == {1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_video_stopped_in_the_middle_goes_on_and_predicts_no_frame_twice(tmp_path, error, monkeypatch):
    monkeypatch.setattr(pipeline, "THREADS", 1)  # or, on more cores, none may be written yet
    draw(tmp_path / "in" / "a.mp4")
    mask(tmp_path / "in", tmp_path / "whole")
    seen = []

    def stopping(photos):
        if len(seen) == 5:
            raise error
        seen.extend(map(index_of, photos))
        return predict(photos)

    with pytest.raises(OutputError if isinstance(error, OSError) else error):
        mask(tmp_path / "in", tmp_path / "out", stopping)
    assert not [name for name in files(tmp_path / "out") if name.startswith("videos/")]
    kept = sum('"image"' in line for line in (tmp_path / "out/.journal/0.jsonl").read_text().splitlines())
    assert kept > 0
    again = []

    def going_on(photos):
        again.extend(map(index_of, photos))
        return predict(photos)

    mask(tmp_path / "in", tmp_path / "out", going_on)
    assert again == list(range(kept, FRAMES))
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    mask(tmp_path / "in", tmp_path / "out", stopping)  # all is done, nothing is predicted


def test_frames_of_another_video_of_that_name_are_not_taken(tmp_path):
    """It takes the first one's place while that is masked."""
    draw(tmp_path / "in" / "a.mp4", frames=4)
    draw(tmp_path / "other" / "a.mp4")

    def replacing(photos):
        if (tmp_path / "other" / "a.mp4").exists():
            (tmp_path / "other" / "a.mp4").replace(tmp_path / "in" / "a.mp4")
        return predict(photos)

    assert mask(tmp_path / "in", tmp_path / "out", replacing).videos == {"a.mp4": 4}
    assert mask(tmp_path / "in", tmp_path / "out").videos == {"a.mp4": FRAMES}
    mask(tmp_path / "in", tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_video_that_cannot_be_read_is_listed_and_its_earlier_outputs_go(tmp_path):
    draw(tmp_path / "in" / "a.mp4")
    draw(tmp_path / "in" / "b.mov")
    mask(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "a.mp4").write_bytes(b"no more")
    summary = mask(tmp_path / "in", tmp_path / "out")
    assert (summary.videos, summary.failed_videos) == ({"b.mov": FRAMES}, 1)
    (failure,) = json.loads((tmp_path / "out/failures.json").read_text())
    assert failure == {"file_name": "a.mp4", "reason": "no video that can be read, or a damaged one"}
    assert {name for name in files(tmp_path / "out") if name.startswith("videos/")} == {
        "videos/b.mp4",
        "videos/b.json",
        "videos/b.csv",
    }


def test_a_photo_and_a_video_of_one_moment_keep_their_names(tmp_path):
    for name in ("IMG_1.mov", "IMG_1.mp4", "IMG_2.mov"):
        draw(tmp_path / "in" / name, frames=1)
    for name in ("IMG_1.jpg", "IMG_2.jpg"):
        (tmp_path / "in" / name).write_bytes(b"")
    found = find_photos([str(tmp_path / "in")], tmp_path / "out")
    assert [photo.name for photo in found.photos] == ["IMG_1", "IMG_2"]
    assert [video.name for video in found.videos] == ["IMG_1.mov", "IMG_1.mp4", "IMG_2"]
    assert found.skipped == 0
