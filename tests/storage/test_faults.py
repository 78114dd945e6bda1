"""With a server that fails 10 % of the requests, all comes to the same bytes as without."""

import numpy as np
import pytest
from drawn import draw_export, draw_scene, encode
from faulty_proxy import FAULTS, Faults
from same_runs import assert_same_run
from small_runs import train
from storage_servers import BUCKET, s3_client, s3_objects

from campus_seg.tools.photos import main as photos_main
from campus_seg.tools.visualize import main as visualize_main

pytestmark = pytest.mark.storage
STEPS = ("SOLVER.MAX_ITER", 12, "SOLVER.WARMUP_ITERS", 4)


@pytest.fixture
def impatient(monkeypatch):
    """A stall takes as long as the user's patience."""
    monkeypatch.setenv("CAMPUS_STORAGE_TIMEOUT", "3")


@pytest.mark.parametrize("seed", [0, 1])
def test_an_upload(through, bucket, tmp_path, impatient, seed):
    folder = tmp_path / "walk"
    folder.mkdir()
    for i in range(60):
        (folder / f"{i:02}.jpg").write_bytes(encode(draw_scene(np.random.default_rng(i), 64, 48)[0]))
    faults = through(Faults(seed=seed))
    assert photos_main(["upload", str(folder), f"s3://{BUCKET}/walk"]) == 0
    assert s3_objects(bucket) == {f"walk/{path.name}": path.read_bytes() for path in folder.iterdir()}
    assert {"500", "503", "stall", "cut"} <= faults.made.keys()  # what is sent has no body in answer


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_by_itself(through, bucket, tmp_path, impatient, kind):
    """Half of all requests, so that it hits every kind of them: listing, asking, sending and reading."""
    folder = tmp_path / "walk"
    folder.mkdir()
    for i in range(6):
        (folder / f"{i:02}.jpg").write_bytes(encode(draw_scene(np.random.default_rng(i), 64, 48)[0]))
    faults = through(Faults(share=0.3, kinds=(kind,), seed=2))
    assert photos_main(["upload", str(folder), f"s3://{BUCKET}/walk"]) == 0
    assert s3_objects(bucket) == {f"walk/{path.name}": path.read_bytes() for path in folder.iterdir()}
    assert faults.made[kind] or kind == "short"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run, and what it masks, on this disk: export, photos, output, masked."""
    folder = tmp_path_factory.mktemp("whole")
    drawn = draw_export(photos=20)
    (folder / "photos").mkdir()
    for name, content in drawn.photos.items():
        (folder / "photos" / name).write_bytes(content)
    export = drawn.write_zip(folder / "export.zip")
    train(export, folder / "output", *STEPS)
    mask(folder / "output" / "config.yaml", folder / "photos", folder / "masked")
    return folder


def mask(config, photos, output):
    arguments = ["--config-file", str(config), "--input", str(photos), "--output", str(output)]
    assert visualize_main([*arguments, "--confidence-threshold", "0.05", "--opts", "MODEL.DEVICE", "cpu"]) == 0


def put(server, path, key):
    s3_client(server).put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())


def test_a_training_and_a_folders_masks(through, bucket, whole, tmp_path, impatient):
    put(bucket, whole / "export.zip", "export.zip")
    for path in (whole / "photos").iterdir():
        put(bucket, path, f"photos/{path.name}")
    faults = through(Faults(seed=3))
    root = f"s3://{BUCKET}"
    train(f"{root}/export.zip", f"{root}/run", *STEPS)
    output = tmp_path / "output"
    for key, content in s3_objects(bucket, "run/").items():
        path = output / key.removeprefix("run/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert_same_run(output, whole / "output")
    mask(f"{root}/run/config.yaml", f"{root}/photos", f"{root}/masked")
    masked = {key.removeprefix("masked/"): content for key, content in s3_objects(bucket, "masked/").items()}
    expected = {p.relative_to(whole / "masked").as_posix(): p for p in (whole / "masked").rglob("*") if p.is_file()}
    assert {name for name in masked if ".journal" not in name} == {name for name in expected if ".journal" not in name}
    for name, path in expected.items():
        if path.suffix in (".jpg", ".png", ".json"):
            assert masked[name] == path.read_bytes(), name
    assert set(FAULTS) <= faults.made.keys()
