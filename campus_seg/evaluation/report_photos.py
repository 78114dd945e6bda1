"""The photos of a report: small, with labels and detections drawn on them, and not more than the page has room for."""

import base64
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from campus_seg.evaluation.matching import NONE, Pairing, PhotoMatches
from campus_seg.evaluation.pictures import Picture
from campus_seg.inference.labelled import annotation_mask, draw_objects
from campus_seg.photos import PhotoError, read_photo

logger = logging.getLogger(__name__)

ROOM = 5_500_000  # bytes of all photos as they stand in the page
SIDE = 440  # pixels: the longest side of a photo
QUALITY = 78
MARK = (0, 255, 255), (0, 0, 0)  # of a place to look at: BGR of the line, and of what sets it off
WORKERS = 2


class Album:
    """The photos of a page, as long as there is room for them.

    Attributes:
        left: bytes.
        without: how many found no room.
    """

    def __init__(self, room: int = ROOM):
        """Called with the bytes that there are."""
        self.left = room
        self.without = 0

    def add(self, draws: Iterable[Callable[[], np.ndarray]], alts: Sequence[str]) -> list[Picture | None]:
        """Draws pictures, two at a time, the first first.

        Args:
            draws: give (H, W, 3) uint8, BGR.
            alts: what each shows.

        Returns:
            One for each; None where the photo cannot be read, or there is no room left.
        """
        pictures = []
        with ThreadPoolExecutor(WORKERS) as pool:
            for content, alt in zip(pool.map(self._encode, draws), alts, strict=True):
                pictures.append(None if content is None else self._place(*content, alt))
        return pictures

    def _encode(self, draw: Callable[[], np.ndarray]) -> tuple[bytes, int, int] | None:
        if self.left <= 0:
            return b"", 0, 0
        try:
            picture = draw()
        except PhotoError as error:
            logger.warning(f"The report goes without a photo: {error}")
            return None
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return base64.b64encode(encoded.tobytes()), picture.shape[1], picture.shape[0]

    def _place(self, content: bytes, width: int, height: int, alt: str) -> Picture | None:
        if len(content) > self.left or not content:
            self.left = 0  # no smaller one slips in where a larger one before it could not
            self.without += 1
            return None
        self.left -= len(content)
        return Picture(f"data:image/jpeg;base64,{content.decode('ascii')}", alt, width, height)


@dataclass(frozen=True)
class Drawing:
    """How objects are drawn: class names and colours by category id."""

    names: Mapping[int, str]
    colors: Mapping[int, tuple[int, int, int]]

    def draw(
        self, path: Path, entries: Sequence[Mapping[str, Any]], marks: Sequence[Sequence[float]] = ()
    ) -> np.ndarray:
        """A small photo with objects.

        Args:
            path: of the photo.
            entries: COCO annotations or results, with their masks.
            marks: boxes (XYWH, pixels of the photo) to look at, numbered from 1.

        Returns:
            (h, w, 3) uint8, BGR, SIDE pixels at most.

        Raises:
            PhotoError: it cannot be read.
        """
        try:
            photo = read_photo(path)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from None
        height, width = photo.shape[:2]
        scale = min(1.0, SIDE / max(height, width))
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(photo, small, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        masks = (_small_mask(entry, (height, width), scale, small) for entry in entries)
        labels = [self._label(entry) for entry in entries]
        picture = draw_objects(picture, masks, labels, [self.colors[entry["category_id"]] for entry in entries])
        for number, box in enumerate(marks, start=1):
            _mark(picture, [value * scale for value in box], number)
        return picture

    def _label(self, entry: Mapping[str, Any]) -> str:
        name = self.names[entry["category_id"]]
        return f"{name} {100 * entry['score']:.0f}" if "score" in entry else name


def _small_mask(entry: Mapping[str, Any], shape: tuple[int, int], scale: float, small: tuple[int, int]) -> np.ndarray:
    """The mask of an entry at the size (w, h) of the small picture; outlines are shrunk before they are filled."""
    segmentation = entry["segmentation"]
    if isinstance(segmentation, list):
        return annotation_mask([(np.array(ring) * scale).tolist() for ring in segmentation], small[1], small[0])
    mask = annotation_mask(segmentation, *shape)
    return cv2.resize(mask, small, interpolation=cv2.INTER_NEAREST) if scale < 1 else mask


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
    photos: Sequence[PhotoMatches], thresholds: Mapping[int, float], category: int
) -> list[tuple[float, PhotoMatches]]:
    """(Quality, photo) of the photos with an object of a class, the worst first, and of equal ones that with most."""
    having = [photo for photo in photos if (photo.object_classes == category).any()]
    pairings = (photo.pair(least_scores=thresholds, across_classes=False) for photo in having)
    rated = [(photo_quality(photo, pairing, category), photo) for photo, pairing in zip(having, pairings, strict=True)]
    return sorted(rated, key=lambda each: (each[0], -int((each[1].object_classes == category).sum())))


def object_sides(truth: Mapping[str, Any]) -> np.ndarray:
    """(N,) float64: the side in pixels of a square as large as each object of a COCO file."""
    return np.sqrt([float(entry["area"]) for entry in truth["annotations"]]).reshape(-1)
