"""The order of tasks as scores in a project, which is stood in for by what it keeps."""

import pytest

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.client import Prediction, Task
from campus_seg.label_studio.interface import Interface
from campus_seg.label_studio.scores import RANKING, push_scores


class Project:
    """As much of a `Client` as scores need."""

    name = "project 1"
    interface = Interface({"image": "image"}, ())

    def __init__(self, tasks, shown="", **predictions):
        self._tasks = [Task(number, {}) for number in tasks]
        self.shown = shown
        self.kept = {}
        self.sent = []
        self.changed = []
        for version, scores in predictions.items():
            for task, score in scores.items():
                self._add(task, score, version)

    def _add(self, task, score, version):
        number = len(self.kept) + 1
        self.kept[number] = Prediction(number, task, version, score)

    def tasks(self):
        return self._tasks

    def predictions(self):
        return list(self.kept.values())

    def shown_version(self):
        return self.shown

    def show_predictions(self, version):
        assert any(one.model_version == version for one in self.kept.values())
        self.shown = version

    def import_predictions(self, predictions):
        self.sent += predictions
        for one in predictions:
            self._add(one["task"], one["score"], one["model_version"])
        return len(predictions)

    def score_prediction(self, number, score):
        self.changed.append(number)
        old = self.kept[number]
        self.kept[number] = Prediction(old.id, old.task, old.model_version, score)

    def scores(self, version):
        return {one.task: one.score for one in self.kept.values() if one.model_version == version}


def test_the_predictions_that_people_see_get_the_scores():
    project = Project([1, 2, 3, 4], shown="new", old={1: 0.7, 2: 0.7}, new={1: 0.9, 2: 0.8, 3: 0.5, 4: 0.4})
    assert push_scores(project, {3: 0.0, 1: 0.25, 2: 0.5}) == "new"
    assert project.scores("new") == {3: 0.0, 1: 0.25, 2: 0.5, 4: 0.4}
    assert project.scores("old") == {1: 0.7, 2: 0.7}
    assert not project.sent and project.shown == "new"


def test_a_project_without_predictions_gets_some_without_regions():
    project = Project(range(1, 51))
    scores = {task: (task - 1) / 50 for task in range(1, 51)}
    assert push_scores(project, scores) == RANKING
    assert project.scores(RANKING) == scores and project.shown == RANKING
    assert len(project.sent) == 50 and all(one["result"] == [] for one in project.sent)


def test_a_second_time_changes_only_what_differs_and_doubles_nothing():
    project = Project([1, 2, 3])
    push_scores(project, {1: 0.0, 2: 0.5})
    push_scores(project, {1: 0.0, 2: 0.5})
    assert len(project.kept) == 2 and not project.changed
    push_scores(project, {2: 0.0, 3: 0.5})  # 1 is labelled by now, 3 is new
    assert project.scores(RANKING) == {1: 0.0, 2: 0.0, 3: 0.5} and len(project.changed) == 1


def test_tasks_without_the_prediction_that_the_project_shows_are_named():
    project = Project([1, 2, 3], shown="new", new={1: 0.9}, old={2: 0.7})
    with pytest.raises(
        LabelStudioError, match="predictions of 'new', which 2 of the ranked tasks lack, the first is task 2"
    ):
        push_scores(project, {1: 0.0, 2: 0.5, 3: 0.7})
    assert project.scores("new") == {1: 0.9} and not project.sent


def test_the_tasks_of_another_project_are_refused():
    project = Project([1, 2], shown="new", new={1: 0.9, 2: 0.9})
    with pytest.raises(LabelStudioError, match="project 1: has no task 7; pull it"):
        push_scores(project, {7: 0.0, 8: 0.2, 2: 0.5})
    assert not project.changed


def test_scores_that_the_server_forgets_are_noticed():
    project = Project([1, 2], shown="new", new={1: 0.9, 2: 0.9})
    project.score_prediction = lambda number, score: None
    with pytest.raises(LabelStudioError, match="2 scores did not stay, the first of task 1"):
        push_scores(project, {1: 0.0, 2: 0.5})
