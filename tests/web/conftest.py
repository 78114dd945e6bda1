"""A sender of photos to a Label Studio that fails as it is told to."""

from types import SimpleNamespace

import pytest
from clicks import CAR, Seeing
from fake_label_studio import TOKEN
from preannotated import BOX, CARS, photo

from campus_seg.label_studio.client import Client
from campus_seg.label_studio.connection import Connection
from campus_seg.photos import read_photo_bytes


@pytest.fixture
def model():
    return Seeing()


@pytest.fixture
def sender(label_studio, model, monkeypatch):
    label_studio.interface = CARS
    from campus_seg.web import sending
    from campus_seg.web.sending import Sender

    monkeypatch.setattr(sending, "LOOK_EVERY", 0.01)
    return Sender(Client(Connection(label_studio.url, TOKEN, timeout=2, hurried=True), 1), model, "campus")


@pytest.fixture
def seen(model):
    """What the model finds in a photo."""

    def seen(content=None, name="bench & car.png"):
        content = content or photo(BOX, CAR, classes=[0, 1])
        return SimpleNamespace(name=name, content=content, instances=model.look(read_photo_bytes(content)))

    return seen
