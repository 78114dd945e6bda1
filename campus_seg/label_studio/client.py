"""A Label Studio project over the server's API (https://api.labelstud.io): its tasks, photos and predictions."""

import argparse
import base64
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.account import HURRY, TIMEOUT, find_token, server_address
from campus_seg.label_studio.answers import AddressError, Bounds, CutShortError
from campus_seg.label_studio.connection import Connection
from campus_seg.label_studio.interface import Interface
from campus_seg.photos import PhotoError, photo_size

PAGE = 500  # tasks that are asked for at once
PATIENT = 5.0  # times the timeout, that the server may take to put all of a project into one answer
# Photos may come from anybody's server. 1 GB is more than any camera writes; the time is for slow lines.
PHOTO_SIZE = 10**9  # bytes
PHOTO_TIME = 15.0  # times the timeout
OF_ALL = (None, 401, 429, 502, 503, 504)  # what the server answers whatever photo it is asked for, and no answer


class Task(msgspec.Struct, frozen=True):
    """A task: a photo to be labelled.

    Attributes:
        id: the server's.
        data: what it shows, by the keys that the labelling interface names.
        total_annotations: submitted ones.
        cancelled_annotations: how often it was skipped.
    """

    id: int
    data: dict[str, Any]
    total_annotations: int = 0
    cancelled_annotations: int = 0

    @property
    def unlabelled(self) -> bool:
        """Whether nobody has labelled or skipped it."""
        return not self.total_annotations and not self.cancelled_annotations


class Prediction(msgspec.Struct, frozen=True):
    """A prediction, without what it predicts."""

    id: int
    task: int
    model_version: str | None = None
    score: float | None = None


class Fetched(NamedTuple):
    """A photo's bytes, and when it was last changed in seconds since 1970, where its server says so."""

    content: bytes
    modified: float | None


class _ProjectAnswer(msgspec.Struct):
    id: int
    label_config: str
    title: str = ""
    model_version: str | None = None


class _TaskPage(msgspec.Struct):
    tasks: list[Task]
    total: int


class _Created(msgspec.Struct):
    created: int


class Client:
    """One project on a server.

    Args:
        connection: to the server.
        project: the project's number.

    Attributes:
        name: of the project, for messages.
        interface: its labelling interface, as it was when this was made.

    Raises:
        LabelStudioError: the server cannot be used, or has no such project, or it shows no photos.
    """

    def __init__(self, connection: Connection, project: int):
        self.connection = connection
        self.project = project
        self._path = f"/api/projects/{project}"
        self.name = f"project {project}"
        try:
            answer = self._settings()
        except LabelStudioError as error:
            if error.code == 404:
                message = f"{connection.url}: has no project {project}, or not for you; give another --project"
                raise LabelStudioError(f"{message} (its number stands in the project's address)", 404) from None
            raise
        title = "".join(letter if letter.isprintable() else "?" for letter in answer.title)
        self.name = f"project {project} ({title})" if title else self.name
        self.interface = Interface.parse(answer.label_config, self.name)

    def _settings(self) -> _ProjectAnswer:
        return self.connection.value("GET", f"{self._path}/", _ProjectAnswer)

    def export(self) -> bytes:
        """All tasks with their annotations, in Label Studio's own JSON.

        As long as the project is large, and from a server that was chosen with --url; so nothing bounds it.
        """
        query = {"exportType": "JSON", "download_all_tasks": "true"}
        return self.connection.read(f"{self._path}/export", params=query, patience=PATIENT).content

    def tasks(self) -> list[Task]:
        """All tasks, in the order of their ids."""
        found: dict[int, Task] = {}
        for page in itertools.count(1):  # of what size the server likes, at most PAGE
            query = {"project": self.project, "page": page, "page_size": PAGE, "resolve_uri": "false"}
            try:
                answer = self.connection.value("GET", "/api/tasks", _TaskPage, params=query, patience=PATIENT)
            except LabelStudioError as error:
                if error.code == 404 and page > 1:  # behind the last one, where tasks were removed meanwhile
                    break
                raise
            before = len(found)
            found.update({task.id: task for task in answer.tasks})
            if len(found) == before or len(found) >= answer.total:
                break
        return [found[key] for key in sorted(found)]

    def task(self, number: int) -> Task | None:
        """One of the project's tasks; None where it has no such one.

        By a filter of the list: who asks for a task by its own address starts a connected model on it.
        """
        tasks = self.filtered("id", "equal", "Number", number, 1)
        return tasks[0] if tasks and tasks[0].id == number else None

    def filtered(self, column: str, operator: str, kind: str, value: Any, most: int) -> list[Task]:
        """The first tasks of those that a filter of the server's own list leaves.

        Args:
            column: of that list, such as "file_upload".
            operator: of the filter, such as "contains".
            kind: of the column, such as "String".
            value: to compare with.
            most: tasks that are wanted.
        """
        wanted = {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
        query = json.dumps({"filters": {"conjunction": "and", "items": [wanted]}})
        params = {"project": self.project, "page_size": most, "resolve_uri": "false", "query": query}
        return self.connection.value("GET", "/api/tasks", _TaskPage, params=params).tasks

    def current_interface(self) -> Interface:
        """The labelling interface as it is now, which people may have changed meanwhile.

        Raises:
            LabelStudioError: it shows no photo, or the server cannot be used.
        """
        return Interface.parse(self._settings().label_config, self.name)

    def predictions(self, task: int | None = None) -> list[Prediction]:
        """All predictions of the project, or of one task."""
        query = {"project": self.project, **({} if task is None else {"task": task})}
        patience = PATIENT if task is None else 1.0
        return self.connection.value("GET", "/api/predictions/", list[Prediction], params=query, patience=patience)

    def import_predictions(self, predictions: Sequence[dict[str, Any]]) -> int:
        """Adds predictions and says how many the server has created; it leaves out what it does not like.

        Args:
            predictions: each with `task`, `result`, `score` and `model_version`.
        """
        return self.connection.value("POST", f"{self._path}/import/predictions", _Created, json=predictions).created

    def delete_prediction(self, prediction: int) -> None:
        """Removes one prediction; one that is gone already, as of a request that was tried again, is no fault."""
        try:
            self.connection.send("DELETE", f"/api/predictions/{prediction}/")
        except LabelStudioError as error:
            if error.code != 404:
                raise

    def score_prediction(self, prediction: int, score: float) -> None:
        """Gives one prediction another score."""
        self.connection.value("PATCH", f"/api/predictions/{prediction}/", Prediction, json={"score": score})

    def shown_version(self) -> str:
        """The version whose predictions people see; "" where none was chosen."""
        return self._settings().model_version or ""

    def show_predictions(self, model_version: str) -> None:
        """Chooses the version whose predictions people see; there has to be one of it."""
        self.connection.value("PATCH", f"{self._path}/", _ProjectAnswer, json={"model_version": model_version})

    def photo(
        self, address: str, task: int, *, modified: float | None = None, size: int | None = None
    ) -> Fetched | None:
        """A photo, of any server; None where it is still what the caller has, if that has one.

        Args:
            address: as the task has it.
            task: its id.
            modified: when the caller's copy was last changed, in seconds since 1970.
            size: bytes of the caller's copy.

        Raises:
            PhotoError: this photo cannot be had.
            LabelStudioError: no photo of the project can.
        """
        path = self._photo_path(address, task)
        headers = {} if modified is None else {"If-Modified-Since": formatdate(modified, usegmt=True)}

        def unchanged(response: requests.Response) -> bool:
            same_size = size is not None and response.headers.get("Content-Length") == str(size)
            return response.status_code == 304 or (same_size and _modified(response.headers) in (None, modified))

        unless = None if modified is None and size is None else unchanged
        bounds = Bounds(PHOTO_SIZE, PHOTO_TIME * self.connection.timeout)
        try:
            answer = self.connection.read(path, headers=headers, unless=unless, bounds=bounds)
        except (AddressError, CutShortError) as error:
            raise PhotoError(str(error)) from None
        except LabelStudioError as error:
            if error.code in OF_ALL:
                raise
            raise PhotoError(str(error)) from None
        if answer.content is None:
            return None
        photo_size(io.BytesIO(answer.content))  # some servers answer with a page that says sorry
        return Fetched(answer.content, _modified(answer.headers))

    def _photo_path(self, address: str, task: int) -> str:
        """Where to ask for a photo: a path of this server, or an address of another."""
        scheme, separator, _ = address.partition("://")
        if separator and scheme.lower() not in ("http", "https"):  # of a bucket, which the server alone can open
            key = base64.urlsafe_b64encode(address.encode()).decode()
            return f"/tasks/{task}/resolve/?fileuri={key}"
        if separator:
            if not self.connection.is_own(address):
                return address
            address = urlsplit(address)._replace(scheme="", netloc="").geturl() or "/"
        elif not address.startswith("/"):
            raise PhotoError(f"{address[:100]} is no address that can be fetched")
        below = urlsplit(self.connection.url).path
        return address.removeprefix(below) if address.startswith(f"{below}/") else address


def connect(args: argparse.Namespace, *, hurried: bool = False) -> Client:
    """The project that a command's arguments mean; what is wrong with them or it is found before any other work.

    Args:
        args: with those of `add_server_arguments`.
        hurried: see `Connection`.

    Raises:
        ConfigError: no server or no token is given.
        LabelStudioError: as of `Client`.
    """
    url, token = server_address(args.url), find_token(args.token_file)
    timeout = args.timeout or (HURRY if hurried else TIMEOUT)
    return Client(Connection(url, token, timeout=timeout, hurried=hurried), args.project)


def _modified(headers: Mapping[str, str]) -> float | None:
    header = headers.get("Last-Modified")
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except (TypeError, ValueError):
        return None
