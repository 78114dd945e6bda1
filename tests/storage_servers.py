"""Servers on the loopback that photos come from and go to: moto's S3, Debian's sshd, Python's own web server."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

STARTS_WITHIN = 240  # seconds; a busy machine takes a minute to load moto
KEY_ID, SECRET = "AKIACAMPUSPHOTOS", "not-much-of-a-secret"
BUCKET = "campus"
SSH_HOST = "campus-storage"  # what the user's ssh config calls the server
# No region's, no profile's, no instance's: what the tests see is what they set.
NOT_OURS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "SSH_AUTH_SOCK")


@dataclass(frozen=True)
class Server:
    """A server that runs, and what the user's environment has to say for it.

    Attributes:
        uri: where its files begin, without a slash at its end.
        address: its HTTP address, "" where it has none.
        environment: variables that lead to it.
        folder: where its files lie on this disk, where they do.
        port: at which it listens, where it is no HTTP server.
    """

    uri: str
    address: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    port: int = 0

    def set(self, patch: pytest.MonkeyPatch) -> None:
        """Lets this process use it."""
        for name in NOT_OURS:
            patch.delenv(name, raising=False)
        for name, value in self.environment.items():
            patch.setenv(name, value)

    def variables(self, **others: str) -> dict[str, str]:
        """The environment of a command that uses it."""
        kept = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        return {**kept, **self.environment, **others}


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[Server]:
    """An S3 server with an empty bucket; it lets everybody do everything.

    Args:
        folder: for its log, and a home without AWS's files.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, folder / "moto.txt", lambda: requests.get(f"{address}/moto-api/", timeout=5)):
        server = s3_at(address, folder)
        s3_client(server).create_bucket(Bucket=BUCKET)
        yield server


def s3_at(address: str, home: Path, key_id: str = KEY_ID, secret: str = SECRET) -> Server:
    """How an S3 server is reached at an address of its own, such as that of a proxy."""
    return Server(
        f"s3://{BUCKET}",
        address,
        {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(home / "no-aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        },
    )


def s3_client(server: Server) -> Any:
    """Amazon's own client, by which tests look at what is there."""
    return boto3.client(
        "s3",
        endpoint_url=server.address,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(retries={"max_attempts": 1}),
    )


def s3_objects(server: Server, prefix: str = "", bucket: str = BUCKET) -> dict[str, bytes]:
    """Key -> bytes of everything in a bucket below a prefix."""
    client = s3_client(server)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def empty(server: Server) -> None:
    """Removes everything from the bucket."""
    client = s3_client(server)
    for key in s3_objects(server):
        client.delete_object(Bucket=BUCKET, Key=key)


@contextlib.contextmanager
def web(folder: Path, log: Path) -> Iterator[Server]:
    """Python's own web server for the files of a folder, which knows no ranges and closes after each answer."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    with _running(command, log, lambda: requests.get(address, timeout=5)):
        yield Server(address, address, folder=folder)


@contextlib.contextmanager
def sftp(folder: Path) -> Iterator[Server]:
    """Debian's sshd, with keys made for it, and a home whose ssh config leads to it.

    Args:
        folder: an empty one, which comes to hold the home, the keys and `files/`, which the URI names.
    """
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not sshd:
        pytest.fail("there is no sshd: apt-get install openssh-server")
    if os.geteuid() == 0:  # where sshd locks up what it does not trust
        Path("/run/sshd").mkdir(exist_ok=True)
    home, files = folder / "home", folder / "files"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    files.mkdir()
    for key in (folder / "host_key", home / ".ssh" / "id_campus"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    port = free_port()
    shutil.copy(home / ".ssh" / "id_campus.pub", folder / "authorized_keys")
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",  # the parents of a temporary folder are everybody's
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": "100",
        "MaxSessions": "100",
        "Subsystem": "sftp internal-sftp",
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    lead_to(folder, port)

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            if not connection.recv(4).startswith(b"SSH"):
                raise OSError("no ssh yet")

    with _running([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.txt", ask):
        yield Server(f"sftp://{SSH_HOST}{files}", environment={"HOME": str(home)}, folder=files, port=port)


def lead_to(folder: Path, port: int) -> None:
    """Writes what the user's ssh knows of the server of a folder: that it is at a port, such as that of a proxy."""
    ssh = folder / "home" / ".ssh"
    host_key = (folder / "host_key.pub").read_text().split()[:2]
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    (ssh / "config").write_text(
        f"Host {SSH_HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {ssh / 'id_campus'}\n  UserKnownHostsFile {ssh / 'known_hosts'}\n"
    )


def free_port() -> int:
    """A port that nobody listens at, for a moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def _running(command: list[str], log: Path, ask: Callable[[], Any]) -> Iterator[None]:
    """A process that is up once `ask` goes through, and gone after the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        until = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                ask()
                break
            except (OSError, requests.RequestException):
                if time.monotonic() > until or process.poll() is not None:
                    pytest.fail(f"{' '.join(command)} does not start: {log.read_text()[-2000:]}")
                time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
