"""The unlabelled tasks of a project, ranked by a small model with random weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_scene, encode
from small_models import write_run

from campus_seg.tools.label_studio import main

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ["--opts", "CAMPUS.INFERENCE.ENGINE", "eager"]


def task(number, *labels, done=False):
    points = [[10, 10], [60, 10], [60, 60]]
    size = {"original_width": 96, "original_height": 72, "image_rotation": 0}
    value = [{"polygonlabels": [label], "points": points} for label in labels]
    result = [{"type": "polygonlabels", **size, "value": each} for each in value]
    annotations = [{"id": number, "result": result}] if labels or done else []
    return {"id": number, "annotations": annotations, "data": {"image": f"/data/upload/1/photo {number}.png"}}


@pytest.fixture
def project(tmp_path):
    """A pulled project: task 1 is labelled, task 2 is unlabelled and shows the same photo, 3 to 5 show others."""
    folder = tmp_path / "pulled"
    folder.mkdir()
    tasks = [task(1, "car", "bench"), *map(task, range(2, 6))]
    (folder / "project.json").write_text(json.dumps(tasks))
    for number in range(1, 6):
        image, _ = draw_scene(np.random.default_rng(max(2, number)), 96, 72)
        (folder / f"photo {number}.png").write_bytes(encode(image, ending=".png"))
    write_run(tmp_path)
    return folder


def rank(project, *more):
    arguments = ["rank", str(project), "--config-file", str(project.parent / "config.yaml")]
    return main([*arguments, "--output", str(project.parent / "out/ranking.csv"), *more, *QUICK])


def rows(project):
    with (project.parent / "out/ranking.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_unlabelled_task_has_a_place(project, capsys):
    assert rank(project) == 0
    table = rows(project)
    assert sorted(int(row["task"]) for row in table) == [2, 3, 4, 5]
    assert [int(row["place"]) for row in table] == [1, 2, 3, 4]
    assert [float(row["score"]) for row in table] == [0, 0.25, 0.5, 0.75]
    # The photo that is labelled already, in another task, teaches nothing more.
    assert table[-1]["task"] == "2" and float(table[-1]["distance"]) == pytest.approx(0, abs=1e-3)
    for row in table:
        assert Path(row["photo"]) == project / f"photo {row['task']}.png"
        assert float(row["objects"]) > 0 and float(row["class_bits"]) > 0 and float(row["mask_bits"]) > 0
        assert row["found"].split(" ")[0] in ("bench", "car")
    said = capsys.readouterr().out
    assert "unlabelled photos: 4" in said and f"4 tasks in {project.parent / 'out/ranking.csv'}" in said
    assert f"  1  task {table[0]['task']}  photo {table[0]['task']}.png" in said


def test_photos_that_are_missing_or_broken_are_named_and_the_rest_is_ranked(project, capsys):
    (project / "photo 3.png").unlink()
    (project / "photo 4.png").write_bytes(b"no photo")
    assert rank(project) == 3
    assert [row["task"] for row in rows(project)] == ["5", "2"]
    said = capsys.readouterr().out
    assert "photos that are missing: 1, such as /data/upload/1/photo 3.png; pull brings them" in said
    assert f"photos that cannot be read: 1, such as {project / 'photo 4.png'} (" in said


def leave_photos_out(project):
    for number in range(2, 6):
        (project / f"photo {number}.png").unlink()


def break_photos(project):
    for number in range(2, 6):
        (project / f"photo {number}.png").write_bytes(b"no photo")


def label_all(project):
    tasks = [task(number, done=True) for number in range(1, 6)]
    (project / "project.json").write_text(json.dumps(tasks))


def take_weights_away(project):
    (project.parent / "model_final.pth").unlink()


def put_a_folder_in_the_way(project):
    (project.parent / "out/ranking.csv").mkdir(parents=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (leave_photos_out, "the photos of its 4 unlabelled tasks are missing, such as /data/upload/1/photo 2.png; say"),
        (break_photos, "none of its unlabelled photos can be read, such as"),
        (label_all, "no task in it is unlabelled"),
        (take_weights_away, "no model_best.pth or model_final.pth beside it"),
        (put_a_folder_in_the_way, "is a folder; give a file"),
    ],
)
def test_what_cannot_be_ranked_has_status_2_and_one_line(spoil, message, project, capsys):
    spoil(project)
    with pytest.raises(SystemExit) as stopped:
        rank(project)
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not (project.parent / "out/ranking.csv").is_file()
