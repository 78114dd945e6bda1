"""The order of tasks as scores in a project, on a server that answers as Label Studio does."""

import pytest

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.scores import RANKING, PushedScores, push_scores

PREDICTIONS = "/api/predictions/"
SEEN = [{"id": "1", "type": "polygonlabels"}]


@pytest.fixture
def project(label_studio, client):
    """Makes the client of a project of some tasks, with predictions by version, of which it shows one."""

    def make(tasks, shown="", **versions):
        for number in range(tasks):
            label_studio.add_photo(f"{number}.jpg", b"")
        for version, scores in versions.items():
            items = scores.items()
            label_studio.create([{"task": t, "score": s, "model_version": version, "result": SEEN} for t, s in items])
        label_studio.model_version = shown
        return client()

    return make


def scores(label_studio, version):
    return {one["task"]: one["score"] for one in label_studio.predictions if one["model_version"] == version}


def test_the_predictions_that_people_see_get_the_scores(project, label_studio):
    client = project(4, shown="new", old={1: 0.7, 2: 0.7}, new={1: 0.9, 2: 0.8, 3: 0.5, 4: 0.4})
    assert push_scores(client, {3: 0.0, 1: 0.25, 2: 0.5}) == PushedScores("new", 3, 0, [])
    assert scores(label_studio, "new") == {3: 0.0, 1: 0.25, 2: 0.5, 4: 0.4}
    assert scores(label_studio, "old") == {1: 0.7, 2: 0.7}
    assert len(label_studio.predictions) == 6 and all(one["result"] == SEEN for one in label_studio.predictions)
    assert label_studio.model_version == "new"


def test_a_project_without_predictions_gets_some_without_regions(project, label_studio):
    wanted = {task: (task - 1) / 45 for task in range(1, 46)}
    assert push_scores(project(50), wanted) == PushedScores(RANKING, 45, 0, [])
    assert scores(label_studio, RANKING) == wanted and label_studio.model_version == RANKING
    assert len(label_studio.predictions) == 45 and all(one["result"] == [] for one in label_studio.predictions)


def test_a_second_time_changes_only_what_differs_and_doubles_nothing(project, label_studio):
    client = project(3)
    for _ in range(2):
        push_scores(client, {1: 0.0, 2: 0.5})
    assert len(label_studio.predictions) == 2 and not label_studio.count("PATCH", PREDICTIONS)
    push_scores(client, {2: 0.0, 3: 0.5})  # 1 was not ranked any more, 3 is new
    assert scores(label_studio, RANKING) == {1: 0.0, 2: 0.0, 3: 0.5}
    assert label_studio.count("PATCH", PREDICTIONS) == 1


def test_what_fails_for_a_moment_is_tried_again(project, label_studio):
    client = project(2, shown="new", new={1: 0.9, 2: 0.8})
    label_studio.faults[f"{PREDICTIONS}1/"] = [502, None]
    push_scores(client, {1: 0.0, 2: 0.5})
    assert scores(label_studio, "new") == {1: 0.0, 2: 0.5}


def test_a_command_that_was_stopped_goes_on(project, label_studio):
    client = project(3, shown="new", new={1: 0.9, 2: 0.8, 3: 0.7})
    label_studio.faults[f"{PREDICTIONS}2/"] = [500] * 4
    with pytest.raises(LabelStudioError, match="500"):
        push_scores(client, {1: 0.0, 2: 0.3, 3: 0.6})
    assert scores(label_studio, "new") == {1: 0.0, 2: 0.8, 3: 0.7}
    push_scores(client, {1: 0.0, 2: 0.3, 3: 0.6})
    assert scores(label_studio, "new") == {1: 0.0, 2: 0.3, 3: 0.6}
    assert label_studio.count("PATCH", f"{PREDICTIONS}1/") == 1


def test_tasks_without_the_prediction_that_the_project_shows_are_named(project, label_studio):
    client = project(3, shown="new", new={1: 0.9}, old={2: 0.7})
    assert push_scores(client, {1: 0.1, 2: 0.5, 3: 0.7}) == PushedScores("new", 1, 0, [2, 3])
    assert scores(label_studio, "new") == {1: 0.1} and len(label_studio.predictions) == 2


def test_where_no_task_has_the_prediction_that_the_project_shows_nothing_is_done(project, label_studio):
    client = project(2, shown="a model that is connected", old={2: 0.7})
    message = "shows the predictions of 'a model that is connected', of which none of the ranked tasks has one; push"
    with pytest.raises(LabelStudioError, match=message):
        push_scores(client, {1: 0.0, 2: 0.5})
    assert scores(label_studio, "old") == {2: 0.7} and len(label_studio.predictions) == 1


def test_a_project_that_shows_all_predictions_goes_on_showing_them(project, label_studio):
    client = project(2, old={1: 0.7}, new={1: 0.9})
    with pytest.raises(LabelStudioError, match="shows the predictions of all versions; choose one"):
        push_scores(client, {1: 0.0, 2: 0.5})
    assert len(label_studio.predictions) == 2 and label_studio.model_version == ""


@pytest.mark.parametrize("shown", ["", "new"])
def test_a_task_that_somebody_has_labelled_by_now_is_passed_over(shown, project, label_studio):
    client = project(3, shown=shown, **({"new": {1: 0.9, 3: 0.8}} if shown else {}))
    label_studio.tasks[1]["total_annotations"] = 1  # before push could give it a prediction
    version = shown or RANKING
    assert push_scores(client, {1: 0.0, 2: 0.3, 3: 0.6}) == PushedScores(version, 2, 1, [])
    assert scores(label_studio, version) == {1: 0.0, 3: 0.6}
    label_studio.tasks[0]["total_annotations"] = label_studio.tasks[2]["cancelled_annotations"] = 1
    assert push_scores(client, {1: 0.0, 2: 0.3, 3: 0.6}) == PushedScores(version, 0, 3, [])


def test_a_request_that_the_server_takes_later_doubles_nothing(project, label_studio):
    client = project(3)
    label_studio.faults["/api/projects/1/import/predictions"] = ["late", None]
    push_scores(client, {1: 0.0, 2: 0.3, 3: 0.6})
    assert label_studio.count("POST", "/api/projects/1/import") == 2  # of which the first was taken after the second
    assert sorted(one["task"] for one in label_studio.predictions) == [1, 2, 3]
    assert scores(label_studio, RANKING) == {1: 0.0, 2: 0.3, 3: 0.6}


def test_the_tasks_of_another_project_are_refused(project, label_studio):
    client = project(2, shown="new", new={1: 0.9, 2: 0.9})
    with pytest.raises(LabelStudioError, match="project 1 .Campus.: has no task 7; pull it"):
        push_scores(client, {7: 0.0, 8: 0.2, 2: 0.5})
    assert scores(label_studio, "new") == {1: 0.9, 2: 0.9}


def test_scores_that_the_server_forgets_are_noticed(project, label_studio):
    client = project(3, shown="new", new={1: 0.9, 2: 0.9, 3: 0.9})
    label_studio.refuses = {2, 3}
    with pytest.raises(LabelStudioError, match="2 scores did not stay, the first of task 2"):
        push_scores(client, {1: 0.0, 2: 0.3, 3: 0.6})
