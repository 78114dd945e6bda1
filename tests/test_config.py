from pathlib import Path

import pytest

from campus_seg.config import CONFIG_DIR, export_options, find_config_file, load_config, use_run_weights
from campus_seg.errors import ConfigError, StorageError


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIG_DIR.glob("*.yaml")))
def test_every_shipped_config_loads(name):
    cfg = load_config(f"configs/{name}")
    assert cfg.MODEL.MASK_ON and cfg.DATASETS.TRAIN == ("campus_train",)


def test_configs_say_what_they_start_from():
    fine_tuned, mini = load_config("mask_rcnn_R_50_FPN.yaml"), load_config("mask_rcnn_mini_FPN.yaml")
    assert fine_tuned.MODEL.WEIGHTS.endswith("mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl")
    assert mini.MODEL.WEIGHTS == "" and mini.MODEL.BACKBONE.NAME == "build_mini_fpn_backbone"


def test_the_commands_keys_win_and_whole_numbers_do_for_floats(tmp_path):
    (tmp_path / "my.yaml").write_text(f"_BASE_: {CONFIG_DIR / 'mask_rcnn_mini_FPN.yaml'}\nCAMPUS: {{INPUT_SIZE: 100}}")
    cfg = load_config(str(tmp_path / "my.yaml"))
    assert (cfg.CAMPUS.INPUT_SIZE, cfg.MODEL.DEVICE in ("cpu", "cuda")) == (100, True)
    opts = ["CAMPUS.INPUT_SIZE", "200", "SOLVER.BASE_LR", "1", "MODEL.DEVICE", "meta"]
    cfg = load_config(str(tmp_path / "my.yaml"), opts)
    assert (cfg.CAMPUS.INPUT_SIZE, cfg.SOLVER.BASE_LR, cfg.MODEL.DEVICE) == (200, 1.0, "meta")


def test_a_file_of_that_name_here_comes_before_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config_file("campus.yaml", "augmentations") == CONFIG_DIR / "augmentations" / "campus.yaml"
    Path("campus.yaml").touch()
    assert find_config_file("campus.yaml", "augmentations") == Path("campus.yaml")
    with pytest.raises(ConfigError, match="elsewhere/campus.yaml: no such file.*original_2023.yaml"):
        find_config_file("elsewhere/campus.yaml", "augmentations")
    Path("run").mkdir()
    Path("run/config.yaml").touch()
    with pytest.raises(ConfigError, match="run: is a folder; give run/config.yaml"):
        find_config_file("run")


def test_a_runs_weights_lie_beside_its_config(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(load_config("mask_rcnn_mini_FPN.yaml", ["OUTPUT_DIR", "somewhere/else"]).dump())
    cfg = load_config(str(config))
    assert cfg.OUTPUT_DIR == "somewhere/else"  # not a run's folder yet
    with pytest.raises(ConfigError, match=r"no model_best.pth or model_final.pth beside it"):
        use_run_weights(cfg, str(config))
    for name in ("classes.json", "model_final.pth"):
        (tmp_path / name).write_text("[]")
    cfg = load_config(str(config))
    assert str(tmp_path) == cfg.OUTPUT_DIR
    use_run_weights(cfg, str(config))
    assert str(tmp_path / "model_final.pth") == cfg.MODEL.WEIGHTS
    (tmp_path / "model_best.pth").touch()
    use_run_weights(cfg, str(config))
    assert str(tmp_path / "model_best.pth") == cfg.MODEL.WEIGHTS
    given = ["MODEL.WEIGHTS", "mine.pth"]
    cfg = load_config(str(config), given)
    use_run_weights(cfg, str(config), given)
    assert cfg.MODEL.WEIGHTS == "mine.pth"


def test_a_runs_split_lies_beside_its_config(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.SPLIT_FILE", "earlier/split.json"]).dump())
    assert load_config(str(config)).CAMPUS.SPLIT_FILE == "earlier/split.json"  # not a run's folder yet
    (tmp_path / "classes.json").touch()
    assert load_config(str(config)).CAMPUS.SPLIT_FILE == ""
    (tmp_path / "split.json").touch()
    assert str(tmp_path / "split.json") == load_config(str(config)).CAMPUS.SPLIT_FILE
    for given in ("other.json", ""):
        assert given == load_config(str(config), ["CAMPUS.SPLIT_FILE", given]).CAMPUS.SPLIT_FILE


def test_policies_are_translated():
    opts = ["CAMPUS.RECTANGLES", "drop", "CAMPUS.CLASSES", "['car', 'dog']", "CAMPUS.BACKGROUND", "drop"]
    options = export_options(load_config("mask_rcnn_mini_FPN.yaml", opts))
    assert (options.rectangles, options.annotators, options.background) == ("drop", "newest", "drop")
    assert options.classes == ("car", "dog")
    with pytest.raises(ConfigError, match="a class stands there twice"):
        export_options(load_config("mask_rcnn_mini_FPN.yaml", ["CAMPUS.CLASSES", "['car', 'car']"]))


@pytest.mark.parametrize(
    "opts",
    [
        ["CAMPUS.IMAGE_ROOT", "https://h/x.zip?X-Amz-Signature=hunter2"],
        ["MODEL.WEIGHTS", "https://hunter2@h/model.pth"],
        ["CAMPUS.CLASSES", "['https://h/x?token=hunter2']"],
        ["CAMPUS.NO_KEY", "az://c/x?sig=hunter2"],
    ],
)
def test_a_secret_in_a_uri_comes_into_no_config(opts):
    with pytest.raises(StorageError) as raised:
        load_config("mask_rcnn_mini_FPN.yaml", opts)
    assert "hunter2" not in str(raised.value)


def test_a_secret_that_a_config_file_holds_is_refused(tmp_path):
    (tmp_path / "my.yaml").write_text("CAMPUS: {SPLIT_FILE: 'https://h/split.json?sig=hunter2'}")
    with pytest.raises(StorageError, match="https://h/split.json: is a signed address"):
        load_config(str(tmp_path / "my.yaml"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [", "s3://b/my.yaml: not a YAML config"),
        (b"SOLVER: {NO_KEY: 1}", "s3://b/my.yaml: .*NO_KEY"),
        (b"SEED: 1\n_BASE_: base.yaml", "s3://b/my.yaml: has a _BASE_, which is looked for on disks alone"),
    ],
)
def test_a_config_behind_a_uri_is_told_by_that(bucket, content, told):
    bucket.objects["b/my.yaml"] = content
    with pytest.raises(ConfigError, match=told):
        load_config("s3://b/my.yaml")
