"""The commands of the README's "Your photos in a bucket", typed one after the other."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_scene, encode
from small_runs import TINY
from storage_servers import s3_client, s3_objects

pytestmark = pytest.mark.storage
ROOT = Path(__file__).resolve().parents[2]
BUCKET = "my-bucket"
SMALL = [*TINY, "SOLVER.MAX_ITER", "8", "SOLVER.WARMUP_ITERS", "2"]


def commands():
    """The section's commands for a shell: without those that set keys, each in one line."""
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("### Your photos in a bucket\n")[1].split("\n### ")[0]
    )
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if not line.startswith("export AWS_")]


def run(command, server, folder):
    """Types a command in a clone's folder, with a model that is small enough for a test."""
    command = command.replace("mask_rcnn_R_50_FPN", "mask_rcnn_mini_FPN").replace("python ", f"{sys.executable} ")
    if "train_net.py" in command:
        command += " " + " ".join(f"'{word}'" for word in SMALL)
    if "visualize.py" in command:
        command += " --confidence-threshold 0.05 --opts MODEL.DEVICE cpu"
    environment = server.variables(XDG_CACHE_HOME=str(folder / "cache"), OMP_NUM_THREADS="1")
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def labelled(tasks, scenes):
    """Label Studio's own JSON, as of people who have drawn what there is."""
    for number, task in enumerate(tasks, start=1):
        _, objects = scenes[task["data"]["image"].rpartition("/")[2]]
        regions = [
            {
                **{"id": f"{number}-{i}", "type": "polygonlabels", "from_name": "polygon", "to_name": "image"},
                **{"original_width": 96, "original_height": 64, "image_rotation": 0},
                "value": {
                    "points": [[x / 0.96, y / 0.64] for x, y in np.clip(ring, 0, (96, 64)).tolist()],
                    "polygonlabels": [label],
                },
            }
            for i, (label, ring) in enumerate(objects)
        ]
        annotation = {"id": number, "completed_by": 1, "was_cancelled": False, "result": regions}
        yield {"id": number, "annotations": [annotation], **task}


def test_they_do_what_it_says(bucket, tmp_path):
    for name in ("tools", "configs", "campus_seg"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "photos").mkdir()
    scenes = {f"IMG_{i:02}.jpg": draw_scene(np.random.default_rng(i), 96, 64) for i in range(12)}
    for name, (image, _) in scenes.items():
        (tmp_path / "photos" / name).write_bytes(encode(image))
    client = s3_client(bucket)
    client.create_bucket(Bucket=BUCKET)
    for i in range(3):
        image, _ = draw_scene(np.random.default_rng(100 + i), 96, 64)
        client.put_object(Bucket=BUCKET, Key=f"walk-2/IMG_{i:02}.jpg", Body=encode(image))
    upload, train, visualize = commands()
    assert "12 photos sent" in run(upload, bucket, tmp_path)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == 12
    (tmp_path / "my_export.json").write_text(json.dumps(list(labelled(tasks, scenes))))
    run(train, bucket, tmp_path)
    run(visualize, bucket, tmp_path)
    there = s3_objects(bucket, bucket=BUCKET)
    assert {f"runs/campus/{name}" for name in ("config.yaml", "model_final.pth", "metrics.json")} <= there.keys()
    assert {f"masked/binary/IMG_{i:02}.png" for i in range(3)} <= there.keys()
    assert len(json.loads(there["masked/predictions.json"])["images"]) == 3
    for key, content in there.items():
        assert bucket.environment["AWS_SECRET_ACCESS_KEY"].encode() not in content, key
