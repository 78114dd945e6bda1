"""Proofs on the model that `make demo` trains; `make precision` runs them after it."""

import json
from pathlib import Path

import numpy as np
import pytest
from installed_engines import INSTALLED, computed_precision
from planted import is_planted, plant_faults
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from campus_seg.config import load_config, use_run_weights
from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.suspects import find_suspects
from campus_seg.inference.paste import found_objects
from campus_seg.inference.predictor import Predictor
from campus_seg.photos import read_photo

pytestmark = pytest.mark.precision

RUN = Path(__file__).resolve().parents[1] / "output" / "demo"
MOST_LOST = 0.3  # points of mask AP


def mask_ap(engine: str, precision: str) -> float:
    """Mask AP of 0 to 100 on the run's test photos, by pycocotools."""
    opts = ["CAMPUS.INFERENCE.ENGINE", engine, "CAMPUS.INFERENCE.PRECISION", precision, "MODEL.DEVICE", "cpu"]
    cfg = load_config(str(RUN / "config.yaml"), opts)
    use_run_weights(cfg, str(RUN / "config.yaml"))
    predictor = Predictor(cfg)
    assert (predictor.engine.name, predictor.engine.precision) == (engine, computed_precision(engine, precision))
    truth = COCO(str(RUN / "import/campus_test.json"))
    results = []
    for image in truth.dataset["images"]:
        photo = read_photo(RUN / "import/images" / image["file_name"])
        for found in found_objects(predictor([photo])[0]):
            entry = {"image_id": image["id"], "category_id": found.class_id + 1, "score": found.score}
            results.append({**entry, "segmentation": found.region.rle(photo.shape[:2])})
    evaluation = COCOeval(truth, truth.loadRes(results), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return 100 * float(evaluation.stats[0])


@pytest.fixture(scope="module")
def stock_ap() -> float:
    """What COCOEvaluator said of stock Detectron2's loop at the end of the training."""
    file = RUN / "inference/campus_test/metrics.json"
    if not file.is_file():
        pytest.fail(f"{file}: run `make demo` first")
    return json.loads(file.read_text())["segm"]["AP"]


@pytest.mark.parametrize("engine", INSTALLED)
def test_no_engine_and_no_precision_costs_ap(engine, stock_ap):
    exact, rounded = mask_ap(engine, "fp32"), mask_ap(engine, "bf16")
    print(f"\n{engine}: mask AP {exact:.2f} in fp32, {rounded:.2f} in bf16; COCOEvaluator {stock_ap:.2f}")
    assert np.isclose(exact, stock_ap, atol=0.05)
    assert rounded >= exact - MOST_LOST


def judged_photos() -> tuple[dict, list[dict]]:
    """Labels and predictions of the photos for validation and testing, as one COCO file and one list of results."""
    together = {"images": [], "annotations": []}
    predictions = []
    for split in ("val", "test"):
        file = RUN / f"inference/campus_{split}/coco_instances_results.json"
        if not file.is_file():
            pytest.fail(f"{file}: run `make demo` first")
        truth = json.loads((RUN / f"import/campus_{split}.json").read_text())
        first = len(together["images"])  # ids begin with 1 in each file
        together["categories"] = truth["categories"]
        together["images"] += [{**image, "id": first + image["id"]} for image in truth["images"]]
        known = len(together["annotations"])
        together["annotations"] += [
            {**entry, "id": known + entry["id"], "image_id": first + entry["image_id"]}
            for entry in truth["annotations"]
        ]
        predictions += [{**entry, "image_id": first + entry["image_id"]} for entry in json.loads(file.read_text())]
    return together, predictions


def test_planted_label_faults_come_first_in_the_list_of_suspects():
    """Of photos that the model has not learned from; its own labels were sound."""
    truth, predictions = judged_photos()
    shares = {"suspects": [], "photos": []}
    for seed in range(10):
        faulty, faults = plant_faults(truth, seed)
        photos = find_suspects(match_photos(faulty, predictions))
        suspects = [(one, photo.photo.image["id"]) for photo in photos for one in photo.suspects]
        shares["suspects"].append(np.mean([is_planted(one, image_id, faults) for one, image_id in suspects[:20]]))
        at_fault = {fault["image_id"] for fault in faults}
        shares["photos"].append(np.mean([photo.photo.image["id"] in at_fault for photo in photos[:20]]))
    for name, values in shares.items():
        print(f"\nplanted among the first 20 {name}: {np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    assert np.mean(shares["suspects"]) >= 0.7  # 20 of a draw alone are too few to hold a model to
    assert min(shares["photos"]) >= 0.7
