"""Photos, exports and runs that are read from a plain web server, with and without faults; results stay here."""

import shutil

import pytest
from faulty_proxy import FAULTS, Faults, proxy, seed_that_hits
from same_runs import assert_same_run
from storage_runs import assert_same_masks, mask, train
from storage_servers import web

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def server(whole, tmp_path_factory):
    with web(whole, tmp_path_factory.mktemp("web") / "log.txt") as server:
        yield server


def test_a_training_and_masks(server, whole, tmp_path):
    train(f"{server.uri}/export.json", f"{server.uri}/photos", tmp_path / "run")
    assert_same_run(tmp_path / "run", whole / "output")
    mask(f"{server.uri}/output", f"{server.uri}/photos/", tmp_path / "masked")
    assert_same_masks(tmp_path / "masked", whole / "masked")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_root_of_a_server(whole, tmp_path, slash):
    """As `python -m http.server` in the photos' folder."""
    with web(whole / "photos", tmp_path / "log.txt") as server:
        mask(whole / "output", server.uri + slash, tmp_path / "masked")
    assert_same_masks(tmp_path / "masked", whole / "masked")


def test_faults(server, whole, tmp_path, impatient):
    """The server says a length with each answer, and a body that is cut short is one that differs from it."""
    photos = [("GET", f"/photos/{path.name}") for path in sorted((whole / "photos").iterdir())]
    with proxy(server.address, Faults(seed=seed_that_hits(photos))) as faults:
        train(f"{faults.address}/export.json", f"{faults.address}/photos", tmp_path / "run")
    assert_same_run(tmp_path / "run", whole / "output")
    assert faults.of("GET", ".jpg") == set(FAULTS)
    with proxy(server.address, Faults(seed=seed_that_hits(photos, first=10000))) as faults:
        mask(f"{faults.address}/output", f"{faults.address}/photos", tmp_path / "masked")
    assert_same_masks(tmp_path / "masked", whole / "masked")
    assert faults.of("GET", ".jpg") == set(FAULTS)


def test_names_with_escapes(whole, tmp_path):
    names = ("a b.jpg", "Süd #3.jpg", "100%.jpg", "what?.jpg", "a+b.jpg")
    (tmp_path / "photos").mkdir()
    for name, photo in zip(names, sorted((whole / "photos").iterdir()), strict=False):
        shutil.copy(photo, tmp_path / "photos" / name)
    mask(whole / "output", tmp_path / "photos", tmp_path / "expected")
    with web(tmp_path / "photos", tmp_path / "log.txt") as server:
        mask(whole / "output", f"{server.uri}/", tmp_path / "masked")
        mask(whole / "output", f"{server.uri}/S%C3%BCd%20%233.jpg", tmp_path / "one")
    assert_same_masks(tmp_path / "masked", tmp_path / "expected")
    assert (tmp_path / "one" / "binary" / "Süd #3.png").is_file()
