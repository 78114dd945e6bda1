"""Names that mean something in a URI, in a pattern or to a library: they are names like any others."""

import json

import numpy as np
import pytest
from drawn import draw_scene, encode
from small_models import write_run
from storage_runs import contents, mask, upload
from storage_servers import BUCKET, s3_objects

from campus_seg.storage_objects import listing

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("one_thread")]
ODD = (
    *("Süd #3.jpg", "what?.jpg", "q?versionId=x.jpg", "a::b.jpg", "100%.jpg", "%41.jpg", "a+b.jpg"),
    *("two  spaces.jpg", "[1].jpg", "star*.jpg", "a&b=c.jpg", "x@y:z.jpg", "日本.jpg", "folder #1/[2] 50%.jpg"),
)


@pytest.fixture
def odd(tmp_path):
    for i, name in enumerate(ODD):
        path = tmp_path / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw_scene(np.random.default_rng(i), 64, 48)[0]))
    return tmp_path / "odd"


@pytest.fixture(params=["s3", "sftp"])
def place(request):
    """A URI, and how to look at what lies below it without this project's code."""
    if request.param == "s3":
        server = request.getfixturevalue("bucket")
        return f"s3://{BUCKET}/Fotos #1", lambda: s3_objects(server, "Fotos #1/"), "Fotos #1/"
    server = request.getfixturevalue("sftp_server")
    return f"{server.uri}/Fotos #1", lambda: contents(server.folder / "Fotos #1"), ""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run")
    return tmp_path / "run"


def outputs(folder):
    return contents(folder / "binary")


def test_odd_names(place, odd, run, tmp_path, capsys):
    uri, look, prefix = place
    assert upload(odd, uri) == 0
    assert look() == contents(odd, prefix)
    assert list(listing(uri)) == sorted(ODD)
    assert upload(odd, uri) == 0
    assert f"{len(ODD)} are there" in capsys.readouterr().out
    mask(run, odd, tmp_path / "expected")
    mask(run, uri, tmp_path / "masked")
    assert outputs(tmp_path / "masked") == outputs(tmp_path / "expected")
    images = json.loads((tmp_path / "masked" / "predictions.json").read_bytes())["images"]
    assert sorted(image["file_name"] for image in images) == sorted(ODD)


@pytest.mark.parametrize("name", ["[1].jpg", "what?.jpg", "star*.jpg", "Süd #3.jpg", "a::b.jpg"])
def test_one_of_them(bucket, odd, run, tmp_path, name):
    """A name that is there is no pattern, as on this disk."""
    assert upload(odd, f"s3://{BUCKET}/walk") == 0
    mask(run, f"s3://{BUCKET}/walk/{name}", tmp_path / "masked")
    images = json.loads((tmp_path / "masked" / "predictions.json").read_bytes())["images"]
    assert [image["file_name"] for image in images] == [name]


def test_results_below_an_odd_name(place, odd, run, tmp_path):
    uri, look, prefix = place
    mask(run, odd, tmp_path / "masked")
    mask(run, odd, uri)
    there = {name.removeprefix(prefix): content for name, content in look().items()}
    binary = {name.removeprefix("binary/"): content for name, content in there.items() if name.startswith("binary/")}
    assert binary == outputs(tmp_path / "masked")
