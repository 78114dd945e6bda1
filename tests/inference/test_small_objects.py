"""The proof of tiles on the model that `make demo` trains: a drawn panorama with 200 small objects."""

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_util

from campus_seg.tools.visualize import main as visualize

pytestmark = pytest.mark.precision

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "output" / "demo" / "config.yaml"
OBJECTS = 200
FOUND = 0.5  # mask IoU with the drawn object, and of its class


@pytest.fixture(scope="module")
def panorama():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "datasets")
        return importlib.import_module("panorama").draw_panorama(OBJECTS)


def figures(panorama, output):
    """What the predictions of a masked folder are worth.

    Returns:
        (recall, precision, doubles, pieces): doubles are of the class of an object that a surer one found already;
        pieces lie within an object of their class and show less than half of it.
    """
    predictions = json.loads((output / "predictions.json").read_text())
    names = {category["id"]: category["name"] for category in predictions["categories"]}
    found = sorted(predictions["annotations"], key=lambda annotation: -annotation["score"])
    truth = [region.rle(panorama.photo.shape[:2]) for region in panorama.regions]
    masks = [annotation["segmentation"] for annotation in found]
    overlap = np.reshape(mask_util.iou(masks, truth, [0] * len(truth)), (len(found), len(truth)))
    inside = np.reshape(mask_util.iou(masks, truth, [1] * len(truth)), (len(found), len(truth)))  # shares of `found`
    classes = np.array([[names[a["category_id"]] == name for name in panorama.categories] for a in found])
    free = np.ones(len(truth), bool)
    doubles = pieces = 0
    for i in range(len(found)):
        fits = np.where(classes[i], overlap[i], 0)
        best = int(np.argmax(fits * free))
        if fits[best] >= FOUND and free[best]:
            free[best] = False
        elif fits.max() >= FOUND:
            doubles += 1
        elif (classes[i] & (inside[i] >= 0.8)).any():
            pieces += 1
    recall = 1 - free.sum() / OBJECTS
    return recall, (OBJECTS - free.sum()) / max(1, len(found)), doubles, pieces


def test_small_objects_of_a_panorama(panorama, tmp_path):
    """With tiles recall is 1.5 times that of the whole photo at least, also at twice its size, and no less precise."""
    if not CONFIG.is_file():
        pytest.fail(f"{CONFIG}: run `make demo` first")
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "panorama.png"), panorama.photo)
    runs = {
        "whole photo at 512 px": (512, []),
        "whole photo at 1024 px": (1024, []),
        "tiles of 1024 px at 512 px": (512, ["--tile", "1024", "--overlap", "0.2"]),
    }
    results = []
    for number, (name, (size, more)) in enumerate(runs.items()):
        output = tmp_path / f"masked{number}"
        command = ["--config-file", str(CONFIG), "--input", str(tmp_path / "photos"), "--output", str(output), *more]
        assert visualize([*command, "--save", "overlay", "--opts", "CAMPUS.INPUT_SIZE", str(size)]) == 0
        results.append(figures(panorama, output))
        recall, precision, doubles, pieces = results[-1]
        print(f"{name}: recall {recall:.3f}, precision {precision:.3f}, doubles {doubles}, pieces {pieces}")
    print(output / "overlay" / "panorama.jpg")
    *wholes, tiled = results
    assert tiled[0] >= max(0.5, *[1.5 * whole[0] for whole in wholes])
    assert tiled[1] >= max(whole[1] for whole in wholes)
    assert tiled[2] + tiled[3] <= 0.02 * OBJECTS  # those that one view itself shows twice
