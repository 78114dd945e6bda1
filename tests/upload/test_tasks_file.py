"""Tasks in the form that Label Studio's source storages make by themselves."""

import json

import pytest

from campus_seg.upload.tasks_file import label_studio_address, write_tasks


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://b/walk 1/Süd #3.jpg", "s3://b/walk 1/Süd #3.jpg"),
        ("gs://b/a.jpg", "gs://b/a.jpg"),
        ("gcs://b/a.jpg", "gs://b/a.jpg"),
        ("az://photos/walk/a.jpg", "azure-blob://photos/walk/a.jpg"),
        ("abfs://photos@account.dfs.core.windows.net/walk/a.jpg", "azure-blob://photos/walk/a.jpg"),
    ],
)
def test_addresses(place, expected):
    assert label_studio_address(place) == expected


def test_each_photo_is_one_task(tmp_path):
    path = tmp_path / "new" / "tasks.json"
    assert write_tasks(str(path), ["s3://b/2.jpg", "s3://b/1.jpg", "s3://b/2.jpg"]) == 2
    assert json.loads(path.read_text()) == [{"data": {"image": "s3://b/2.jpg"}}, {"data": {"image": "s3://b/1.jpg"}}]


def test_they_may_lie_in_the_bucket(bucket):
    assert write_tasks("s3://b/tasks.json", ["s3://b/Süd.jpg"]) == 1
    assert json.loads(bucket.objects["b/tasks.json"]) == [{"data": {"image": "s3://b/Süd.jpg"}}]
