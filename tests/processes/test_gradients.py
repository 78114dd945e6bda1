"""What two processes learn from a batch is what one learns from its halves."""

import pytest
import torch
from drawn import SMALL_MODEL, draw_export
from gradients import PHOTOS, work

from campus_seg.config import load_config
from campus_seg.engine.run import prepare_run
from campus_seg.launching import launch

pytestmark = pytest.mark.processes

VARIANTS = {
    "plain": [],
    "frozen": ["MODEL.BACKBONE.FREEZE_AT", "2"],
    "bf16": ["SOLVER.AMP.ENABLED", "True"],
    "background": [],  # one process gets photos without objects
}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    export = draw_export(photos=PHOTOS * 10 // 7).write_zip(folder / "export.zip")
    opts = ["CAMPUS.EXPORT", export, "OUTPUT_DIR", folder / "run", "DATALOADER.NUM_WORKERS", 0]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*SMALL_MODEL, *map(str, opts)])
    prepare_run(cfg)
    (folder / "config.yaml").write_text(cfg.dump())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        launch(work, (folder, VARIANTS), processes=2)
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_is_the_mean_of_those_of_the_halves(learned, variant):
    first, second = (torch.load(learned / f"{variant}-{rank}.pth") for rank in (0, 1))
    assert len(first["together"]) > 40
    halves_differ = 0
    for name, gradient in first["together"].items():
        assert torch.equal(gradient, second["together"][name])
        mean = (first["alone"][name] + second["alone"][name]) / 2
        assert torch.linalg.norm(gradient - mean) <= 1e-5 * torch.linalg.norm(mean), name
        halves_differ += not torch.allclose(first["alone"][name], second["alone"][name], rtol=1e-2)
    assert halves_differ > 40


def test_frozen_stages_learn_nothing(learned):
    plain, frozen = (torch.load(learned / f"{variant}-0.pth")["together"] for variant in ("plain", "frozen"))
    assert frozen.keys() < plain.keys()


def test_the_processes_see_other_photos_and_all_of_them_in_an_epoch(learned):
    first, second = (torch.load(learned / f"photos-{rank}.pth") for rank in (0, 1))
    half = PHOTOS // 2
    epochs = [first[:half] + second[:half], first[half:] + second[half:]]
    assert all(len({*epoch}) == PHOTOS for epoch in epochs)
    assert epochs[0] != epochs[1]
