"""The photos of a report: small, with labels and detections drawn on them, and not more than the page has room for."""

import base64
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from campus_seg.errors import CampusError
from campus_seg.evaluation.matching import NONE, Pairing, PhotoMatches
from campus_seg.evaluation.pictures import Picture
from campus_seg.inference.labelled import annotation_mask, draw_objects, shrunk
from campus_seg.photos import PhotoError, read_photo

logger = logging.getLogger(__name__)

SIDE = 440  # pixels: the longest side of a photo
QUALITY = 78
MARK = (0, 255, 255), (0, 0, 0)  # of a place to look at: BGR of the line, and of what sets it off
WORKERS = 2


class Album:
    """The photos of a page, as long as there is room for them.

    Attributes:
        left: bytes.
        without: how many found no room.
        unread: how many could not be drawn.
    """

    def __init__(self, room: int):
        """Called with the bytes that there are."""
        self.left = room
        self.without = self.unread = 0

    def add(self, draws: Iterable[Callable[[], Sequence[tuple[np.ndarray, str]]]]) -> list[tuple[Picture, ...]]:
        """Draws photos, two at a time, the first first.

        Args:
            draws: give the pictures of a photo, (H, W, 3) uint8, BGR, each with what it shows.

        Returns:
            Those of each photo; none where it cannot be read, or there is no room left for all of them.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            return [self._place(pictures) for pictures in pool.map(self._draw, draws)]

    def _draw(self, draw: Callable[[], Sequence[tuple[np.ndarray, str]]]) -> tuple[Picture, ...] | None:
        if self.left <= 0:
            return ()
        try:
            return tuple(_jpeg(image, alt) for image, alt in draw())
        except (PhotoError, CampusError) as error:
            logger.warning(f"The report goes without a photo: {error}")
            return None

    def _place(self, pictures: tuple[Picture, ...] | None) -> tuple[Picture, ...]:
        if pictures is None:
            self.unread += 1
            return ()
        size = sum(len(picture.uri) for picture in pictures)
        if size > self.left or not pictures:
            self.left = 0  # no smaller one slips in where a larger one before it could not
            self.without += 1
            return ()
        self.left -= size
        return pictures


def _jpeg(image: np.ndarray, alt: str) -> Picture:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    content = base64.b64encode(encoded.tobytes()).decode("ascii")
    return Picture(f"data:image/jpeg;base64,{content}", alt, image.shape[1], image.shape[0])


@dataclass(frozen=True)
class Drawing:
    """How objects are drawn: class names and colours by category id."""

    names: Mapping[int, str]
    colors: Mapping[int, tuple[int, int, int]]

    def draw(
        self,
        path: Path | str,
        sides: Mapping[str, Sequence[Mapping[str, Any]]],
        marks: Sequence[Sequence[float]] = (),
    ) -> list[tuple[np.ndarray, str]]:
        """A small photo with different objects on it, side by side.

        Args:
            path: of the photo.
            sides: what they are, such as "Found" -> COCO annotations or results, with their masks.
            marks: boxes (XYWH, pixels of the photo) to look at, numbered from 1.

        Returns:
            For each side (h, w, 3) uint8, BGR, SIDE pixels at most, and what it shows.

        Raises:
            PhotoError: it cannot be read.
        """
        try:
            photo = read_photo(path)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from None
        size = photo.shape[:2]
        photo = shrunk(photo, SIDE)
        return [(self._side(photo, size, entries, marks), self._say(side, entries)) for side, entries in sides.items()]

    def _side(
        self,
        small: np.ndarray,
        size: tuple[int, int],
        entries: Sequence[Mapping[str, Any]],
        marks: Sequence[Sequence[float]],
    ) -> np.ndarray:
        """One picture; `size` is (height, width) of the photo, which `small` is at its own."""
        scale = max(small.shape[:2]) / max(size)
        masks = (_small_mask(entry, size, scale, small.shape[:2]) for entry in entries)
        labels = [self._label(entry) for entry in entries]
        picture = draw_objects(small, masks, labels, [self.colors[entry["category_id"]] for entry in entries])
        for number, box in enumerate(marks, start=1):
            _mark(picture, [value * scale for value in box], number)
        return picture

    def _say(self, side: str, entries: Sequence[Mapping[str, Any]]) -> str:
        counts = Counter(self.names[entry["category_id"]] for entry in entries)
        return f"{side}: {', '.join(f'{n} {name}' for name, n in counts.items()) or 'nothing'}"

    def _label(self, entry: Mapping[str, Any]) -> str:
        name = self.names[entry["category_id"]]
        return f"{name} {100 * entry['score']:.0f}" if "score" in entry else name


def _small_mask(entry: Mapping[str, Any], size: tuple[int, int], scale: float, small: tuple[int, int]) -> np.ndarray:
    """The mask of an entry, (height, width) `small`; outlines are shrunk before they are filled."""
    segmentation = entry["segmentation"]
    if isinstance(segmentation, list):
        return annotation_mask([(np.array(ring) * scale).tolist() for ring in segmentation], *small)
    return cv2.resize(annotation_mask(segmentation, *size), small[::-1], interpolation=cv2.INTER_NEAREST)


def _mark(picture: np.ndarray, box: Sequence[float], number: int) -> None:
    """Draws a numbered box, a little larger than `box` (XYWH), on a picture."""
    x, y, width, height = box
    low = (max(1, math.floor(x) - 4), max(1, math.floor(y) - 4))
    high = (min(picture.shape[1] - 2, math.ceil(x + width) + 4), min(picture.shape[0] - 2, math.ceil(y + height) + 4))
    for color, thickness in ((MARK[1], 4), (MARK[0], 2)):
        cv2.rectangle(picture, low, high, color, thickness)
    corner = (low[0], min(high[1], picture.shape[0] - 2))
    cv2.rectangle(picture, corner, (corner[0] + 16, corner[1] - 17), MARK[0], -1)
    cv2.putText(
        picture, str(number), (corner[0] + 3, corner[1] - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, MARK[1], 1, cv2.LINE_AA
    )


def shown_detections(photo: PhotoMatches, thresholds: Mapping[int, float], also: Sequence[dict] = ()) -> list[dict]:
    """The detections that count by their classes' thresholds, and some others."""
    return [
        entry
        for entry, score, category in zip(photo.detections, photo.scores, photo.detected_classes.tolist(), strict=True)
        if score >= thresholds[category] or any(entry is other for other in also)
    ]


def photo_quality(photo: PhotoMatches, pairing: Pairing, category: int) -> float:
    """How well a class comes off in a photo: panoptic quality (Kirillov et al. 2019, equation 1).

    Args:
        photo: with an object of the class.
        pairing: by the thresholds that count, within classes.
        category: the class's id.

    Returns:
        The overlaps of found objects, added up, over the objects found and half of those missed or made up; 0 … 1.
    """
    objects = int((photo.object_classes == category).sum())
    detected = (photo.detected_classes == category) & pairing.counts
    right = np.flatnonzero(detected & (pairing.object_of != NONE))
    overlap = float(photo.ious[right, pairing.object_of[right]].sum())
    return overlap / (len(right) + (objects - len(right)) / 2 + (int(detected.sum()) - len(right)) / 2)


def ranked_photos(
    photos: Sequence[PhotoMatches], pairings: Sequence[Pairing], category: int
) -> list[tuple[float, PhotoMatches]]:
    """(Quality, photo) of the photos with an object of a class, the worst first, and of equal ones that with most.

    Args:
        photos: their overlaps.
        pairings: of each photo, by the thresholds that count, within classes.
        category: the class's id.
    """
    rated = [
        (photo_quality(photo, pairing, category), photo)
        for photo, pairing in zip(photos, pairings, strict=True)
        if (photo.object_classes == category).any()
    ]
    return sorted(rated, key=lambda each: (each[0], -int((each[1].object_classes == category).sum())))


def object_sides(truth: Mapping[str, Any]) -> np.ndarray:
    """(N,) float64: the side in pixels of a square as large as each object of a COCO file."""
    return np.sqrt([float(entry["area"]) for entry in truth["annotations"]]).reshape(-1)
