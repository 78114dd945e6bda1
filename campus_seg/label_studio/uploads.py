"""One photo and one prediction brought to a project, with no answer of the server that grows with the project."""

from typing import Any

import msgspec

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.client import Client, Prediction, Task

FEW = 5  # tasks of one photo


class _Uploaded(msgspec.Struct):
    task_ids: list[int] = []


def upload_photo(client: Client, name: str, content: bytes, media_type: str) -> int | None:
    """Makes a task of a photo, by Label Studio's file import.

    Args:
        client: the project.
        name: of the file; by its ending the server tells what it is. It puts a prefix of its own before it.
        content: its bytes.
        media_type: such as "image/jpeg".

    Returns:
        The task's number; None where the server makes it later, as its other editions do.

    Raises:
        LabelStudioError: it refuses, or cannot be used, or does not say whether it took the photo.
    """
    query = {"commit_to_project": "true", "return_task_ids": "true"}
    path, file = f"/api/projects/{client.project}/import", (name, content, media_type)
    tasks = client.connection.value("POST", path, _Uploaded, params=query, file=file).task_ids
    return tasks[0] if tasks else None


def find_upload(client: Client, end: str) -> Task | None:
    """The oldest task whose photo was uploaded under a name with this end; None where there is none.

    Args:
        client: the project.
        end: which addresses hold as it is, such as "-0123.png".

    Raises:
        LabelStudioError: the server cannot be used.
    """
    found = client.filtered("file_upload", "contains", "String", end, FEW)
    found = [task for task in found if any(str(value).endswith(end) for value in task.data.values())]
    return min(found, key=lambda task: task.id, default=None)


def add_prediction(client: Client, prediction: dict[str, Any]) -> None:
    """Adds one prediction.

    Not by the import of predictions, for which Label Studio 1.23 counts anew what each task of the project has.

    Args:
        client: the project.
        prediction: with `task`, `result`, `score` and `model_version`.

    Raises:
        LabelStudioError: the server refuses, or cannot be used, or does not say whether it took it.
    """
    body = {**prediction, "project": client.project}
    added = client.connection.value("POST", "/api/predictions/", Prediction, json=body)
    if added.task != prediction["task"]:
        raise LabelStudioError(f"{client.name}: a prediction for task {prediction['task']} went to task {added.task}")
