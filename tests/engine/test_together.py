"""A second machine, to which the test says what the first one would."""

import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from detectron2.config import CfgNode
from drawn import SMALL_MODEL, draw_export

from campus_seg.config import load_config
from campus_seg.engine import together
from campus_seg.engine.run import prepare_run
from campus_seg.engine.together import prepare_together
from campus_seg.errors import ConfigError
from campus_seg.machines import Machines

pytestmark = pytest.mark.usefixtures("one_thread")


class SecondMachine(Machines):
    """The second of two: hears what the first has said."""

    def __init__(self, first):
        super().__init__(2, 1, "tcp://localhost:29500")
        self._others = {0: first._mine}
        self._heard = {0: float("inf")}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The first machine after its part, its folder, and its config."""
    folder = tmp_path_factory.mktemp("first")
    export = draw_export(photos=12).write_zip(folder / "export.zip")
    machine = Machines(2, 0, "tcp://localhost:29500")  # not entered: the tests hand on its words
    cfg = config("CAMPUS.EXPORT", export, "OUTPUT_DIR", folder / "run", "SOLVER.IMS_PER_BATCH", 2)
    prepared = prepare_together(cfg, machine, processes=2)
    return machine, folder, cfg, prepared


def config(*opts):
    return load_config("mask_rcnn_mini_FPN.yaml", [*SMALL_MODEL, *map(str, opts)])


def test_the_others_take_over_what_the_first_found_and_import_nothing(first, tmp_path):
    machine, folder, wanted, prepared = first
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    (tmp_path / "same").symlink_to(folder / "run")  # mounted elsewhere
    cfg = config("CAMPUS.EXPORT", "is/not/read.zip", "OUTPUT_DIR", tmp_path / "same")
    found = prepare_together(cfg, SecondMachine(machine), processes=2)
    assert found == prepared and found.remarks
    assert str(tmp_path / "same") == cfg.OUTPUT_DIR
    cfg.OUTPUT_DIR = wanted.OUTPUT_DIR
    assert CfgNode.load_cfg(cfg.dump()) == CfgNode.load_cfg(wanted.dump())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


def test_a_folder_of_its_own_is_refused(first, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "LATE", 0.0)
    machine, folder, *_ = first
    says = r"on machine 1 it is not the folder that machine 0 imported into; give an OUTPUT_DIR on a disk"
    with pytest.raises(ConfigError, match=says):
        prepare_together(config("OUTPUT_DIR", tmp_path), SecondMachine(machine))
    assert not list(tmp_path.iterdir())
    shutil.copytree(folder / "run", tmp_path / "older")
    coco = tmp_path / "older/import/campus_val.json"
    coco.write_text(coco.read_text().replace('"height": 96', '"height": 97', 1))
    with pytest.raises(ConfigError, match=says):
        prepare_together(config("OUTPUT_DIR", tmp_path / "older"), SecondMachine(machine))


def test_files_may_show_up_late(first, tmp_path, monkeypatch):
    machine, folder, *_ = first
    output = tmp_path / "late"
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: shutil.copytree(folder / "run", output))
    monkeypatch.setattr(together, "time", clock)  # that of this module alone: others sleep, too
    prepare_together(config("OUTPUT_DIR", output), SecondMachine(machine))


def test_photos_that_are_not_there_are_named(first, tmp_path):
    machine, folder, *_ = first
    shutil.copytree(folder / "run", tmp_path / "run")
    photo = next((tmp_path / "run/import/images").iterdir())
    photo.unlink()
    with pytest.raises(ConfigError, match=f"{photo}: is gone"):
        prepare_together(config("OUTPUT_DIR", tmp_path / "run"), SecondMachine(machine))


def test_the_gpus_are_left_to_the_processes(first, tmp_path, monkeypatch):
    """The model is looked at on the CPU: here there is no other."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cfg = config("CAMPUS.EXPORT", first[1] / "export.zip", "OUTPUT_DIR", tmp_path / "run", "MODEL.DEVICE", "cuda")
    prepare_run(cfg)
    assert cfg.MODEL.DEVICE == "cuda" and (tmp_path / "run/import").is_dir()


def test_all_machines_need_the_same_device(first, monkeypatch):
    machine, folder, *_ = first
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cfg = config("OUTPUT_DIR", folder / "run")
    cfg.MODEL.DEVICE = "cuda"
    with pytest.raises(ConfigError, match="MODEL.DEVICE: cuda on machine 1, cpu on machine 0"):
        prepare_together(cfg, SecondMachine(machine))
