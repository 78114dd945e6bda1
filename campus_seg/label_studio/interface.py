"""A project's labelling interface: what its tasks show, and which control takes which class.

The interface is XML that people write: https://labelstud.io/guide/setup
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campus_seg.errors import LabelStudioError

POLYGON, BRUSH = "polygonlabels", "brushlabels"
SHAPES = (POLYGON, BRUSH)  # what a mask can be, the one that people edit most easily first
WHERE = "Settings > Labeling Interface"


class InterfaceError(LabelStudioError):
    """One with which people cannot draw masks on photos."""


class MissingLabelsError(InterfaceError):
    """Classes that people could not draw.

    Attributes:
        names: of these.
    """

    def __init__(self, message: str, names: Sequence[str]):
        super().__init__(message)
        self.names = tuple(names)


@dataclass(frozen=True)
class Control:
    """One with which people draw masks of classes.

    Attributes:
        name: as results name it in `from_name`.
        shape: one of `SHAPES`; also the type of its results.
        image: the name of the photo's element, `to_name` of results.
        labels: class names as results have them.
    """

    name: str
    shape: str
    image: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Interface:
    """What matters here of a labelling interface.

    Attributes:
        images: name -> key of a task's data that holds the address of the photo, or of several.
        controls: in the order of the interface.
    """

    images: dict[str, str]
    controls: tuple[Control, ...]

    @classmethod
    def parse(cls, xml: str, source: str) -> "Interface":
        """Reads an interface.

        Args:
            xml: the project's `label_config`.
            source: whose it is, for messages.

        Raises:
            InterfaceError: it is no XML, or shows no photo.
        """
        if "<!DOCTYPE" in xml or "<!ENTITY" in xml:  # which no interface has, and bombs are made of
            raise InterfaceError(f"{source}: its labelling interface has a document type; remove that in {WHERE}")
        try:
            elements = list(ET.fromstring(xml).iter())
        except ET.ParseError as error:
            raise InterfaceError(f"{source}: its labelling interface is no XML ({error}); mend it in {WHERE}") from None
        images = {}
        for element in elements:
            key = element.get("value") or element.get("valueList") or ""
            if element.tag.lower() == "image" and element.get("name") and key.startswith("$"):
                images[element.get("name")] = key[1:]
        if not images:
            raise InterfaceError(
                f'{source}: its labelling interface shows no photo; add <Image name="image" value="$image"/> in {WHERE}'
            )
        controls = [
            Control(element.get("name"), element.tag.lower(), image, _labels(element))
            for element in elements
            for image in element.get("toName", "").split(",")
            if element.tag.lower() in SHAPES and element.get("name") and image in images
        ]
        return cls(images, tuple(controls))

    def addresses(self, data: dict[str, Any], image: str = "") -> list[str]:
        """The addresses of the photos that a task shows.

        Args:
            data: the task's.
            image: the name of the element that shows them, "" = any.
        """
        found = []
        for key in [self.images[image]] if image else self.images.values():
            value = data.get(key)
            found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]
        return list(dict.fromkeys(found))

    def for_classes(self, class_names: Sequence[str], source: str) -> "ClassControls":
        """The controls that take a model's classes, all of one photo: the first that has them all.

        Raises:
            MissingLabelsError: there are none for some of the classes.
            InterfaceError: there are none for masks.
        """
        if not self.controls:
            raise InterfaceError(
                f"{source}: its labelling interface has no control for masks; add <PolygonLabels> with the classes, "
                f"and <BrushLabels> for masks with holes, in {WHERE}"
            )
        fewest = list(class_names)
        for image in dict.fromkeys(control.image for control in self.controls):
            chosen: dict[str, dict[str, Control]] = {name: {} for name in class_names}
            for control in self.controls:
                for name in class_names:
                    if control.image == image and name in control.labels:
                        chosen[name].setdefault(control.shape, control)
            missing = [name for name in class_names if not chosen[name]]
            if not missing:
                return ClassControls(image, chosen)
            fewest = min(missing, fewest, key=len)
        raise MissingLabelsError(
            f"{source}: its labelling interface has no label {', '.join(map(repr, fewest))} to draw with; "
            f"add it to <PolygonLabels> in {WHERE}, or leave it out with --classes",
            fewest,
        )

    def faults(self, regions: Sequence[dict[str, Any]]) -> list[str]:
        """What of a prediction's regions people could not have drawn here; the server itself does not look.

        Args:
            regions: the `result` of a prediction, whose shapes are some of `SHAPES`.
        """
        found = []
        controls = {(control.name, control.shape, control.image): control for control in self.controls}
        keys = {region.get("id") for region in regions}
        if len(keys) < len(regions):
            found.append("two regions have one id")
        for region in regions:
            name, shape, value = region.get("from_name"), region.get("type"), region.get("value", {})
            control = controls.get((name, shape, region.get("to_name")))
            if control is None:
                found.append(f"there is no {shape} called {name} on {region.get('to_name')}")
                continue
            labels = value.get(shape)
            if not labels or not set(labels) <= set(control.labels):
                found.append(f"{name} has no label {labels}")
            if shape == POLYGON:
                points = value.get("points", [])
                if len(points) < 3 or not all(0 <= v <= 100 for point in points for v in point):
                    found.append(f"a polygon of {name} lies outside, or has fewer than three points")
            elif value.get("format") != "rle" or not value.get("rle"):
                found.append(f"a brush mask of {name} is none")
            if region.get("parentID", region.get("id")) not in keys:
                found.append(f"a region of {name} is below one that is not there")
        return found


@dataclass(frozen=True)
class ClassControls:
    """Which controls take the classes.

    Attributes:
        image: the name of the element that shows the photo.
        by_class: class name -> shape -> control, at least one for each class.
    """

    image: str
    by_class: dict[str, dict[str, Control]]


def _labels(control: ET.Element) -> tuple[str, ...]:
    """The labels of a control as its results have them: by their alias, where they have one."""
    labels = [element for element in control.iter() if element.tag.lower() == "label"]
    names = [(label.get("alias") or label.get("value") or "").strip() for label in labels]
    return tuple(name for name in names if name)
