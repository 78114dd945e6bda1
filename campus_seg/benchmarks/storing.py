"""Training steps on photos in a bucket, against the same photos on the disk.

The bucket is moto's S3 server on the loopback, in a process of its own on the same cores, and the cache on the disk is
so small that every photo is fetched anew each time it is its turn.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from fsspec import get_filesystem_class

from campus_seg.benchmarks.training import CLASSES, MODELS, Work, as_table, import_once, take_turns
from campus_seg.errors import ConfigError
from campus_seg.storage import base_name, filesystem, persistent
from campus_seg.storage_cache import LIMIT_KEY
from campus_seg.storage_objects import send, together

BUCKET = "s3://campus-benchmark"
SHARE = 0.3  # of the photos' bytes is the cache's limit: more than is fetched ahead, and no epoch finds them there
STARTING = 120.0  # seconds that the server may take to begin


def measure_storage(args: argparse.Namespace) -> dict[str, Any]:
    """Times both sides, in turn, with the mini network.

    Args:
        args: of tools/benchmark.py: photos, turns, steps, threads, workers and opts.

    Returns:
        A table as text; the figures of each side as `measure_train` has them; and under "ratios"
        "storage_step_vs_disk", seconds a step from the bucket over those from the disk, and "storage_data_time_share",
        what of a step from the bucket is spent in waiting for photos.

    Raises:
        CampusError: there is no server, or keys cannot be used.
    """
    from campus_seg.benchmarks.curves import draw_export

    config, batch, _ = MODELS["mini"]
    with tempfile.TemporaryDirectory() as scratch, bucket_server(Path(scratch)):
        folder, other = Path(scratch, "import"), Path(scratch, "bucket")
        classes = import_once(str(draw_export(Path(scratch), CLASSES, args.photos, seed=0)), folder, args.opts)
        move_to_bucket(folder, other)
        disk = Work(config, str(folder), classes, batch, args.threads, args.workers, args.opts)
        works = {"ours_mini": disk, "ours_mini_bucket": replace(disk, folder=str(other))}
        figures = take_turns(works, args.turns, args.steps)
    figures["ours_mini"]["what"] += ", from the disk"
    figures["ours_mini_bucket"]["what"] += ", from a bucket"
    seconds = {side: figure["seconds_a_step"] for side, figure in figures.items()}
    ratios = {
        "storage_step_vs_disk": seconds["ours_mini_bucket"] / seconds["ours_mini"],
        "storage_data_time_share": figures["ours_mini_bucket"]["data_time_share"],
    }
    return {"table": as_table(figures), "sides": figures, "ratios": ratios}


@contextlib.contextmanager
def bucket_server(scratch: Path) -> Iterator[None]:
    """An S3 server of this block's own, which this process and those that it starts take for Amazon's.

    Raises:
        ConfigError: moto is not there, or does not begin.
    """
    if find_spec("moto") is None:
        raise ConfigError("the bucket is one of moto's server, which is not there: pip install 'campus_seg[dev]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        **{"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark", "AWS_DEFAULT_REGION": "us-east-1"},
        "XDG_CACHE_HOME": str(scratch / "cache"),
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (scratch / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with mock.patch.dict(os.environ, environment):  # and puts all of it back
            _await(server, port)
            _forget_connections()
            persistent(BUCKET, _make_bucket)
            yield
    finally:
        _forget_connections()
        server.terminate()
        server.wait()


def _await(server: subprocess.Popen, port: int) -> None:
    until = time.monotonic() + STARTING
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise ConfigError("moto's server does not begin; try it by itself: python -m moto.server")


def _forget_connections() -> None:
    """What this process is connected to as Amazon's is another server than the block's."""
    get_filesystem_class("s3").clear_instance_cache()


def _make_bucket() -> None:
    fs, path = filesystem(BUCKET)
    fs.mkdir(path)


def move_to_bucket(folder: Path, other: Path) -> None:
    """Sends an import's photos to the bucket, and writes another import that has them there; limits the cache.

    Args:
        folder: of the import.
        other: of the one that is written.
    """
    images = sorted((folder / "import" / "images").iterdir())
    os.environ[LIMIT_KEY] = str(SHARE * sum(path.stat().st_size for path in images) / 1e9)
    list(together(lambda path: send(path, f"{BUCKET}/{path.name}"), images))
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("images"))
    for path in (other / "import").glob("*.json"):
        content = json.loads(path.read_bytes())
        path.write_text(json.dumps({**content, "images": [_in_bucket(image) for image in content["images"]]}))


def _in_bucket(image: Mapping[str, Any]) -> dict[str, Any]:
    return {**image, "file_name": f"{BUCKET}/{base_name(image['file_name'])}"}
