"""Large photos with small objects: a predictor that looks at the whole photo and, closer, at overlapping tiles of it.

Sliced inference, as in Akyon et al., "Slicing Aided Hyper Inference and Fine-tuning for Small Object Detection"
(ICIP 2022), with whole masks instead of SAHI's merged boxes: which of several sightings of an object stays is decided
by who could see all of it.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from campus_seg.errors import ConfigError
from campus_seg.inference.arguments import OVERLAP, check_tiling
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.sightings import SAME, Sightings, holds
from campus_seg.photos import pixel_count
from campus_seg.read_ahead import read_ahead
from campus_seg.videos import frame_pixels

COARSE = 0.1  # of an object's side: how far its box may be off where only the whole photo shows it
MOST_TILES = 10_000  # of a photo or a frame: hours, for each is a prediction


class TiledPredictor:
    """Behaves like the `Predictor` that it wraps, and finds small objects of large photos, too.

    `TEST.DETECTIONS_PER_IMAGE` counts in each tile: a photo may have any number of objects.

    Args:
        predictor: a `Predictor`, or what behaves like one.
        tile: side of a tile, in pixels of the photo. Tiles are brought to the model's input size as photos are.
        overlap: share of a tile that its neighbour shows, too. Objects up to that size are whole in some tile.

    Raises:
        ConfigError: a tile or an overlap that cannot be.

    Attributes:
        class_names, engine, batch, model: the predictor's own.
        made_with: the predictor's and the tiles'.
    """

    def __init__(
        self, predictor: Callable[[Sequence[np.ndarray]], list[Instances]], tile: int, overlap: float = OVERLAP
    ):
        check_tiling(tile, overlap)
        self.predictor, self.tile, self.overlap = predictor, tile, overlap
        self.class_names = predictor.class_names
        self.engine = predictor.engine
        self.batch = predictor.batch
        self.model = predictor.model
        self.made_with = {**getattr(predictor, "made_with", {}), "--tile and --overlap": [tile, overlap]}

    def __call__(self, photos: Sequence[np.ndarray]) -> list[Instances]:
        """Finds the objects of some photos.

        Args:
            photos: each (H, W, 3) uint8, BGR, upright. One no larger than a tile is seen once, as it is.

        Returns:
            What a `Predictor` returns, each object once.
        """
        wholes = self.predictor(photos)
        return [self._closer(photo, whole) for photo, whole in zip(photos, wholes, strict=True)]

    def _closer(self, photo: np.ndarray, whole: Instances) -> Instances:
        """What was found in a whole photo together with what its tiles show."""
        height, width = shape = photo.shape[:2]
        tiles = tile_grid(height, width, self.tile, self.overlap)
        if len(tiles) == 1:
            return whole
        found = [whole, *self._in_tiles(photo, tiles)]
        return merged(found, np.concatenate([[(0, 0, width, height)], tiles]), shape)

    def _in_tiles(self, photo: np.ndarray, tiles: np.ndarray) -> Iterator[Instances]:
        """The instances of each tile, in the photo's pixels."""
        for first in range(0, len(tiles), self.batch):
            some = tiles[first : first + self.batch]
            predicted = self.predictor([photo[y0:y1, x0:x1] for x0, y0, x1, y1 in some])
            for (x0, y0, _, _), instances in zip(some.tolist(), predicted, strict=True):
                yield Instances(
                    photo.shape[:2],
                    pred_boxes=Boxes(instances.pred_boxes.tensor + torch.tensor([x0, y0, x0, y0])),
                    scores=instances.scores,
                    pred_classes=instances.pred_classes,
                    pred_masks=instances.pred_masks,
                )


def tile_grid(height: int, width: int, tile: int, overlap: float) -> np.ndarray:
    """Tiles that cover a photo, row by row.

    Neighbours share at least `overlap` of a tile; the last ones of a row or column are shifted inwards and share more.

    Args:
        height: of the photo, in pixels.
        width: of the photo, in pixels.
        tile: side of a tile, in pixels; a photo's smaller side cuts it short.
        overlap: a share of `tile`.

    Returns:
        (T, 4) int: x0, y0, x1, y1 in the photo's pixels, x1 and y1 exclusive.
    """
    step = _step(tile, overlap)
    tops, lefts = ([*range(0, max(0, side - tile), step), max(0, side - tile)] for side in (height, width))
    return np.array([(x, y, min(x + tile, width), min(y + tile, height)) for y in tops for x in lefts])


def check_number_of_tiles(
    photos: Iterable[InputPhoto], tile: int, overlap: float, videos: Iterable[InputPhoto] = ()
) -> None:
    """Refuses tiles so small that a photo, or a frame of a video, would take days.

    Raises:
        ConfigError: some photo or frame, by the file's header, has more than `MOST_TILES`.
    """
    area = _step(tile, overlap) ** 2  # that a tile adds
    sizes = itertools.chain(
        ((photo, pixel_count(photo.path)) for photo in read_ahead(photos, lambda photo: photo.path)),
        ((video, frame_pixels(video.path)) for video in videos),
    )
    for photo, pixels in sizes:
        count = pixels // area
        if count > MOST_TILES:
            raise ConfigError(
                f"--tile {tile} --overlap {overlap:g}: some {count} tiles of {photo.path}, each as much work as a "
                f"photo; at most {MOST_TILES} are taken, so give larger tiles or a smaller overlap"
            )


def _step(tile: int, overlap: float) -> int:
    """Pixels from one tile to the next."""
    return max(1, int(tile * (1 - overlap)))


def merged(found: list[Instances], views: np.ndarray, shape: tuple[int, int]) -> Instances:
    """The instances of several views of a photo with each object once, and whole where any view shows it so.

    1. Among the tiles, a piece goes where another tile sees more of the object, and of two that see the same the
       surer stays; one that its tile's edge may have cut ranks behind those that are not.
    2. The whole photo shows small objects coarsely and large ones whole, see `_weigh_wholes`.
    3. What is left in parts, too large for the overlap and not found in the whole photo, is joined: of an object as
       large as a tile no part would be more right than the others.

    Views are compared with others only: what one view shows twice is the model's own, as Detectron2's NMS left it.

    Args:
        found: for each view its instances, in the photo's pixels; the whole photo's first.
        views: (V, 4) int XYXY of the views in the photo, the whole photo's first.
        shape: (H, W) of the photo.
    """
    seen = Sightings(found, views, shape)
    wholes = len(found[0])
    pairs: list[list[tuple[int, int]]] = [[] for _ in range(len(seen))]
    for i in range(len(seen)):
        for k in seen.near(i).tolist():
            shared = seen.shared(i, k)
            pairs[i].append((k, shared))
            pairs[k].append((i, shared))
    alive = np.ones(len(seen), dtype=bool)
    _drop_pieces(seen, pairs, alive, wholes)
    _drop_doubles(seen, pairs, alive, wholes)
    _weigh_wholes(seen, pairs, alive, wholes, views[1:])
    return seen.instances(_groups(seen, pairs, alive, wholes))


def _drop_pieces(seen: Sightings, pairs: list, alive: np.ndarray, wholes: int) -> None:
    """Drops what a tile saw of an object of which another tile sees more.

    That one may itself be a piece of a third: a piece of a piece is one, even if so thin that it just misses the third.
    """
    for k in range(wholes, len(seen)):
        for i, shared in pairs[k]:
            if i >= wholes and alive[i] and seen.is_piece(i, k, shared):
                alive[i] = False


def _drop_doubles(seen: Sightings, pairs: list, alive: np.ndarray, wholes: int) -> None:
    """Drops what another tile sees as well, and more surely; not parts of an object that goes on in both."""
    for k in wholes + np.lexsort((-seen.scores[wholes:], seen.cut[wholes:].any(axis=1))):
        for i, shared in pairs[k]:
            if alive[k] and i >= wholes and alive[i] and seen.same(i, k, shared):
                alive[i] = seen.are_parts(i, k, shared)


def _weigh_wholes(seen: Sightings, pairs: list, alive: np.ndarray, wholes: int, tiles: np.ndarray) -> None:
    """Decides between what the whole photo shows and what the tiles show in its place.

    Where a tile holds the object, the tile's closer look counts: the coarse one goes if uncut instances cover half of
    it (also several, which it took for one), or if one of them is surer. Else, and for every object that is too
    large for a tile, the whole photo's stays and what tiles saw of it goes. Two exceptions: it goes if several uncut
    instances cover half of it, for then it was no object but a group; and a small uncut one that is surer stays
    beside it, as it would in one view: the large one may be wrong, and must not take the right one with it.
    """
    for j in np.argsort(-seen.scores[:wholes], kind="stable"):
        matched = {i: n for i, n in pairs[j] if i >= wholes and alive[i]}
        matched = {i: n for i, n in matched.items() if seen.same(i, j, n) or seen.is_piece(i, j, n)}
        uncut = [i for i in matched if not seen.cut[i].any() or holds(seen.views[i], seen.boxes[j])]
        surer = [i for i in uncut if seen.scores[i] >= seen.scores[j]]
        half = SAME * seen.areas[j]
        covered = bool(uncut) and sum(matched[i] for i in uncut) >= half
        if holds(tiles, seen.boxes[j], COARSE).any():
            outdone, beside = covered or bool(surer), []
        else:
            outdone, beside = covered and len(uncut) > 1, [i for i in surer if matched[i] < half]
        alive[[j] if outdone else [i for i in matched if i not in beside]] = False


def _groups(seen: Sightings, pairs: list, alive: np.ndarray, wholes: int) -> list[list[int]]:
    """What stays: each by itself, or with the other parts of its object."""
    group = {i: [i] for i in np.flatnonzero(alive).tolist()}
    for i in list(group):
        for k, shared in pairs[i]:
            if wholes <= i < k and alive[k] and group[i] is not group[k] and seen.are_parts(i, k, shared):
                group[i].extend(group[k])
                for part in group[k]:
                    group[part] = group[i]
    return [parts for i, parts in group.items() if parts[0] == i]
