"""Predictions sent to a project, so that running it twice doubles nothing and none is lost without a word."""

from collections.abc import Iterable, Sequence
from typing import Any

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.client import Client, Prediction, Task
from campus_seg.label_studio.connection import pause

BATCH = 20  # predictions in a request: some 100 kB of polygons, or some MB of brush masks
TRIES = 3


class Push:
    """The predictions of one version of a model in a project.

    Args:
        client: the project.
        model_version: what people choose predictions by.

    Attributes:
        there: ids of the tasks that have one of this version.
    """

    def __init__(self, client: Client, model_version: str):
        self.client = client
        self.model_version = model_version
        self.there: set[int] = set()
        self.look()

    def look(self) -> None:
        """Asks the server which tasks have a prediction of this version.

        Raises:
            LabelStudioError: it does not say.
        """
        self.there = {one.task for one in self.own()}

    def remove(self) -> int:
        """Removes all predictions of this version; says how many there were."""
        own = self.own()
        for prediction in own:
            self.client.delete_prediction(prediction.id)
        self.there.clear()
        return len(own)

    def left(self, tasks: Iterable[Task]) -> list[Task]:
        """The tasks that have no prediction of this version yet."""
        return [task for task in tasks if task.id not in self.there]

    def prediction(self, task: int, regions: list[dict[str, Any]], score: float) -> dict[str, Any]:
        """A prediction as `send` takes it."""
        return {"task": task, "result": regions, "score": score, "model_version": self.model_version}

    def send(self, predictions: Sequence[dict[str, Any]]) -> None:
        """Adds some predictions, and makes sure that each arrived, and once.

        An answer that never came does not say whether the server took the request: then it is asked what it has.

        Raises:
            LabelStudioError: people could not draw them in the labelling interface as it is now, or the server left
                some out, or cannot be used.
        """
        interface = self.client.current_interface()
        for one in predictions:
            if faults := interface.faults(one["result"]):
                raise LabelStudioError(
                    f"{self.client.name}: a prediction for task {one['task']} does not fit its labelling interface "
                    f"({faults[0]}), which somebody has changed; nothing of it was sent; run the command again"
                )
        waiting = {prediction["task"]: prediction for prediction in predictions}
        for tried in range(TRIES):
            failed, created = None, 0
            try:
                created = self.client.import_predictions(list(waiting.values()))
            except LabelStudioError as error:
                if error.code is not None and error.code < 500:
                    raise
                failed = error
            if created == len(waiting):
                self.there.update(waiting)
                return
            self.look()
            waiting = {task: one for task, one in waiting.items() if task not in self.there}
            if not waiting:
                return
            if failed and tried == TRIES - 1:
                raise failed
            if not failed:
                break
            pause(tried)
        raise LabelStudioError(
            f"{self.client.name}: the server left out {len(waiting)} of {len(predictions)} predictions and does not "
            f"say why, the first for task {min(waiting)}; look at its log"
        )

    def finish(self, expected: Iterable[int]) -> None:
        """Makes sure that some tasks have their prediction, one each, and shows this version to people.

        Raises:
            LabelStudioError: one is missing.
        """
        seen: set[int] = set()
        for prediction in self.own():
            if prediction.task in seen:  # of a request that the server took in the end, and was sent again
                self.client.delete_prediction(prediction.id)
            seen.add(prediction.task)
        if missing := set(expected) - seen:
            raise LabelStudioError(
                f"{self.client.name}: {len(missing)} predictions are gone again, the first of task {min(missing)}; run "
                "the command again"
            )
        if seen:
            self.client.show_predictions(self.model_version)

    def own(self) -> list[Prediction]:
        """What the server has of this version, the oldest first."""
        own = [one for one in self.client.predictions() if one.model_version == self.model_version]
        return sorted(own, key=lambda one: one.id)
