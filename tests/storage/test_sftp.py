"""Runs and masks on a host that is reached by ssh, with and without connections that end in the middle of things."""

import contextlib
import shutil

import pytest
from faulty_proxy import Cuts, cutting
from same_runs import assert_same_run
from sshfs import SSHFileSystem
from storage_runs import assert_same_masks, contents, mask, train, upload
from storage_servers import lead_to

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def cut(sftp_server, impatient):
    """Puts a proxy between this process and the host that cuts connections: called with `Cuts`, returns them."""
    with contextlib.ExitStack() as stack:

        def start(cuts):
            stack.enter_context(cutting(sftp_server.port, cuts))
            lead_to(sftp_server.folder.parent, cuts.port)
            SSHFileSystem.clear_instance_cache()
            return cuts

        yield start


def test_a_run_and_its_masks(sftp_server, whole, tmp_path):
    """The run is stopped by its schedule, and goes on from what lies on the host."""
    there = sftp_server.folder
    shutil.copytree(whole / "photos", there / "photos")
    shutil.copy(whole / "export.json", there / "export.json")
    places = (f"{sftp_server.uri}/export.json", f"{sftp_server.uri}/photos", f"{sftp_server.uri}/run")
    train(*places, "SOLVER.MAX_ITER", "3")
    assert (there / "run" / "model_final.pth").is_file()
    train(*places, flags=("--resume",))
    train(whole / "export.json", whole / "photos", tmp_path / "run", "SOLVER.MAX_ITER", "3")
    train(whole / "export.json", whole / "photos", tmp_path / "run", flags=("--resume",))
    assert_same_run(there / "run", tmp_path / "run")
    mask(places[2], places[1], f"{sftp_server.uri}/masked")
    mask(tmp_path / "run", whole / "photos", tmp_path / "masked")
    assert_same_masks(there / "masked", tmp_path / "masked")


def test_an_upload_whose_connections_are_cut(sftp_server, cut, whole):
    cuts = cut(Cuts(20_000, 200_000))
    assert upload(whole / "photos", f"{sftp_server.uri}/walk") == 0
    assert contents(sftp_server.folder / "walk") == contents(whole / "photos")
    assert cuts.lengths


def test_an_upload_overwrites(sftp_server, photos):
    uri = f"{sftp_server.uri}/walk"
    assert upload(photos, uri) == 0
    shutil.copy(photos / "IMG 0001.jpg", photos / "more" / "IMG 0010.jpg")
    (photos / "IMG 0001.jpg").write_bytes((photos / "IMG 0002.jpg").read_bytes() + b"\0")
    assert upload(photos, uri) == 3
    assert upload(photos, uri, "--overwrite") == 0
    assert contents(sftp_server.folder / "walk") == contents(photos)


def test_a_training_and_masks_whose_connections_are_cut(sftp_server, cut, whole):
    there = sftp_server.folder
    shutil.copytree(whole / "photos", there / "photos")
    cuts = cut(Cuts(500_000, 6_000_000))
    train(whole / "export.json", f"{sftp_server.uri}/photos", f"{sftp_server.uri}/run")
    assert_same_run(there / "run", whole / "output")
    assert cuts.lengths
    cuts.lengths.clear()
    cuts.least, cuts.most = 20_000, 1_000_000
    SSHFileSystem.clear_instance_cache()
    mask(f"{sftp_server.uri}/run", f"{sftp_server.uri}/photos", f"{sftp_server.uri}/masked")
    assert_same_masks(there / "masked", whole / "masked")
    assert cuts.lengths
