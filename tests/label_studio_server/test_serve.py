"""The model as an ML backend that a real server asks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from labelled_photos import HEIGHT, INTERFACE, WIDTH, scene, stored
from read_back import beyond, objects_of_result
from real_label_studio import TOKEN

pytestmark = pytest.mark.label_studio

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "open-sesame"
CLOSE = 0.95


@pytest.fixture(scope="module")
def project(server):
    return server.make_project("Served", INTERFACE)


@pytest.fixture(scope="module")
def backend(server, project, run, token):
    """Its address."""
    command = [sys.executable, ROOT / "tools/label_studio.py", "serve", "--config-file", run, "--url", server.url]
    command += ["--project", project, "--port", 0]
    environment = {**os.environ, "CAMPUS_BACKEND_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        for line in process.stdout:
            if found := re.match(r"(http://127\.0\.0\.1:\d+): ", line):
                break
        yield found[1]
    finally:
        process.terminate()
        process.wait(timeout=30)


def connect(server, project, backend, password):
    settings = {"title": "campus", "auth_method": "BASIC_AUTH", "basic_auth_user": "label-studio"}
    settings |= {"url": backend, "project": project, "basic_auth_pass": password}
    headers = {"Authorization": f"Token {TOKEN}"}
    return requests.post(f"{server.url}/api/ml/", json=settings, headers=headers, timeout=60)


def test_opening_a_task_shows_a_prediction(server, project, backend, found_by_model):
    refused = connect(server, project, backend, "wrong")
    assert refused.status_code == 400 and "authentication" in refused.text
    connected = connect(server, project, backend, PASSWORD)
    assert connected.status_code == 201, connected.text
    assert connected.json()["readable_state"] == "Connected"
    photo = stored(scene(7)[0], 6)
    tasks = server.upload(project, {"side.jpg": photo})
    task = server.ask("GET", f"/api/tasks/{tasks['side.jpg']}/")
    (prediction,) = task["predictions"]
    assert prediction["model_version"].startswith("campus ") and prediction["result"]
    read = objects_of_result(prediction["result"], WIDTH, HEIGHT)
    assert beyond(read, found_by_model(photo), CLOSE) == []
    again = server.ask("GET", f"/api/tasks/{tasks['side.jpg']}/")
    assert [one["id"] for one in again["predictions"]] == [prediction["id"]]
