"""Who somebody is comes from where other tools have it, and goes nowhere: into no file, no line that is said."""

import pytest
from s3fs import S3FileSystem
from storage_runs import contents, mask, put, train, upload
from storage_servers import BUCKET, KEY_ID, SECRET, s3_objects

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("one_thread")]
ROOT = f"s3://{BUCKET}"


@pytest.fixture
def files(bucket, tmp_path, monkeypatch):
    """A profile in files as those of ~/.aws, and nothing in the environment but their names."""
    for name in bucket.environment:
        monkeypatch.delenv(name)
    (tmp_path / "aws").mkdir()
    keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "aws" / "credentials").write_text(f"[default]\naws_access_key_id = x\n[campus]\n{keys}")
    (tmp_path / "aws" / "config").write_text(f"[profile campus]\nregion = us-east-1\nendpoint_url = {bucket.address}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws" / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws" / "config"))
    monkeypatch.setenv("AWS_PROFILE", "campus")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    S3FileSystem.clear_instance_cache()


def test_a_profile(files, bucket, photos, monkeypatch):
    assert upload(photos, f"{ROOT}/walk") == 0
    monkeypatch.delenv("AWS_PROFILE")
    assert s3_objects(bucket) == contents(photos, "walk/")


def test_no_secret_is_kept_with_a_run(bucket, whole, tmp_path, capfd):
    """Nor with what it masks, nor in the cache, nor in what is said."""
    put(bucket, whole / "photos", "photos")
    train(whole / "export.json", f"{ROOT}/photos", f"{ROOT}/run")
    mask(f"{ROOT}/run", f"{ROOT}/photos", f"{ROOT}/masked")
    said = capfd.readouterr()
    there = s3_objects(bucket)
    assert {"run/config.yaml", "run/log.txt", "run/model_final.pth", "masked/predictions.json"} <= there.keys()
    assert b"s3://" in there["run/config.yaml"] and b"s3://" in there["run/log.txt"]
    everything = {**there, **contents(tmp_path), "out": said.out.encode(), "err": said.err.encode()}
    told = [name for name, content in everything.items() if SECRET.encode() in content or KEY_ID.encode() in content]
    assert not told


@pytest.mark.parametrize("flags", [(), ("--resume",)])
@pytest.mark.parametrize("key", ["CAMPUS.SPLIT_FILE", "MODEL.WEIGHTS"])
def test_a_signed_address_is_refused_before_it_is_written_down(bucket, whole, tmp_path, capfd, key, flags):
    signed = "https://storage.example.org/x.pth?X-Amz-Signature=TOPSECRET"
    with pytest.raises(SystemExit) as ended:
        train(whole / "export.json", whole / "photos", tmp_path / "run", key, signed, flags=flags)
    assert ended.value.code == 2
    said = capfd.readouterr()
    assert "is a signed address" in said.err and "TOPSECRET" not in said.out + said.err
    written = contents(tmp_path / "run") if (tmp_path / "run").is_dir() else {}
    assert not [name for name, content in written.items() if b"TOPSECRET" in content]
