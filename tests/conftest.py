import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of what else the machine does than of what is tested.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time: what is found stands for the change that is tested. `make search` tries others.
settings.register_profile("campus_seg", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("campus_seg")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

ROOT = Path(__file__).resolve().parents[1]
# Real exports are other people's photos and no part of the project: the tests that read them are skipped elsewhere.
REAL = Path(os.environ.get("CAMPUS_REAL_EXPORTS", ROOT.parent / "shared" / "label_studio" / "campus_train"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or changes what the user's cache knows of photos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def loggers_as_they_were():
    """A training in this process leaves handlers that write to what pytest shows of that one test, and closes.

    Its loggers pass nothing on, and a benchmark's hold back all but warnings: neither counts for the next test.
    """
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "campus_seg")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.fixture(scope="session")
def real_exports() -> Path:
    """Folder with exports of a real Label Studio server and their truth.json."""
    if not REAL.is_dir():
        pytest.skip("no real exports here; set CAMPUS_REAL_EXPORTS")
    return REAL


@pytest.fixture(scope="module")
def one_thread():
    """A small model runs many times faster on one thread where the cores are busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def threads_as_they_were():
    """A benchmark takes one thread and belongs in a process of its own; the other tests get theirs back."""
    import cv2
    import torch

    counts = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(counts[0])
    cv2.setNumThreads(counts[1])


@pytest.fixture
def bucket(monkeypatch, tmp_path_factory):
    """A bucket in memory behind s3://, without any server."""
    from fake_bucket import installed

    with installed(monkeypatch, tmp_path_factory.mktemp("bucket-cache")) as fake:
        yield fake


@pytest.fixture
def label_studio(monkeypatch):
    """A server that answers as Label Studio does, with a project without tasks; nobody waits between two tries."""
    from fake_label_studio import FakeLabelStudio, running

    from campus_seg.label_studio import client, connection

    monkeypatch.setattr(connection, "PATIENCE", connection.PATIENCE.new(backoff_factor=0))
    monkeypatch.setattr(client, "PATIENT", 1)
    with running(FakeLabelStudio()) as state:
        yield state


@pytest.fixture
def client(label_studio):
    """Makes a client of its project, which has to be asked for once the server is as a test wants it.

    A busy machine must not look like a silent server: where silence is what is tested, `timeout` says so.
    """
    from fake_label_studio import LONG, TOKEN

    from campus_seg.label_studio.client import Client
    from campus_seg.label_studio.connection import Connection

    def make(token=TOKEN, project=1, timeout=LONG):
        return Client(Connection(label_studio.url, token, timeout=timeout), project)

    return make
