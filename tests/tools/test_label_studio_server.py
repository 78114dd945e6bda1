"""pull, push, rank and serve as they are typed, on a server that answers as Label Studio does."""

import csv
import json

import pytest
from fake_label_studio import LONG, PERSONAL, TOKEN, timeout_for
from preannotated import BOX, CARS, photo
from small_models import write_run

from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions
from campus_seg.tools.label_studio import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def project(label_studio, monkeypatch):
    """The arguments that lead to it; the token is in the environment."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.delenv("CAMPUS_BACKEND_PASSWORD", raising=False)
    label_studio.interface = CARS
    return ["--url", label_studio.url, "--project", "1", "--timeout", str(LONG)]


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path)
    return ["--config-file", str(tmp_path / "config.yaml")]


def labelled(label_studio):
    """A photo with one car that somebody drew."""
    value = {"points": [[15, 20], [55, 20], [55, 50]], "polygonlabels": ["car"]}
    region = {"id": "a", "type": "polygonlabels", "from_name": "polygon", "to_name": "image", "value": value}
    result = [{**region, "original_width": 80, "original_height": 40}]
    label_studio.add_photo("a.png", photo(BOX), annotations=[{"id": 1, "result": result}], total_annotations=1)


def refused(capsys, *arguments):
    """The one line with which a command is refused."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert stopped.value.code == 2 and captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert TOKEN not in captured.err + captured.out and PERSONAL not in captured.err + captured.out
    return captured.err


def test_pull(label_studio, project, tmp_path, capsys):
    labelled(label_studio)
    label_studio.add_photo("b.png", photo())
    assert main(["pull", *project, "--output", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert "2 tasks, 1 of them labelled" in said and "2 fetched, 0 there already, 0 not to be had" in said
    assert len(read_export(str(tmp_path / "new"), ExportOptions()).photos) == 1
    assert main(["check", str(tmp_path / "new")]) == 1  # task_unlabelled
    label_studio.add_photo("c.png", b"no photo")
    assert main(["pull", *project, "--output", str(tmp_path / "new")]) == 3
    assert "/data/upload/1/c.png: no image" in capsys.readouterr().out
    assert json.loads((tmp_path / "new/failures.json").read_text())[0]["reason"].startswith("no image")


def test_photos_of_one_path_are_named(label_studio, project, tmp_path, capsys):
    for number in (1, 2):
        label_studio.add_photo("a.png", photo())["data"]["image"] = f"http://me:secret@host/p?id={number}"
    label_studio.add_photo("b.png", photo())
    assert main(["pull", *project, "--output", str(tmp_path / "new")]) == 3
    captured = capsys.readouterr()
    assert "1 fetched, 0 there already, 2 not to be had" in captured.out
    assert "http://host/p?id=1: has one path with http://host/p?id=2" in captured.out
    assert "secret" not in captured.out + captured.err


def test_a_folder_of_something_else(label_studio, project, tmp_path, capsys):
    labelled(label_studio)
    (tmp_path / "thesis.txt").write_text("")
    assert "holds files, and not of an earlier pull" in refused(capsys, "pull", *project, "--output", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_push(label_studio, project, run, capsys):
    labelled(label_studio)
    for name in ("b.png", "c.png"):
        label_studio.add_photo(name, photo(BOX))
    command = ["push", *run, *project, "--confidence-threshold", "0.1"]
    assert main(command) == 0
    assert "2 predictions sent" in capsys.readouterr().out
    assert [one["task"] for one in label_studio.predictions] == [2, 3]
    assert all(one["result"] for one in label_studio.predictions)  # random weights find something
    assert main([*command, "--opts", "TEST.DETECTIONS_PER_IMAGE", "100"]) == 0
    assert "0 predictions sent (0 objects), 2 there already" in capsys.readouterr().out


def test_a_model_that_finds_nothing_is_told(label_studio, project, run, capsys):
    label_studio.add_photo("a.png", photo(BOX))
    assert main(["push", *run, *project, "--confidence-threshold", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 predictions sent (0 objects)" in said and "finds nothing in them: train it longer, or" in said


def rows(table):
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_to_label_next_is_brought_back(label_studio, project, run, tmp_path, capsys):
    labelled(label_studio)
    for number, name in enumerate(("b.png", "c.png", "d.png")):
        label_studio.add_photo(name, photo(BOX, (4 + 9 * number, 2, 30, 6 + 9 * number)))
    assert main(["pull", *project, "--output", str(tmp_path / "new")]) == 0
    rank = ["rank", str(tmp_path / "new"), *run, *project, "--output", str(tmp_path / "ranking.csv")]
    assert main(rank) == 0
    assert label_studio.predictions == []
    assert main([*rank, "--push"]) == 0
    table = {int(row["task"]): float(row["score"]) for row in rows(tmp_path / "ranking.csv")}
    assert {one["task"]: one["score"] for one in label_studio.predictions} == table
    assert sorted(table) == [2, 3, 4] and sorted(table.values()) == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-6)
    assert "project 1 (Campus): scores of 3 predictions, version ranking" in capsys.readouterr().out
    # What people see of a model that was pushed meanwhile stays, and gets the scores.
    assert main(["push", *run, *project, "--confidence-threshold", "0.1"]) == 0
    assert main([*rank, "--push"]) == 0
    own = [one for one in label_studio.predictions if one["model_version"] == label_studio.model_version]
    assert {one["task"]: one["score"] for one in own} == table and all(one["result"] for one in own)
    assert len(label_studio.predictions) == 6


def test_the_project_that_gets_the_order_has_to_be_named(run, tmp_path, capsys):
    said = refused(capsys, "rank", tmp_path, *run, "--output", tmp_path / "r.csv", "--push")
    assert "--push: say with --project N into which project" in said


def test_a_token_from_a_file(label_studio, project, tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "wrong")
    (tmp_path / "token").write_text(PERSONAL + "\n")
    arguments = [*project, "--token-file", str(tmp_path / "token"), "--output", str(tmp_path / "new")]
    assert main(["pull", *arguments]) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token": "f" * 40}, "refused (401"),
        ({"token": ""}, "no token: put yours"),
        ({"project": "2"}, "has no project 2, or not for you; give another --project"),
        ({"url": "http://127.0.0.1:9"}, "cannot be reached (Connection refused); start the server"),
        ({"url": "labels"}, "--url labels: no address of a server"),
        ({"interface": "<View/>"}, "shows no photo; add <Image"),
        ({"fault": 500}, "refused (500"),
        ({"fault": "stall"}, "no answer within 0.3 s"),
        ({"fault": "cut"}, "the answer was cut short"),
        ({"fault": "page"}, "is --url the server's address?"),
    ],
)
@pytest.mark.parametrize("command", ["pull", "push", "rank", "serve"])
def test_what_is_wrong_is_one_line_before_any_work(
    command, change, reason, label_studio, project, tmp_path, monkeypatch, capsys
):
    project[-1] = str(timeout_for(change.get("fault")))
    for name in ("url", "project"):
        if name in change:
            project[project.index(f"--{name}") + 1] = change[name]
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", change.get("token", TOKEN))
    monkeypatch.setenv("CAMPUS_BACKEND_PASSWORD", "open-sesame")
    label_studio.interface = change.get("interface", CARS)
    label_studio.faults["/api/projects/1/"] = [change.get("fault")] * 4
    own = ["--output", tmp_path / "new"] if command == "pull" else ["--config-file", tmp_path / "absent.yaml"]
    if command == "rank":
        own += [tmp_path / "absent", "--output", tmp_path / "new/ranking.csv", "--push"]
    assert reason in refused(capsys, command, *project, *own)
    assert not (tmp_path / "new").exists()


def test_a_project_without_a_control_for_masks(label_studio, project, run, monkeypatch, capsys):
    monkeypatch.setenv("CAMPUS_BACKEND_PASSWORD", "open-sesame")
    label_studio.interface = '<View><Image name="image" value="$image"/></View>'
    for command in ("push", "serve"):
        assert "no control for masks; add <PolygonLabels>" in refused(capsys, command, *run, *project)


def test_serve_wants_a_password(project, run, capsys):
    assert "no password: put one that Label Studio is to bring" in refused(capsys, "serve", *run, *project)


def test_a_folder_that_cannot_be_written_to(project, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "cannot be written to" in refused(capsys, "pull", *project, "--output", tmp_path / "file")
