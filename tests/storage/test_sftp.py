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


def test_a_run_and_its_masks(sftp_server, whole):
    """A run that lies there as when it was stopped half-way goes on from its checkpoint."""
    there = sftp_server.folder
    shutil.copytree(whole / "photos", there / "photos")
    shutil.copy(whole / "export.json", there / "export.json")
    places = (f"{sftp_server.uri}/export.json", f"{sftp_server.uri}/photos", f"{sftp_server.uri}/run")
    train(*places)
    assert_same_run(there / "run", whole / "output")
    mask(places[2], places[1], f"{sftp_server.uri}/masked")
    assert_same_masks(there / "masked", whole / "masked")
    (there / "run" / "last_checkpoint").write_text("model_0000002.pth")
    for path in (there / "run").glob("model_*.pth"):
        if path.name != "model_0000002.pth":
            path.unlink()
    train(*places, flags=("--resume",))
    assert_same_run(there / "run", whole / "output")


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
    """A checkpoint has 1 MB; some connections end in one, and some last for several."""
    there = sftp_server.folder
    shutil.copytree(whole / "photos", there / "photos")
    cuts = cut(Cuts(300_000, 12_000_000, seed=43))
    train(whole / "export.json", f"{sftp_server.uri}/photos", f"{sftp_server.uri}/run")
    assert_same_run(there / "run", whole / "output")
    assert cuts.lengths
    cuts = cut(Cuts(100_000, 3_000_000, seed=31))
    mask(f"{sftp_server.uri}/run", f"{sftp_server.uri}/photos", f"{sftp_server.uri}/masked")
    assert_same_masks(there / "masked", whole / "masked")
    assert cuts.lengths
