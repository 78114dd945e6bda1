"""Photos sent to a bucket, labelled from there: a real Label Studio opens what the tasks of `upload --tasks` name."""

import json

import numpy as np
import pytest
import storage_servers
from drawn import draw_scene, encode
from labelled_photos import INTERFACE
from storage_servers import BUCKET, KEY_ID, SECRET

from campus_seg.label_studio.pull import pull_project
from campus_seg.tools.photos import main

pytestmark = pytest.mark.label_studio


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with storage_servers.s3(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as patch:
        server.set(patch)
        yield server


@pytest.mark.parametrize("presigned", [False, True], ids=["through the server", "from the bucket"])
def test_the_tasks_show_the_photos(server, bucket, tmp_path, presigned):
    photos = tmp_path / "photos"
    (photos / "more here").mkdir(parents=True)
    for i, name in enumerate(("IMG_1.jpg", "IMG 2.jpg", "Süd #3.jpg", "more here/IMG_1.jpg")):
        (photos / name).write_bytes(encode(draw_scene(np.random.default_rng(i), 96, 64)[0]))
    tasks = tmp_path / "tasks.json"
    assert main(["upload", str(photos), f"s3://{BUCKET}/walk", "--tasks", str(tasks)]) == 0
    number = server.make_project("Bucket", INTERFACE)
    keys = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    place = {"bucket": BUCKET, "prefix": "walk", "s3_endpoint": bucket.address, "presign": presigned}
    server.ask("POST", "/api/storages/s3", json={"project": number, "use_blob_urls": True, **keys, **place})
    server.ask("POST", f"/api/projects/{number}/import", json=json.loads(tasks.read_text()))
    pulled = pull_project(server.client(number), tmp_path / "pulled")
    assert (pulled.tasks, pulled.fetched, pulled.failures) == (4, 4, {})
    there = sorted(path.read_bytes() for path in (tmp_path / "pulled" / "images").rglob("*.jpg"))
    assert there == sorted(path.read_bytes() for path in photos.rglob("*.jpg"))
