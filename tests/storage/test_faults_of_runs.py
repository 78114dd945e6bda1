"""With a server that fails 10 % of the requests, trainings and masks come to the same bytes as without."""

from collections import Counter

import pytest
from faulty_proxy import FAULTS, Faults, seed_that_hits
from same_runs import assert_same_run
from storage_runs import PHOTOS, assert_same_masks, got, mask, put, train
from storage_servers import BUCKET

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("impatient", "one_thread")]
ROOT = f"s3://{BUCKET}"


def seed(photos):
    """By which each kind of fault hits the body of some photo."""
    return seed_that_hits(("GET", f"/{BUCKET}/photos/{path.name}") for path in sorted(photos.iterdir()))


def test_a_training(through, bucket, whole, tmp_path, monkeypatch):
    """The cache keeps a few photos only, so that both workers fetch theirs from the bucket."""
    monkeypatch.setenv("CAMPUS_CACHE_GB", "0.00001")
    put(bucket, whole / "photos", "photos")
    faults = through(Faults(seed=seed(whole / "photos")))
    train(whole / "export.json", f"{ROOT}/photos", f"{ROOT}/run")
    assert_same_run(got(bucket, "run", tmp_path / "run"), whole / "output")
    assert faults.of("GET", ".jpg") == set(FAULTS)
    assert any(method == "PUT" and "/run/" in path for _, method, path in faults.hits)
    fetched = Counter(path for method, path in faults.asked if method == "GET" and path.endswith(".jpg"))
    assert len(fetched) == PHOTOS and fetched.total() > 2 * PHOTOS


def test_a_folders_masks(through, bucket, whole, tmp_path):
    put(bucket, whole / "photos", "photos")
    put(bucket, whole / "output", "run")
    faults = through(Faults(seed=seed(whole / "photos")))
    mask(f"{ROOT}/run", f"{ROOT}/photos", f"{ROOT}/masked")
    assert_same_masks(got(bucket, "masked", tmp_path / "masked"), whole / "masked")
    assert faults.of("GET", ".jpg") == set(FAULTS)
    assert len(faults.of("PUT", "")) > 1
