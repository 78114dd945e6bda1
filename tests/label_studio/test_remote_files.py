"""An export behind a URI is read as the same export on the disk is."""

import json
import zipfile

import pytest
from drawn import draw_export, read_drawn

from campus_seg.errors import ExportError, StorageError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.label_studio.remote_files import RemoteFiles, open_remote
from campus_seg.label_studio.tasks import read_tasks


def put(bucket, folder, prefix):
    """Sends a folder into the bucket."""
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.objects[f"b/{prefix}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()


def as_read(export):
    """What an import says of an export but for where photos lie."""
    photos = [
        (photo.name, photo.width, photo.height, photo.orientation, [a.box for a in photo.annotations])
        for photo in export.photos
    ]
    return photos, export.classes, export.report.as_dict(), export.content_hashes()


@pytest.fixture
def drawn(tmp_path):
    """A folder of a drawn export, and how it is read from the disk."""
    export = draw_export(photos=4)
    read = read_drawn(export, tmp_path)
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "export")
    return tmp_path / "export", archive, as_read(read)


def test_a_folder_a_zip_and_a_bare_file_are_read_as_on_the_disk(bucket, drawn, tmp_path):
    folder, archive, expected = drawn
    put(bucket, folder, "export")
    bucket.objects["b/export.zip"] = archive.read_bytes()
    labels = next(path.name for path in folder.glob("*.json"))
    for uri in ("s3://b/export", "s3://b/export/", "s3://b/export.zip", f"s3://b/export/{labels}"):
        assert as_read(read_export(uri, ExportOptions())) == expected


def test_photos_stay_where_they_are_and_those_of_a_zip_are_unpacked(bucket, drawn, tmp_path):
    folder, archive, _ = drawn
    put(bucket, folder, "export")
    bucket.objects["b/export.zip"] = archive.read_bytes()
    placed = read_export("s3://b/export", ExportOptions()).place_photos(tmp_path / "images")
    assert set(placed.values()) == {f"s3://b/export/{name}" for name in placed} and not (tmp_path / "images").exists()
    placed = read_export("s3://b/export.zip", ExportOptions()).place_photos(tmp_path / "images")
    assert {path.name for path in (tmp_path / "images").iterdir()} == set(placed.values())


def test_labels_on_the_disk_find_their_photos_behind_a_uri(bucket, drawn, tmp_path):
    folder, _, (photos, classes, _, hashes) = drawn
    put(bucket, folder / "images", "photos")
    labels = tmp_path / "labels.json"
    labels.write_bytes(next(folder.glob("*.json")).read_bytes())
    read = read_export(str(labels), ExportOptions(image_root="s3://b/photos"))
    assert len(read.photos) == len(photos) and read.classes == classes
    assert sorted(read.content_hashes().values()) == sorted(hashes.values())
    with pytest.raises(ExportError, match="s3://b/nothing: no such folder; CAMPUS.IMAGE_ROOT must be"):
        read_export(str(labels), ExportOptions(image_root="s3://b/nothing"))


def test_a_photo_is_fetched_once_for_all_that_is_found_out_about_it(bucket, drawn):
    folder, _, _ = drawn
    put(bucket, folder, "export")
    read_export("s3://b/export", ExportOptions()).content_hashes()
    assert bucket.calls["get"] == 5  # four photos and the labels
    assert bucket.calls["info"] == 1  # whether the export is a folder; the rest its list says


def test_what_is_not_there_or_empty_is_one_line(bucket):
    bucket.objects["b/empty.zip"] = b""
    with pytest.raises(StorageError, match="s3://b/no.zip: there is no such file or folder"):
        open_remote("s3://b/no.zip")
    with pytest.raises(ExportError, match="s3://b/empty.zip: the file is empty; export it again"):
        open_remote("s3://b/empty.zip")
    bucket.objects["b/broken.zip"] = b"PK and no more"
    with pytest.raises(ExportError, match="s3://b/broken.zip: cannot be opened as a zip"):
        open_remote("s3://b/broken.zip")


def test_a_file_that_is_gone_cannot_be_read_and_a_refusal_ends_it_all(bucket):
    bucket.objects["b/photos/a.jpg"] = b"a"
    files = RemoteFiles("s3://b/photos")
    assert files.size("a.jpg") == 1 and files.stamp("a.jpg") and files.read("a.jpg") == b"a"
    bucket.objects["b/photos/b.jpg"] = b"b"
    files = RemoteFiles("s3://b/photos")
    del bucket.objects["b/photos/b.jpg"]
    with pytest.raises(FileNotFoundError):
        files.open("b.jpg")
    bucket.objects["b/photos/b.jpg"] = b"b"
    bucket.faults = [PermissionError("AccessDenied")]
    with pytest.raises(StorageError, match="access is refused"):
        files.open("b.jpg")


def test_tasks_know_photos_behind_uris(bucket, tmp_path):
    bucket.objects["b/photos/a.jpg"] = b"a"
    tasks = [{"id": 7, "data": {"image": "s3://b/photos/a.jpg"}, "annotations": [], "predictions": []}]
    (tmp_path / "project.json").write_text(json.dumps(tasks))
    found = read_tasks(str(tmp_path / "project.json"), "s3://b/photos")
    assert [(task.id, task.path) for task in found.unlabelled] == [(7, "s3://b/photos/a.jpg")]
