"""A place that cannot be used is one line that names it and what to set, with exit status 2."""

import json
import re

import boto3
import pytest
import requests
from drawn import draw_export
from s3fs import S3FileSystem
from small_runs import TINY
from storage_servers import BUCKET, KEY_ID, SECRET, free_port, s3_at, s3_objects

from campus_seg.tools.photos import main as photos_main
from campus_seg.tools.train_net import main as train_main

pytestmark = pytest.mark.storage
WALK = f"s3://{BUCKET}/walk"
READS = ["s3:GetObject", "s3:ListBucket"]


def refused(capsys, main, *arguments):
    """What a command says that ends with status 2; it has none of the keys."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert ended.value.code == 2, said.err
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and SECRET not in said.out + said.err and "Traceback" not in said.err
    return lines[0].removeprefix("error: ")


@pytest.fixture
def keys(bucket):
    """Makes a user who may do some things: called with these, gives key id and secret. Others may do nothing then."""
    options = {"region_name": "us-east-1", "aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}
    iam = boto3.client("iam", endpoint_url=bucket.address, **options)

    def make(*actions):
        name = f"user-{free_port()}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        requests.post(f"{bucket.address}/moto-api/reset-auth", data="0", timeout=30)
        return key["AccessKeyId"], key["SecretAccessKey"]

    yield make
    requests.post(f"{bucket.address}/moto-api/reset-auth", data="inf", timeout=30)


@pytest.fixture
def use(bucket, tmp_path, monkeypatch):
    """Lets this process come with other keys, or to another server."""

    def use(key_id, secret, address=bucket.address):
        s3_at(address, tmp_path, key_id, secret).set(monkeypatch)
        S3FileSystem.clear_instance_cache()

    return use


def test_who_may_write_can(keys, use, photos):
    use(*keys("s3:*"))
    assert photos_main(["upload", str(photos), WALK]) == 0


def test_who_may_remove_nothing_can_send(keys, use, photos, capsys):
    use(*keys(*READS, "s3:PutObject"))
    assert photos_main(["upload", str(photos), WALK]) == 0
    assert photos_main(["upload", str(photos), WALK]) == 0
    assert "0 photos sent (0.0 MB), 12 are there" in capsys.readouterr().out


def test_a_key_that_nobody_has(keys, use, photos, capsys):
    keys("s3:*")
    use("AKIANOBODYHASTHIS", SECRET)
    said = refused(capsys, photos_main, "upload", photos, WALK)
    assert said.startswith(WALK) and "the key is refused (InvalidAccessKeyId)" in said
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" in said


def test_a_secret_that_is_wrong(keys, use, photos, capsys):
    key_id, _ = keys("s3:*")
    use(key_id, SECRET)
    assert "the key is refused (SignatureDoesNotMatch)" in refused(capsys, photos_main, "upload", photos, WALK)


def test_who_may_only_read_sends_nothing(keys, use, bucket, photos, capsys):
    use(*keys(*READS))
    said = refused(capsys, photos_main, "upload", photos, WALK)
    assert said.startswith(WALK) and "access is refused" in said and "AWS_ACCESS_KEY_ID" in said


def test_no_key_at_all(bucket, photos, monkeypatch, capsys):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = refused(capsys, photos_main, "upload", photos, WALK)
    assert "there are no credentials; set AWS_ACCESS_KEY_ID" in said


def test_a_profile_that_is_not_there(bucket, photos, monkeypatch, capsys):
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "AWS_PROFILE" in refused(capsys, photos_main, "upload", photos, WALK)


def test_an_address_without_a_scheme(use, photos, capsys):
    use(KEY_ID, SECRET, "127.0.0.1:5123")
    said = refused(capsys, photos_main, "upload", photos, WALK)
    assert "begins with http:// or https://; correct AWS_ENDPOINT_URL" in said


def test_a_server_that_is_not_there(use, photos, capsys):
    address = f"http://127.0.0.1:{free_port()}"
    use(KEY_ID, SECRET, address)
    said = refused(capsys, photos_main, "upload", photos, WALK)
    assert "the server cannot be reached" in said and f"AWS_ENDPOINT_URL {address}" in said


def train(export, output):
    return ("--config-file", "configs/mask_rcnn_mini_FPN.yaml", "CAMPUS.EXPORT", export, "OUTPUT_DIR", output, *TINY)


@pytest.mark.parametrize("reads_only", [True, False])
def test_a_run_that_cannot_write_ends_before_it_begins(keys, use, bucket, tmp_path, capsys, reads_only):
    export = draw_export(photos=10).write_zip(tmp_path / "export.zip")
    output = f"s3://{BUCKET}/run" if reads_only else "s3://nobodys-bucket/run"
    if reads_only:
        use(*keys(*READS))
    said = refused(capsys, train_main, *train(export, output))
    assert said.startswith(output)
    assert ("access is refused" if reads_only else "there is no such bucket; create it") in said
    assert "iter" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("export", "expected"),
    [(f"s3://{BUCKET}/absent.zip", "no such file or folder"), ("s3://nobodys-bucket/e.zip", "no such bucket")],
)
def test_an_export_that_is_not_there(bucket, tmp_path, capsys, export, expected):
    said = refused(capsys, train_main, *train(export, tmp_path / "output"))
    assert export in said and expected in said
    assert s3_objects(bucket) == {} and not (tmp_path / "output" / "metrics.json").exists()


def test_a_host_that_is_not_known(sftp_server, photos, capsys):
    """Nobody is asked "yes or no": a host that the user has never been to is not trusted."""
    home = sftp_server.folder.parent / "home"
    (home / ".ssh" / "known_hosts").write_text("")
    said = refused(capsys, photos_main, "upload", photos, f"{sftp_server.uri}/walk")
    assert re.search(r"the host's key is not known; connect once with ssh", said)


def test_a_host_that_does_not_know_the_key(sftp_server, photos, capsys):
    (sftp_server.folder.parent / "authorized_keys").write_text("")
    said = refused(capsys, photos_main, "upload", photos, f"{sftp_server.uri}/walk")
    assert "IdentityFile in ~/.ssh/config" in said
