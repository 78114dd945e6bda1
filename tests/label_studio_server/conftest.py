"""A real Label Studio on the loopback, in an environment of its own (see the Makefile), and what people made there."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn import COLORS, ellipse_mask
from labelled_campus import make_campus
from labelled_photos import HEIGHT, INTERFACE, NOTHING, WIDTH
from real_label_studio import BIN, TOKEN, running
from small_runs import train

from campus_seg.config import load_config, use_run_weights
from campus_seg.evaluation.thresholds import DEFAULT
from campus_seg.inference.paste import found_objects
from campus_seg.inference.predictor import Predictor
from campus_seg.inference.selection import Selection
from campus_seg.label_studio.account import HURRY
from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import Connection
from campus_seg.label_studio.push import Push
from campus_seg.label_studio.results import Found, prediction_regions
from campus_seg.photos import read_photo, read_photo_bytes
from campus_seg.tools.label_studio import main
from campus_seg.web.sending import Sender

LEAST = 0.05  # from which score on the page's model keeps objects


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with one user, who may use both kinds of token."""
    with running(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


@pytest.fixture(scope="session")
def sdk():
    """Asks Label Studio's own SDK, in its environment, with the functions of with_sdk.py."""
    command = [BIN / "python", Path(__file__).with_name("with_sdk.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def sdk(function: str, value: Any) -> Any:
            print(json.dumps([function, value]), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            assert answer, "the SDK stopped; pytest shows what it said"
            return json.loads(answer)

        yield sdk


@pytest.fixture(scope="session")
def campus(server):
    """A project of drawn photos, labelled."""
    return make_campus(server)


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
    """A model that has learned from it; soonest from the photos as they are, and judged at the end alone."""
    output = tmp_path_factory.mktemp("runs") / "campus"
    as_they_are = ("CAMPUS.SPLIT", "[0.8,0.2,0.0]", "CAMPUS.AUGMENTATIONS", "", "CAMPUS.EVAL_EPOCHS", 0)
    train(pulled, output, "SOLVER.MAX_ITER", 200, "SOLVER.WARMUP_ITERS", 20, *as_they_are)
    return output / "config.yaml"


@pytest.fixture(scope="session")
def found_by_model(run, tmp_path_factory):
    """Says what that model finds in a stored photo: (label, (480, 640) bool mask) of each object."""
    cfg = load_config(str(run))
    use_run_weights(cfg, str(run))
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = DEFAULT
    predictor = Predictor(cfg)
    file = tmp_path_factory.mktemp("photo") / "a.jpg"

    def found(content):
        file.write_bytes(content)
        (instances,) = predictor([read_photo(file)])
        names = predictor.class_names
        return [(names[one.class_id], one.region.full((HEIGHT, WIDTH))) for one in found_objects(instances)]

    return found


@pytest.fixture(scope="session")
def pushed(server, campus, run, token):
    """Name -> prediction of each unlabelled photo, as the server has it after two commands."""
    command = ["push", "--config-file", str(run), *campus.arguments(server)]
    assert main(command) == 0 and main(command) == 0
    predictions = server.ask("GET", f"/api/predictions/?project={campus.number}")
    names = {task: name for name, task in campus.tasks.items()}
    assert sorted(names[one["task"]] for one in predictions) == sorted(campus.unlabelled)
    return {names[one["task"]]: one for one in predictions}


@pytest.fixture(scope="session")
def drawn(server):
    """A prediction of two objects, one with a hole and one in two parts, as the server has it; and the objects."""
    holed, parts = ellipse_mask(HEIGHT, WIDTH, (200, 120), hole=60), np.zeros((HEIGHT, WIDTH), bool)
    parts[30:150, 40:160] = parts[300:460, 450:600] = True
    client = server.client(server.make_project("Drawn", INTERFACE))
    task = server.upload(client.project, {"nothing.jpg": NOTHING})["nothing.jpg"]
    controls = client.interface.for_classes(list(COLORS), client.name)
    found = [Found("dog", 0.9, holed, 0, 0), Found("car", 0.8, parts, 0, 0)]
    push = Push(client, "drawn 1")
    push.send([push.prediction(task, prediction_regions(found, WIDTH, HEIGHT, controls), 0.85)])
    push.finish([task])
    (prediction,) = server.ask("GET", f"/api/predictions/?project={client.project}")
    return prediction, [("dog", holed), ("car", parts)]


@pytest.fixture(scope="session")
def predictor(run):
    """The page's."""
    cfg = load_config(str(run))
    use_run_weights(cfg, str(run))
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = Selection(LEAST).least
    return Predictor(cfg)


@pytest.fixture(scope="session")
def every(predictor):
    """All classes."""
    return range(len(predictor.class_names))


@pytest.fixture(scope="session")
def sender(server, predictor):
    """The page's button, with the number of its project in `project`."""
    number = server.make_project("From the page", INTERFACE)
    made = Sender(Client(Connection(server.url, TOKEN, timeout=HURRY, hurried=True), number), predictor, "campus")
    made.project = number
    return made


@pytest.fixture(scope="session")
def seen(predictor):
    """What the page knows of a photo."""

    def seen(content, name="walk.jpg"):
        (instances,) = predictor([read_photo_bytes(content)])
        return SimpleNamespace(name=name, content=content, instances=instances)

    return seen
