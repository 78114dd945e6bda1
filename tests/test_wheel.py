"""The package as others get it: a wheel in another environment, used from another folder."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def output(*command, cwd, status=0):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """An empty folder, and the scripts of an environment with the wheel and, from here, what the wheel needs."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, since a build leaves its files where it runs
    for name in ("campus_seg", "configs", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    output(*pip, "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("campus_seg-*.whl")
    venv.create(folder / "env", with_pip=True)
    scripts = folder / "env" / "bin"
    output(scripts / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    purelib = output(
        scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).strip()
    # Path files below this folder are not read again, so the editable install of this clone stays behind.
    Path(purelib, "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "empty").mkdir()
    return folder / "empty", scripts


def test_it_is_the_wheel_that_is_used(elsewhere):
    folder, scripts = elsewhere
    code = "import campus_seg.tools.train_net as t, campus_seg.configs as c; print(t.__file__, c.__file__)"
    for path in output(scripts / "python", "-c", code, cwd=folder).split():
        assert Path(path).is_relative_to(scripts.parent)


def test_the_console_scripts_find_their_configs(elsewhere):
    folder, scripts = elsewhere
    for name in ("campus-train", "campus-report", "campus-visualize", "campus-visualize-data"):
        assert "--config-file" in output(scripts / name, "--help", cwd=folder)
    assert "upload" in output(scripts / "campus-photos", "--help", cwd=folder)
    arguments = ["CAMPUS.EXPORT", "absent.zip"]
    for config in ("configs/mask_rcnn_mini_FPN.yaml", "mask_rcnn_R_50_FPN.yaml"):
        said = output(scripts / "campus-train", "--config-file", config, *arguments, cwd=folder, status=2)
        assert "error: absent.zip: no such file or folder" in said  # so the config and its base were read
    code = """
from campus_seg.config import find_config_file, load_config
from campus_seg.data.mapper import CampusMapper
for name in ("campus.yaml", "original_2023.yaml"):
    CampusMapper(load_config("configs/mask_rcnn_mini_FPN.yaml", ["CAMPUS.AUGMENTATIONS", name]))
print(find_config_file("configs/Base-Campus-MaskRCNN.yaml"))
"""
    path = output(scripts / "python", "-W", "ignore", "-c", code, cwd=folder).splitlines()[-1]
    assert Path(path).is_relative_to(scripts.parent)


def test_the_gallerys_page_is_in_the_wheel(elsewhere):
    folder, scripts = elsewhere
    code = "from campus_seg.inference import gallery as g; print(g.__file__, len(g.page()) > 9000)"
    path, whole = output(scripts / "python", "-c", code, cwd=folder).split()
    assert Path(path).is_relative_to(scripts.parent)
    assert whole == "True"


def test_a_training_from_another_folder(elsewhere, tmp_path):
    from drawn import draw_export

    folder, scripts = elsewhere
    draw_export(photos=6).write_zip(tmp_path / "export.zip")
    output(
        *(scripts / "campus-train", "--config-file", "configs/mask_rcnn_mini_FPN.yaml"),
        *("CAMPUS.EXPORT", tmp_path / "export.zip", "OUTPUT_DIR", tmp_path / "run"),
        *("CAMPUS.INPUT_SIZE", 128, "SOLVER.MAX_ITER", 2, "DATALOADER.NUM_WORKERS", 0),
        cwd=folder,
    )
    assert (tmp_path / "run/report/index.html").is_file()  # its templates are in the wheel, too
    output(
        *(scripts / "campus-visualize", "--config-file", tmp_path / "run/config.yaml"),
        *("--input", tmp_path / "run/import/campus_test.json", "--output", tmp_path / "masked"),
        cwd=folder,
    )
    for name in ("predictions.json", "summary.csv", "index.html"):
        assert (tmp_path / "masked" / name).is_file()
    assert not list(folder.iterdir())
