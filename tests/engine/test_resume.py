"""What a run that goes on keeps of its own keys."""

import pytest

from campus_seg.config import get_key, load_config
from campus_seg.engine.resume import keep_keys
from campus_seg.engine.schedule import resolve_schedule
from campus_seg.errors import ConfigError

MINI = "mask_rcnn_mini_FPN.yaml"


def begun(folder, opts, photos=36):
    """The config of a run, which lies in its folder; the rate at the cosine's end is that of a file of the user's."""
    opts = list(map(str, opts))
    cfg = load_config(MINI, opts)
    cfg.SOLVER.BASE_LR_END = 1e-5
    resolve_schedule(cfg, photos, opts[::2])
    (folder / "config.yaml").write_text(cfg.dump())
    return cfg


def going_on(folder, opts, photos=36):
    opts = list(map(str, opts))
    cfg = load_config(MINI, opts)
    if "SOLVER.BASE_LR_END" not in opts:
        cfg.SOLVER.BASE_LR_END = 1e-5
    remarks = keep_keys(cfg, folder, opts[::2])
    resolve_schedule(cfg, photos, opts[::2])
    return cfg, remarks


@pytest.mark.parametrize(
    "then, now, expected",
    [
        ([], [], (126, 0.002, 1e-5)),  # 14 * 36 / 4
        (["SOLVER.MAX_ITER", 90], [], (90, 0.002, 1e-5)),
        (["CAMPUS.EPOCHS", 2], [], (18, 0.002, 1e-5)),
        (["CAMPUS.EPOCHS", 2], ["CAMPUS.EPOCHS", 4], (36, 0.002, 1e-5)),
        (["SOLVER.MAX_ITER", 90], ["CAMPUS.EPOCHS", 4], (36, 0.002, 1e-5)),
        (["CAMPUS.EPOCHS", 2], ["SOLVER.MAX_ITER", 50], (50, 0.002, 1e-5)),
        (["SOLVER.IMS_PER_BATCH", 16], [], (32, 0.004, 2e-5)),  # 14 * 36 / 16 = 31.5; scaled by sqrt(16 / 4)
        (["SOLVER.IMS_PER_BATCH", 16], ["CAMPUS.REFERENCE_BATCH", 16], (32, 0.002, 1e-5)),
        (["SOLVER.IMS_PER_BATCH", 16], ["CAMPUS.REFERENCE_BATCH", 4], (32, 0.004, 2e-5)),  # scaled once, not twice
        (["SOLVER.IMS_PER_BATCH", 16], ["SOLVER.BASE_LR", 0.1], (32, 0.1, 2e-5)),
        (["SOLVER.IMS_PER_BATCH", 16], ["SOLVER.BASE_LR_END", 3e-5], (32, 0.004, 3e-5)),
        (["SOLVER.BASE_LR", 0.5], [], (126, 0.5, 1e-5)),
    ],
)
def test_the_schedule(then, now, expected, tmp_path):
    earlier = begun(tmp_path, then)
    cfg, _ = going_on(tmp_path, now)
    solver = cfg.SOLVER
    assert pytest.approx(expected, rel=1e-12) == (solver.MAX_ITER, solver.BASE_LR, solver.BASE_LR_END)
    if not now:
        assert cfg == earlier


@pytest.mark.parametrize(
    "key, then, now",
    [
        ("CAMPUS.OPTIMIZER", "SGD", "AdamW"),
        ("CAMPUS.BEST_METRIC", "val/total_loss", "bbox/AP"),
        ("CAMPUS.PATIENCE", 3, 0),
        ("MODEL.BACKBONE.FREEZE_AT", 2, 0),
        ("DATALOADER.ASPECT_RATIO_GROUPING", False, True),
        ("SEED", 7, 8),
        ("SOLVER.WEIGHT_DECAY", 0.3, 0.2),
        ("SOLVER.MOMENTUM", 0.5, 0.8),
        ("SOLVER.CLIP_GRADIENTS.ENABLED", True, False),
        ("SOLVER.GAMMA", 0.5, 0.2),
        ("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler", "TrainingSampler"),
    ],
)
def test_a_key_is_kept_unless_it_is_given(key, then, now, tmp_path):
    begun(tmp_path, [key, then])
    cfg, ((_, remark),) = going_on(tmp_path, [])
    assert get_key(cfg, key) == then
    assert remark.startswith(f"Kept from the run, whatever the config file says: {key} {then};")
    cfg, remarks = going_on(tmp_path, [key, now])
    assert get_key(cfg, key) == now and remarks == []


def test_what_belongs_to_the_command_is_not_kept(tmp_path):
    """Where and on what it runs, and what is evaluated."""
    begun(tmp_path, ["DATALOADER.NUM_WORKERS", 5, "DATASETS.TEST", "()", "MODEL.DEVICE", "meta"])
    cfg, remarks = going_on(tmp_path, [])
    assert (cfg.DATALOADER.NUM_WORKERS, cfg.DATASETS.TEST) == (2, ("campus_val", "campus_test"))
    assert cfg.MODEL.DEVICE != "meta" and remarks == []


def test_the_batch(tmp_path):
    begun(tmp_path, [])
    with pytest.raises(ConfigError, match="keeps its batch of 4"):
        going_on(tmp_path, ["SOLVER.IMS_PER_BATCH", 2])
    going_on(tmp_path, ["SOLVER.IMS_PER_BATCH", 4])
