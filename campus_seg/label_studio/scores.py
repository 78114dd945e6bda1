"""The order in which tasks are best labelled, kept in a project as the scores of its predictions."""

from collections.abc import Mapping

from tqdm import tqdm

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.client import Client, Prediction
from campus_seg.label_studio.push import BATCH, Push

RANKING = "ranking"  # the version of predictions that predict nothing, in a project that shows no others
CLOSE = 1e-6  # of scores: the server keeps them as they are


def push_scores(client: Client, scores: Mapping[int, float]) -> str:
    """Gives tasks a score, by which the Data Manager can sort and uncertainty sampling chooses, the lowest first.

    It is that of the prediction which the project shows, so that people go on seeing what they saw. Where it shows none
    yet, the tasks get predictions without regions. Scores that are right already are left alone, so a command that was
    stopped goes on where it was.

    Args:
        client: the project.
        scores: id of a task -> its score, of any of the project's tasks.

    Returns:
        The version of the predictions.

    Raises:
        LabelStudioError: a task is not the project's, or has no prediction of the version that it shows, or the server
            cannot be used.
    """
    if strange := scores.keys() - {task.id for task in client.tasks()}:
        raise LabelStudioError(f"{client.name}: has no task {min(strange)}; pull it, and rank what was pulled")
    version = client.shown_version() or RANKING
    shown = _shown(client, version)
    without = sorted(scores.keys() - shown.keys())
    if without and version != RANKING:
        raise LabelStudioError(
            f"{client.name}: shows the predictions of {version!r}, which {len(without)} of the ranked tasks lack, the "
            f"first is task {without[0]}; push that model's predictions first"
        )
    push = Push(client, RANKING)
    for first in range(0, len(without), BATCH):
        push.send([push.prediction(task, [], scores[task]) for task in without[first : first + BATCH]])
    wrong = [one for task, one in shown.items() if task in scores and not _is(one, scores[task])]
    for one in tqdm(wrong, "scores", unit="task", disable=None):
        client.score_prediction(one.id, scores[one.task])
    left = {task for task, one in _shown(client, version).items() if task in scores and _is(one, scores[task])}
    if lost := scores.keys() - left:
        raise LabelStudioError(
            f"{client.name}: {len(lost)} scores did not stay, the first of task {min(lost)}; run the command again"
        )
    client.show_predictions(version)
    return version


def _shown(client: Client, version: str) -> dict[int, Prediction]:
    """Task -> its newest prediction of a version."""
    predictions = sorted(client.predictions(), key=lambda one: one.id)
    return {one.task: one for one in predictions if one.model_version == version}


def _is(prediction: Prediction, score: float) -> bool:
    return prediction.score is not None and abs(prediction.score - score) < CLOSE
