"""Photos of the page, each with what the model finds in it, brought to a Label Studio project by a click.

A click that failed halfway can be made again: it goes on from what is there. A photo that a page has sent is known by
its content, so neither another visitor's click doubles it, nor one after this server was started anew. What is not
known: photos that came to the project in another way; uploads of other pages that are under way; and those that a
server takes after `UNSURE`, or after this one was started anew.
"""

import argparse
import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from detectron2.structures import Instances

from campus_seg.config import run_name
from campus_seg.errors import CampusError, LabelStudioError
from campus_seg.inference.preannotation import regions_of, version_of
from campus_seg.inference.selection import Selection
from campus_seg.label_studio.answers import AddressError, OddError
from campus_seg.label_studio.client import Client, connect
from campus_seg.label_studio.interface import InterfaceError, MissingLabelsError
from campus_seg.label_studio.multipart import SlowLineError
from campus_seg.label_studio.uploads import add_prediction, find_upload, upload_photo
from campus_seg.photos import PhotoError
from campus_seg.web.sendable import SendablePhoto, sendable

UNSURE = 60.0  # seconds after which a server that said nothing of a photo will hardly take it any more
LOOKS, LOOK_EVERY = 3, 1.0  # for a task that is made later; seconds
logger = logging.getLogger(__name__)

SILENT = "Label Studio does not answer."
KEEPER = "Please tell whoever runs this page."
LATER = "Please try again later."
ODD = f"Label Studio does not answer as it should. {KEEPER}"
# To people who see a photo's task by its link, and not what the project shows to those who label one after another.
CHOOSE = "choose “{}” in its settings (Annotation)."
OTHERS = f"Who labels the project sees predictions of another version: to change that, {CHOOSE}"
MAYBE = f"If who labels the project does not see them, {CHOOSE}"
REASONS = {
    400: f"Label Studio does not take it as it is. {KEEPER}",
    401: f"Label Studio does not let this page in. {KEEPER}",
    403: f"Label Studio does not let this page in. {KEEPER}",
    404: f"Its Label Studio project is no longer there. {KEEPER}",
    413: "It is too large for Label Studio.",
    429: f"Label Studio is busy just now. {LATER}",
}


class SendError(CampusError):
    """What was not sent, or not wholly; the message is for people who know nothing of this server."""


class Sent(NamedTuple):
    """What became of a click.

    Attributes:
        text: in plain words.
        link: the address of the photo's task.
    """

    text: str
    link: str


class Predicted(Protocol):
    """What is sent; see `campus_seg.web.results.Result`."""

    name: str
    content: bytes
    instances: Instances


class Model(Protocol):
    """What predicted it; see `campus_seg.inference.predictor.Predictor`."""

    class_names: Sequence[str]

    def made_with_above(self, least: float) -> dict[str, Any]:
        """What its results from a score on depend on."""


class Sender:
    """Sends photos to a project; several threads may.

    Its predictions have the version that `tools/label_studio.py push` gives the same objects of the same model.

    Args:
        client: the project, hurried.
        model: what predicted.
        run: a name for it, for people.

    Attributes:
        name: of the project, for people.
    """

    def __init__(self, client: Client, model: Model, run: str):
        self._client, self._model, self._run = client, model, run
        self.name = client.name
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._unsure: dict[str, float] = {}  # mark of a photo that may still arrive -> until when

    def send(self, result: Predicted, threshold: float, class_ids: Sequence[int]) -> Sent:
        """Brings a photo and its prediction to the project, as far as they are not there.

        Args:
            result: the photo, and what the model found in it.
            threshold: the least score of objects that count.
            class_ids: their classes.

        Raises:
            SendError: not all of it is there, in plain words.
        """
        names = [self._model.class_names[number] for number in sorted(set(class_ids))]
        if not names:
            raise SendError("No class is switched on. Switch one on, and send again.")
        every = len(names) == len(self._model.class_names)
        try:
            photo = sendable(result.name, result.content)
        except PhotoError as error:
            logger.warning("a photo for Label Studio: %s", error)
            raise SendError("This photo cannot be brought into a form that Label Studio shows.") from None
        with self._alone(photo.mark):
            try:
                return self._bring(photo, result.instances, Selection(threshold, classes=() if every else tuple(names)))
            except MissingLabelsError as error:
                raise SendError(_missing(error.names)) from None
            except LabelStudioError as error:
                raise SendError(f"Nothing was sent. {_reason(error)}") from None

    def _bring(self, photo: SendablePhoto, instances: Instances, selection: Selection) -> Sent:
        client, class_names = self._client, self._model.class_names
        interface = client.current_interface()
        controls = interface.for_classes(selection.classes or class_names, client.name)
        version = version_of(self._run, self._model.made_with_above(selection.least), selection, controls)
        regions, score = regions_of(instances, class_names, selection, controls)
        count = sum("parentID" not in region for region in regions)
        task, there = self._task(photo)
        prediction = {"task": task, "result": regions, "score": score, "model_version": version}
        try:
            added, others = self._predict(prediction)
        except LabelStudioError as error:
            again = " Send again to add it; the photo will not be there twice." if _passes(error) else ""
            reason = _reason(error)
            raise SendError(f"The photo is in Label Studio, but not what was found in it. {reason}{again}") from None
        shown = self._show(prediction)
        link = f"{client.connection.url}/projects/{client.project}/data?task={task}"
        found = f"{count or 'no'} {'object' if count == 1 else 'objects'}"
        if not added:
            return Sent(f"It is in Label Studio already, with {found}.{shown}", link)
        if there and others:
            text = f"The photo was in Label Studio already. Now it has a prediction with {found}, too.{shown}"
            return Sent(text, link)
        return Sent(f"Sent to Label Studio, with {found}.{shown}", link)

    def _task(self, photo: SendablePhoto) -> tuple[int, bool]:
        """The number of the photo's task, which is made where there is none, and whether it was there."""
        if task := find_upload(self._client, photo.mark):
            return task.id, True
        if self._may_still_come(photo.mark):
            raise SendError("Label Studio has not said yet whether it took this photo. Please try again in a minute.")
        number, failed = None, None
        try:
            number = upload_photo(self._client, photo.name, photo.content, photo.media_type)
        except LabelStudioError as error:
            if not _unclear(error):
                raise
            failed = error
        if number is not None:
            return number, False
        with self._lock:
            self._unsure[photo.mark] = time.monotonic() + UNSURE
        try:
            for look in range(LOOKS):
                if look:
                    time.sleep(LOOK_EVERY)
                if task := find_upload(self._client, photo.mark):
                    return task.id, False
        except LabelStudioError as error:
            failed = failed or error
        logger.warning("Label Studio: %s", failed or "makes no task of a photo that it has taken")
        raise SendError("Label Studio does not say whether it has taken this photo. Please try again in a minute.")

    def _predict(self, prediction: dict[str, Any]) -> tuple[bool, bool]:
        """Whether the prediction was missing, and whether there were others; now it is there."""
        before = self._client.predictions(prediction["task"])
        missing = all(one.model_version != prediction["model_version"] for one in before)
        if missing:
            try:
                add_prediction(self._client, prediction)
            except LabelStudioError as error:
                if not _unclear(error) or not self._own(prediction):
                    raise
        return missing, bool(before)

    def _own(self, prediction: dict[str, Any]) -> list[int]:
        """The numbers of the predictions that there are of a version of a task, the oldest first."""
        there = self._client.predictions(prediction["task"])
        return sorted(one.id for one in there if one.model_version == prediction["model_version"])

    def _show(self, prediction: dict[str, Any]) -> str:
        """Has a prediction shown to who labels, where nobody has chosen another version; else what to do for it."""
        client, version = self._client, prediction["model_version"]
        try:
            for double in self._own(prediction)[1:]:  # of an earlier click, which the server took in the end
                client.delete_prediction(double)
            shown = client.shown_version()
            if not shown:
                client.show_predictions(version)
            elif shown != version:  # it stays: all other tasks show it, too
                return f" {OTHERS.format(version)}"
        except LabelStudioError as error:  # it is there all the same
            logger.warning("Label Studio: %s", error)
            return f" {MAYBE.format(version)}"
        return ""

    @contextlib.contextmanager
    def _alone(self, mark: str) -> Iterator[None]:
        """Of one photo, one click at a time."""
        with self._lock:
            if mark in self._under_way:
                raise SendError("This photo is on its way to Label Studio already.")
            self._under_way.add(mark)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(mark)

    def _may_still_come(self, mark: str) -> bool:
        now = time.monotonic()
        with self._lock:
            self._unsure = {other: until for other, until in self._unsure.items() if until > now}
            return mark in self._unsure


def connected_sender(args: argparse.Namespace, model: Model) -> Sender | None:
    """The sender that a command's arguments mean; None where they name no project.

    Args:
        args: with `config_file` and those of `add_server_arguments`.
        model: what predicts.

    Raises:
        ConfigError: no server or no token is given.
        LabelStudioError: the project cannot be used.
    """
    if args.project is None:
        return None
    client = connect(args, hurried=True)
    try:
        client.interface.for_classes(model.class_names, client.name)
    except MissingLabelsError as error:  # photos go there once these classes are switched off
        logger.warning("%s", error)
    return Sender(client, model, run_name(args.config_file))


def _missing(names: Sequence[str]) -> str:
    label, them = ("label", "it") if len(names) == 1 else ("labels", "them")
    way_out = f"Switch {them} off here and send again, or add {them} there."
    return f"Nothing was sent. The Label Studio project has no {label} {', '.join(names)}. {way_out}"


def _reason(error: LabelStudioError) -> str:
    """Why, for people; the log of the server has the rest."""
    logger.warning("Label Studio: %s", error)
    if isinstance(error, InterfaceError):
        return f"People cannot draw outlines in this Label Studio project. {KEEPER}"
    if isinstance(error, SlowLineError):
        return "The line to Label Studio is too slow for this photo."
    if isinstance(error, OddError | AddressError):
        return ODD
    if error.code is None:
        return f"{SILENT} {LATER}"
    if error.code >= 500:
        return f"Label Studio has a fault just now. {LATER}"
    return REASONS.get(error.code, ODD)


def _passes(error: LabelStudioError) -> bool:
    """Whether it may go well when it is tried again."""
    if isinstance(error, InterfaceError | OddError | AddressError):
        return False
    return error.code is None or error.code >= 500 or error.code == 429


def _unclear(error: LabelStudioError) -> bool:
    """Whether the server may have done what it was asked for."""
    return not isinstance(error, SlowLineError) and (error.code is None or error.code >= 500)
