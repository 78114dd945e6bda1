"""A real Label Studio on the loopback, in an environment of its own (see the Makefile), and what people made there."""

import itertools
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_photos import INTERFACE, KINDS, scene, stored, submitted
from preannotated import STORED
from real_label_studio import BIN, TOKEN, Server, running
from small_runs import train

from campus_seg.tools.label_studio import main


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with one user, who may use both kinds of token."""
    with running(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


@pytest.fixture(scope="session")
def sdk():
    """Asks Label Studio's own SDK, in its environment, with the functions of with_sdk.py."""

    def sdk(function: str, value: Any) -> Any:
        script = Path(__file__).with_name("with_sdk.py")
        command = [str(BIN / "python"), str(script), function]
        done = subprocess.run(command, input=json.dumps(value), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return sdk


@dataclass
class Campus:
    """A project.

    Attributes:
        number: the server's.
        photos: name -> stored bytes.
        tasks: name -> task.
        drawn: name -> (label, kind, mask) of each object that was submitted.
        unlabelled: names.
    """

    number: int
    photos: dict[str, bytes]
    tasks: dict[str, int]
    drawn: dict[str, list[tuple[str, str, np.ndarray]]]
    unlabelled: list[str]

    def arguments(self, server: Server) -> list[str]:
        """Of the command line; the token is in the environment."""
        return ["--url", server.url, "--project", str(self.number)]


@pytest.fixture(scope="session")
def campus(server):
    """Four photos of each orientation: two with polygons, one with regions of all kinds by turns, one unlabelled."""
    number = server.make_project("Campus", INTERFACE)
    photos = {
        f"{'Süd_' if orientation == 1 else ''}photo_{orientation}_{i}.jpg": stored(
            scene(4 * orientation + i)[0], orientation
        )
        for orientation, i in itertools.product(STORED, range(4))
    }
    tasks = server.upload(number, photos)
    kinds = itertools.cycle(KINDS)
    drawn, unlabelled = {}, []
    for name, seed in zip(photos, itertools.count(4)):
        if seed % 4 == 3:
            unlabelled.append(name)
            continue
        regions, drawn[name] = [], []
        for key, (label, ring) in enumerate(scene(seed)[1]):
            kind = next(kinds) if seed % 4 == 2 else "polygon"
            region, mask = submitted(kind, label, ring, f"region{key}")
            regions.append(region)
            drawn[name].append((label, kind, mask))
        server.annotate(tasks[name], regions)
    return Campus(number, photos, tasks, drawn, unlabelled)


@pytest.fixture(scope="session")
def token():
    """A token in the environment, where the commands look for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
        yield


@pytest.fixture(scope="session")
def pulled(server, campus, token, tmp_path_factory):
    """The project on the disk."""
    folder = tmp_path_factory.mktemp("pulled")
    assert main(["pull", *campus.arguments(server), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def run(pulled, tmp_path_factory):
    """A model that has learned a little from it."""
    output = tmp_path_factory.mktemp("runs") / "campus"
    train(pulled, output, "SOLVER.MAX_ITER", 300, "SOLVER.WARMUP_ITERS", 30, "CAMPUS.SPLIT", "[0.8,0.2,0.0]")
    return output / "config.yaml"
