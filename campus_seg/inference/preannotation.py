"""A model's predictions for the tasks of a Label Studio project: from the photo on the server to regions."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.structures import Instances
from tqdm import tqdm

from campus_seg.inference.paste import found_objects
from campus_seg.inference.pipeline import Pipeline
from campus_seg.inference.predictor import Predictor
from campus_seg.inference.selection import Selection
from campus_seg.label_studio.client import Client, Task
from campus_seg.label_studio.interface import ClassControls, Interface
from campus_seg.label_studio.push import BATCH, Push
from campus_seg.label_studio.results import Found, prediction_regions, prediction_score
from campus_seg.photos import PhotoError, read_photo

PHONE = 12_000_000  # pixels of a photo as phones take them: how many one has is not known before it is fetched


@dataclass
class Pushed:
    """What became of the unlabelled tasks.

    Attributes:
        there: tasks that had a prediction of this version already.
        created: predictions that were added.
        objects: in these.
        failures: id of a task -> why its photo could not be had.
    """

    there: int
    created: int = 0
    objects: int = 0
    failures: dict[int, str] = field(default_factory=dict)


class Preannotator:
    """Predicts on tasks.

    Args:
        client: the project whose photos are fetched.
        predictor: a run's model.
        selection: which of its objects count.
        run: a name for the model, for people.

    Attributes:
        model_version: the name, and a hash of what the predictions depend on: also of the controls that they name.

    Raises:
        LabelStudioError: the project has no controls for some of the model's classes.
    """

    def __init__(self, client: Client, predictor: Predictor, selection: Selection, run: str):
        selection.check(predictor.class_names)
        self._client, self._selection = client, selection
        self.predictor = predictor
        self.class_names = list(selection.classes) or predictor.class_names
        controls = self.controls(client.interface)
        self.model_version = version_of(run, predictor.made_with, selection, controls)

    def controls(self, interface: Interface) -> ClassControls:
        """Which of a project's controls take the model's classes.

        Raises:
            LabelStudioError: there are none for some of them.
        """
        return interface.for_classes(self.class_names, self._client.name)

    def photo(self, task: Task | int, interface: Interface, controls: ClassControls) -> np.ndarray:
        """The one photo of a task, (H, W, 3) uint8, BGR, upright.

        Args:
            task: from the project, or its number.
            interface: of the project.
            controls: of `controls`.

        Raises:
            PhotoError: it shows none, or several, or it cannot be read, or there is no such task.
            LabelStudioError: the server cannot be used.
        """
        if isinstance(task, int):
            task = self._client.task(task)
        if task is None:
            raise PhotoError(f"{self._client.name} has no such task")
        addresses = interface.addresses(task.data, controls.image)
        if len(addresses) != 1:
            raise PhotoError(f"shows {len(addresses) or 'no'} photos, and one is wanted")
        fetched = self._client.photo(addresses[0], task.id)
        with tempfile.NamedTemporaryFile() as file:
            file.write(fetched.content)
            file.flush()
            return read_photo(Path(file.name))

    def regions(
        self, image: np.ndarray, instances: Instances, controls: ClassControls
    ) -> tuple[list[dict[str, Any]], float]:
        """The regions of a prediction, and its score.

        Args:
            image: the photo.
            instances: what the predictor found in it.
            controls: of `controls`.
        """
        assert instances.image_size == image.shape[:2]
        return regions_of(instances, self.predictor.class_names, self._selection, controls)


def version_of(run: str, made_with: Mapping[str, Any], selection: Selection, controls: ClassControls) -> str:
    """A model's version: a name for people, and a hash of what predictions depend on.

    Args:
        run: the name.
        made_with: of the predictor.
        selection: which of its objects count.
        controls: that the predictions name.
    """
    without_engine = {name: value for name, value in made_with.items() if name != "engine"}
    drawn_with = {name: [vars(one) for one in own.values()] for name, own in controls.by_class.items()}
    text = json.dumps({**without_engine, **selection.made_with, "controls": drawn_with}, sort_keys=True)
    return f"{run} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def regions_of(
    instances: Instances, class_names: Sequence[str], selection: Selection, controls: ClassControls
) -> tuple[list[dict[str, Any]], float]:
    """The regions of a prediction, and its score.

    Args:
        instances: what a predictor found in a photo.
        class_names: of the predictor.
        selection: which of the objects count.
        controls: of their classes.
    """
    found = [
        Found(class_names[one.class_id], one.score, one.region.mask, one.region.x, one.region.y)
        for one in found_objects(selection.of(instances, class_names))
        if one.region.area >= selection.min_area
    ]
    height, width = instances.image_size
    return prediction_regions(found, width, height, controls), prediction_score(one.score for one in found)


def push_predictions(client: Client, annotator: Preannotator, *, replace: bool = False) -> Pushed:
    """Gives every unlabelled task of a project a prediction, and shows them to people.

    Predictions are sent as they come, so a command that was stopped goes on with the tasks that are left.

    Args:
        client: the project.
        annotator: what predicts.
        replace: remove this version's predictions first.

    Raises:
        LabelStudioError: the project or the server cannot be used.
    """
    interface = client.interface
    controls = annotator.controls(interface)
    push = Push(client, annotator.model_version)
    if replace:
        push.remove()
    unlabelled = [task for task in client.tasks() if task.unlabelled]
    tasks = push.left(unlabelled)
    pushed = Pushed(there=len(unlabelled) - len(tasks))

    def predicted(task: Task, image: np.ndarray, instances: Instances) -> dict[str, Any]:
        return push.prediction(task.id, *annotator.regions(image, instances, controls))

    pipeline = Pipeline(
        lambda task: annotator.photo(task, interface, controls),
        annotator.predictor,
        predicted,
        cost=lambda task: PHONE,
        expected=(PhotoError,),
        batch=annotator.predictor.batch,
    )
    waiting: list[dict[str, Any]] = []

    def send(predictions: Sequence[dict[str, Any]]) -> None:
        push.send(predictions)
        pushed.created += len(predictions)
        pushed.objects += sum("parentID" not in region for one in predictions for region in one["result"])

    for task, result in tqdm(pipeline.run(tasks), "predictions", len(tasks), unit="photo", disable=None):
        if isinstance(result, PhotoError):
            pushed.failures[task.id] = str(result)
            continue
        waiting.append(result)
        if len(waiting) == BATCH:
            send(waiting)
            waiting = []
    if waiting:
        send(waiting)
    push.finish(task.id for task in unlabelled if task.id not in pushed.failures)
    return pushed
