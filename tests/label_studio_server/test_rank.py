"""What to label next, as the server keeps it: the order of the Data Manager and of the label stream."""

import csv
import json

import pytest
from labelled_photos import INTERFACE, Drawing, scene, stored

from campus_seg.label_studio.scores import RANKING
from campus_seg.tools.label_studio import main

pytestmark = pytest.mark.label_studio

PHOTOS = 6


@pytest.fixture
def project(server, token):
    """A project of drawn photos, of which the first is labelled."""
    number = server.make_project("Next", INTERFACE)
    photos = {f"next_{seed}.jpg": stored(scene(100 + seed)[0], 1) for seed in range(PHOTOS)}
    tasks = server.upload(number, photos)
    server.annotate(tasks["next_0.jpg"], Drawing.of(scene(100)[1]).regions)
    return number


def by_score(server, project):
    """Unlabelled tasks in the order of the Data Manager, by their prediction score."""
    query = json.dumps({"ordering": ["tasks:predictions_score"]})
    tasks = server.ask("GET", "/api/tasks", params={"project": project, "query": query, "fields": "all"})["tasks"]
    return [task["id"] for task in tasks if not task["total_annotations"]]


def test_the_order_arrives(server, project, run, tmp_path, capsys):
    arguments = ["--url", server.url, "--project", str(project)]
    assert main(["pull", *arguments, "--output", str(tmp_path / "pulled")]) == 0
    table = tmp_path / "ranking.csv"
    rank = ["rank", str(tmp_path / "pulled"), "--config-file", str(run), *arguments, "--output", str(table), "--push"]
    assert main(rank) == 0
    with table.open(encoding="utf-8", newline="") as file:
        order = [int(row["task"]) for row in csv.DictReader(file)]
    assert len(order) == PHOTOS - 1
    assert by_score(server, project) == order
    server.ask("PATCH", f"/api/projects/{project}/", json={"sampling": "Uncertainty sampling"})
    assert server.ask("GET", f"/api/projects/{project}/next")["id"] == order[0]

    # A model's predictions, pushed, are what people see from then on, and get the scores.
    assert main(["push", "--config-file", str(run), *arguments]) == 0
    assert main(rank) == 0
    shown = server.ask("GET", f"/api/projects/{project}/")["model_version"]
    predictions = server.ask("GET", f"/api/predictions/?project={project}")
    scores = {one["task"]: one["score"] for one in predictions if one["model_version"] == shown}
    assert shown != RANKING and sorted(scores, key=scores.get) == order
    assert sorted(scores.values()) == pytest.approx([place / len(order) for place in range(len(order))], abs=1e-6)
    assert len(predictions) == 2 * len(order)
    assert f"scores of {len(order)} predictions, version {shown}" in capsys.readouterr().out
    assert by_score(server, project) == order
