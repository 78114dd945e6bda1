"""Proofs on real photos: that labels and pixels meet, and that fine-tuning starts well from a model zoo file."""

import json
import pickle

import numpy as np
import pytest
import torch
from answers import same_objects, stock_predictor
from detectron2.modeling import build_model
from installed_engines import INSTALLED

from campus_seg.config import export_options, load_config, use_run_weights
from campus_seg.data.datasets import register_datasets, write_datasets
from campus_seg.engine.schedule import resolve_schedule
from campus_seg.engine.trainer import Trainer
from campus_seg.inference.inputs import find_photos
from campus_seg.inference.predictor import Predictor
from campus_seg.label_studio.export import Export, read_export
from campus_seg.modeling.mini_backbone import register_mini_backbone
from campus_seg.modeling.weights import COCO_CLASSES
from campus_seg.modeling.weights_file import read_checkpoint
from campus_seg.photos import read_photo
from campus_seg.tools.visualize import main as visualize

pytestmark = pytest.mark.slow
of_what_was_learned = pytest.mark.xdist_group("learned")  # one training for all of them

TURNED = "f2e821ed-000000000089.jpg"  # the photo with EXIF orientation 6


def prepare(cfg, export: Export, splits: dict[str, list[str]], output):
    """What train_net.py does between reading and training, for splits of the test's own."""
    register_mini_backbone()
    write_datasets(export, splits, output)
    register_datasets(output, export.classes)
    cfg.CAMPUS.CLASSES = export.classes
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(export.classes)
    cfg.DATASETS.TEST = ("campus_test",)
    cfg.OUTPUT_DIR = str(output)
    resolve_schedule(cfg, len(splits["train"]), ["SOLVER.MAX_ITER"])
    (output / "config.yaml").write_text(cfg.dump())
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="module")
def learned(real_exports, tmp_path_factory):
    """Folder of a run of the mini network on twelve photos, one that lies on its side among them."""
    output = tmp_path_factory.mktemp("learned") / "run"
    opts = ["CAMPUS.INPUT_SIZE", "320", "CAMPUS.AUGMENTATIONS", "", "SOLVER.MAX_ITER", "500", "CAMPUS.EVAL_EPOCHS", "0"]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*opts, "MODEL.DEVICE", "cpu"])
    export = read_export(str(real_exports / "coco_with_images_host.zip"), export_options(cfg))
    # Objects of a few pixels cannot be learnt at this size: photos with none below 0.4 percent of the photo.
    fit = [
        photo.name
        for photo in export.photos
        if photo.annotations and min(a.area for a in photo.annotations) > 0.004 * photo.width * photo.height
    ]
    fit.sort(key=lambda name: not name.endswith(TURNED))
    chosen = fit[:12]
    assert len(chosen) == 12 and chosen[0].endswith(TURNED)
    others = [photo.name for photo in export.photos if photo.name not in chosen]
    prepare(cfg, export, {"train": chosen, "val": others, "test": chosen}, output)
    Trainer(cfg).train()
    return output


@of_what_was_learned
def test_the_mini_network_learns_twelve_photos_by_heart(learned):
    """Mask AP50 of at least 60 on the photos it was trained on."""
    metrics = json.loads((learned / "inference/campus_test/metrics.json").read_text())
    print(f"\nmask AP50 {metrics['segm']['AP50']:.1f}, AP {metrics['segm']['AP']:.1f} on the same 12 photos")
    assert metrics["segm"]["AP50"] >= 60


@of_what_was_learned
@pytest.mark.parametrize("engine", INSTALLED)
def test_every_engine_finds_what_stock_detectron2_finds(engine, learned):
    """At least 99.5 percent of its objects above 0.3 on all the photos, and as few that it does not find."""
    opts = ["CAMPUS.INFERENCE.ENGINE", engine, "CAMPUS.INFERENCE.PRECISION", "fp32", "MODEL.DEVICE", "cpu"]
    cfg = load_config(str(learned / "config.yaml"), opts)
    use_run_weights(cfg, str(learned / "config.yaml"))
    ours, stock = Predictor(cfg), stock_predictor(cfg)
    assert (ours.engine.name, ours.engine.precision) == (engine, "fp32")
    paths = find_photos([str(learned / f"import/campus_{split}.json") for split in ("test", "val")], learned / "masked")
    counts = []
    for photo in paths.photos:
        image = read_photo(photo.path)
        counts.append(same_objects(ours([image])[0], stock(image)["instances"]))
    found, wanted, added = np.sum(counts, axis=0)
    print(f"\n{ours.engine}: {found} of {wanted} objects on {len(counts)} photos found again, {added} added")
    assert len(counts) >= 55 and wanted >= 20
    assert found >= 0.995 * wanted and added <= 0.005 * wanted


def zoo_file(path):
    """A file of the model zoo's form with random weights, in which no activation explodes."""
    torch.manual_seed(1)
    model = build_model(load_config("mask_rcnn_R_50_FPN.yaml", ["MODEL.ROI_HEADS.NUM_CLASSES", "80"]))
    arrays = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    for name in arrays:
        if name.endswith("conv3.norm.weight"):
            arrays[name] = np.full_like(arrays[name], 0.1)
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}))
    return path


def test_fine_tuning_from_a_file_of_the_zoos_form(real_exports, tmp_path):
    """30 iterations at 512 px: finite losses that fall; evaluation and masked photos come out."""
    weights = str(zoo_file(tmp_path / "model_final_f10217.pkl"))
    opts = ["CAMPUS.INPUT_SIZE", "512", "SOLVER.MAX_ITER", "30", "SOLVER.IMS_PER_BATCH", "2", "MODEL.WEIGHTS", weights]
    cfg = load_config("mask_rcnn_R_50_FPN.yaml", [*opts, "MODEL.DEVICE", "cpu"])
    export = read_export(str(real_exports / "coco_with_images_host.zip"), export_options(cfg))
    names = [photo.name for photo in export.photos]
    output = tmp_path / "run"
    prepare(cfg, export, {"train": names[8:], "val": [], "test": names[:8]}, output)
    trainer = Trainer(cfg)
    report = trainer.start_from(read_checkpoint(weights))
    assert set(report.classes_taken) == set(export.classes) & set(COCO_CLASSES) and report.new == []
    trainer.train()
    losses = [value for value, _ in trainer.storage.history("total_loss").values()]
    print(f"\nmean loss {np.mean(losses[:10]):.3f} in the first 10 iterations, {np.mean(losses[-10:]):.3f} in the last")
    assert len(losses) == 30 and np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    metrics = json.loads((output / "inference/campus_test/metrics.json").read_text())
    assert set(metrics) == {"bbox", "segm"}
    photos = str(output / "import/campus_test.json")
    arguments = ["--config-file", str(output / "config.yaml"), "--input", photos, "--output", str(tmp_path / "masked")]
    assert visualize([*arguments, "--confidence-threshold", "0.05"]) == 0
    assert len(list((tmp_path / "masked/overlay").iterdir())) == 8
