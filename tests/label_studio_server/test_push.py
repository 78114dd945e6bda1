"""A model's predictions, pushed to a real server and read back: its own masks, where people see them."""

import numpy as np
import pytest
from labelled_photos import HEIGHT, INTERFACE, WIDTH
from pycocotools import mask as coco_mask

from campus_seg.config import load_config, use_run_weights
from campus_seg.inference.paste import found_objects
from campus_seg.inference.predictor import Predictor
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.index import given_name
from campus_seg.label_studio.masks import encode_mask, mask_of_rings
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.pull import pull_project
from campus_seg.label_studio.raw import RawPhoto
from campus_seg.label_studio.regions import read_regions
from campus_seg.photos import read_photo
from campus_seg.tools.label_studio import main

pytestmark = pytest.mark.label_studio

CLOSE = 0.95
THRESHOLD = 0.3


@pytest.fixture(scope="module")
def command(server, campus, run, token):
    return ["push", "--config-file", str(run), *campus.arguments(server), "--confidence-threshold", str(THRESHOLD)]


@pytest.fixture(scope="module")
def own_masks(campus, run, tmp_path_factory):
    """Name -> (label, (480, 640) bool mask) of what the model finds in each unlabelled photo."""
    cfg = load_config(str(run))
    use_run_weights(cfg, str(run))
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = THRESHOLD
    predictor = Predictor(cfg)
    found = {}
    for name in campus.unlabelled:
        file = tmp_path_factory.mktemp("photo") / "a.jpg"
        file.write_bytes(campus.photos[name])
        (instances,) = predictor([read_photo(file)])
        objects = found_objects(instances)
        found[name] = [(predictor.class_names[one.class_id], one.region.full((HEIGHT, WIDTH))) for one in objects]
    return found


@pytest.fixture(scope="module")
def pushed(server, campus, command):
    """Name -> prediction, as the server has it after two commands."""
    assert main(command) == 0 and main(command) == 0
    predictions = server.ask("GET", f"/api/predictions/?project={campus.number}")
    names = {task: name for name, task in campus.tasks.items()}
    assert len(predictions) == len(campus.unlabelled)
    return {names[one["task"]]: one for one in predictions}


def compare(read, own):
    """Each of the model's masks has its annotation: (label, COCO RLE)."""
    assert len(read) == len(own)
    for label, mask in own:
        same = [rle for other, rle in read if other == label]
        assert coco_mask.iou(same, [encode_mask(mask)], [False]).max() >= CLOSE


def test_predictions_are_the_models_own_masks(pushed, own_masks):
    assert set(pushed) == set(own_masks) and sum(map(len, own_masks.values())) >= len(own_masks)
    for name, prediction in pushed.items():
        photo = RawPhoto(name, None, None)
        read_regions(prediction["result"], photo, [])
        read = [(a.label, a.rle or mask_of_rings(a.rings, WIDTH, HEIGHT)) for a in photo.annotations]
        compare(read, own_masks[name])


def test_the_servers_own_rules_find_no_fault(pushed, sdk):
    predictions = list(pushed.values())
    assert sdk("faults", {"interface": INTERFACE, "predictions": predictions}) == [[]] * len(predictions)


def test_people_see_this_version(server, campus, pushed):
    (version,) = {one["model_version"] for one in pushed.values()}
    assert version.startswith("campus ")
    assert server.ask("GET", f"/api/projects/{campus.number}/")["model_version"] == version


def test_people_can_edit_them(pushed):
    points = [len(r["value"]["points"]) for one in pushed.values() for r in one["result"] if "points" in r["value"]]
    assert points and np.median(points) <= 30


def test_submitted_predictions_are_pulled_as_the_same_masks(server, campus, pushed, own_masks, tmp_path):
    """As when somebody accepts them; in a project of its own, since others look at this one."""
    number = server.make_project("Accepted", INTERFACE)
    tasks = server.upload(number, {name: campus.photos[name] for name in pushed})
    for name, prediction in pushed.items():
        server.annotate(tasks[name], prediction["result"])
    pull_project(server.client(number), tmp_path)
    export = read_export(str(tmp_path), ExportOptions())
    photos = {given_name(photo.name): photo for photo in export.photos}
    for name, own in own_masks.items():
        if own:
            read = [(a.label, a.rle or mask_of_rings(a.rings, WIDTH, HEIGHT)) for a in photos[name].annotations]
            compare(read, own)
