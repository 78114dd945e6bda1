"""A project of drawn photos on a real Label Studio server, with whatever people make of photos there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from drawn import COLORS
from labelled_photos import INTERFACE, KINDS, NOTHING, Drawing, Drawn, scene, six_shapes, stored
from preannotated import STORED
from real_label_studio import Server

ODD = "Süd_photo_1_0.jpg"  # a name that the server percent-encodes
EMPTY, SKIPPED, TWICE, PARTS = "empty.jpg", "skipped.jpg", "twice.jpg", "parts.jpg"
# Of each region in parts.jpg its kind, its class, and whether it stands below the one before in the outliner: two
# objects of two parts each, and two objects of one part.
IN_PARTS = [
    *[("polygon", "car", False), ("polygon", "car", True), ("polygon", "dog", False), ("brush", "dog", True)],
    *[("polygon", "person", False), ("polygon", "car", True)],
]
Annotations = list[tuple[Drawing, dict[str, Any]]]


@dataclass
class Campus:
    """A project.

    Attributes:
        number: the server's.
        photos: name -> stored bytes.
        tasks: name -> task.
        drawn: name -> the objects that were submitted last, of each photo that counts as labelled.
        unlabelled: names of those that nobody has looked at.
    """

    number: int
    photos: dict[str, bytes]
    tasks: dict[str, int] = field(default_factory=dict)
    drawn: dict[str, list[Drawn]] = field(default_factory=dict)
    unlabelled: list[str] = field(default_factory=list)

    def arguments(self, server: Server) -> list[str]:
        """Of the command line; the token is in the environment."""
        return ["--url", server.url, "--project", str(self.number)]


def make_campus(server: Server) -> Campus:
    """Makes the project and labels it."""
    made = {name: (content, annotations) for name, content, annotations in labelled(server.add_user("other"))}
    campus = Campus(server.make_project("Campus", INTERFACE), {name: content for name, (content, _) in made.items()})
    campus.tasks = server.upload(campus.number, campus.photos)
    for name, (_, annotations) in made.items():
        if not annotations:
            campus.unlabelled.append(name)
        for drawing, options in annotations:
            server.annotate(campus.tasks[name], drawing.regions, **options)
            if not options.get("was_cancelled"):
                campus.drawn[name] = drawing.objects
    return campus


def labelled(other: int) -> Iterator[tuple[str, bytes, Annotations]]:
    """Name, content and annotations of each photo.

    Of each orientation two photos with polygons, one with a region of every kind, and one that nobody has looked at.
    Then one without objects, a skipped one, one with several annotations, and one with objects in parts.

    Args:
        other: a second annotator.
    """
    for orientation in STORED:
        for i in range(4):
            name = ODD if (orientation, i) == (1, 0) else f"photo_{orientation}_{i}.jpg"
            if i == 2:
                image, shapes = six_shapes(orientation, [*COLORS, *COLORS])
                annotations = [(Drawing.of(shapes, KINDS), {})]
            else:
                image, shapes = scene(4 * orientation + i)
                annotations = [(Drawing.of(shapes), {})] if i < 2 else []
            yield name, stored(image, orientation), annotations
    yield EMPTY, NOTHING, [(Drawing(), {})]
    image, shapes = scene(50)
    yield SKIPPED, stored(image, 1), [(Drawing.of(shapes), {"was_cancelled": True})]
    image, shapes = scene(51)
    several = [(Drawing.of(shapes[:1]), {}), (Drawing.of(shapes), {"completed_by": other})]
    yield TWICE, stored(image, 1), [*several, (Drawing.of(shapes[:1]), {"was_cancelled": True})]
    image, shapes = six_shapes(0, [label for _, label, _ in IN_PARTS])
    drawing = Drawing()
    for shape, (kind, _, below) in zip(shapes, IN_PARTS, strict=True):
        drawing.add(kind, shape, below=below)
    yield PARTS, stored(image, 6), [(drawing, {})]
