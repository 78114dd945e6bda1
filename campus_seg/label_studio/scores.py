"""The order in which tasks are best labelled, kept in a project as the scores of its predictions."""

from collections.abc import Mapping
from typing import NamedTuple

from tqdm import tqdm

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.client import Client, Prediction
from campus_seg.label_studio.push import BATCH, Push

RANKING = "ranking"  # the version of predictions that predict nothing, in a project that shows no others
CLOSE = 1e-6  # of scores: the server keeps them as they are


class PushedScores(NamedTuple):
    """What became of the scores.

    Attributes:
        version: of the predictions that have them.
        scored: how many.
        labelled: tasks that somebody has labelled by now, which need none.
        without: ids of tasks that have no prediction of that version.
    """

    version: str
    scored: int
    labelled: int
    without: list[int]


def push_scores(client: Client, scores: Mapping[int, float]) -> PushedScores:
    """Gives unlabelled tasks a score, by which the Data Manager can sort and uncertainty sampling chooses, the lowest
    first.

    It is that of the prediction which the project shows, so that people go on seeing what they saw. Where it has none
    yet, the tasks get predictions without regions. Scores that are right already are left alone, so a command that was
    stopped goes on where it was.

    Args:
        client: the project.
        scores: id of a task -> its score, of any of the project's tasks.

    Raises:
        LabelStudioError: a task is not the project's, or none has a prediction of the version that it shows, or it
            shows several, or the server cannot be used.
    """
    tasks = {task.id: task for task in client.tasks()}
    if strange := scores.keys() - tasks.keys():
        raise LabelStudioError(f"{client.name}: has no task {min(strange)}; pull it, and rank what was pulled")
    ranked = len(scores)
    scores = {task: score for task, score in scores.items() if tasks[task].unlabelled}
    labelled = ranked - len(scores)
    version = client.shown_version()
    if not version and any(one.model_version != RANKING for one in client.predictions()):
        raise LabelStudioError(
            f"{client.name}: shows the predictions of all versions; choose one in Settings > Annotation, or push a "
            "model's"
        )
    push = Push(client, version or RANKING)
    without = sorted(scores.keys() - push.there)
    if push.model_version == RANKING:
        for first in range(0, len(without), BATCH):
            push.send([push.prediction(task, [], scores[task]) for task in without[first : first + BATCH]])
        push.finish(scores)
        without = []
    elif without and len(without) == len(scores):
        raise LabelStudioError(
            f"{client.name}: shows the predictions of {version!r}, of which none of the ranked tasks has one; push a "
            "model's predictions first, or choose other ones in Settings > Annotation"
        )
    scores = {task: score for task, score in scores.items() if task not in without}
    wrong = [one for task, one in _scored(push).items() if task in scores and not _is(one, scores[task])]
    for one in tqdm(sorted(wrong, key=lambda one: one.id), "scores", unit="task", disable=None):
        client.score_prediction(one.id, scores[one.task])
    left = {task for task, one in _scored(push).items() if task in scores and _is(one, scores[task])}
    if lost := scores.keys() - left:
        raise LabelStudioError(
            f"{client.name}: {len(lost)} scores did not stay, the first of task {min(lost)}; run the command again"
        )
    return PushedScores(push.model_version, len(scores), labelled, without)


def _scored(push: Push) -> dict[int, Prediction]:
    """Task -> its prediction that has the score: of several of the version the one that `Push.finish` leaves."""
    return {one.task: one for one in reversed(push.own())}


def _is(prediction: Prediction, score: float) -> bool:
    return prediction.score is not None and abs(prediction.score - score) < CLOSE
