"""Tiles and their merging, with a stand-in for the model that sees drawn blobs exactly, if they are large enough."""

import cv2
import numpy as np
import pytest
import torch
from blobs import INPUT, LEAST, Eye, draw, view
from detectron2.structures import Boxes, pairwise_iou
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from campus_seg.inference.paste import found_objects, instance_region
from campus_seg.inference.tiles import TiledPredictor, tile_grid


def look(photo, tile=96, overlap=0.25, eye=None):
    (found,) = TiledPredictor(eye or Eye(), tile, overlap)([photo])
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.image_size == photo.shape[:2]
    assert found.pred_masks.shape == (len(found), 1, 28, 28)
    return found


def boxes_of(found):
    return sorted(tuple(box) for box in found.pred_boxes.tensor.tolist())


@st.composite
def scenes(draw_from):
    """(shape, boxes, classes, tile, overlap): blobs apart from each other, of any size that the stand-in can see."""
    shape = draw_from(st.integers(40, 260)), draw_from(st.integers(40, 380))
    tile, overlap = draw_from(st.integers(48, INPUT)), draw_from(st.sampled_from([0.2, 0.3, 0.5]))
    fits = int(0.8 * tile * overlap) - 5  # pixels: whole and away from the edges of some tile
    coarse = int(np.ceil(LEAST * max(shape) / INPUT))  # pixels: seen in the whole photo
    taken, boxes = np.zeros(shape, bool), []
    for _ in range(draw_from(st.integers(1, 12))):
        small = draw_from(st.booleans())
        low, high = (LEAST, max(LEAST, fits)) if small else (coarse, min(shape))
        assume(low <= high)
        w, h = draw_from(st.integers(low, high)), draw_from(st.integers(low, high))
        x, y = draw_from(st.integers(0, shape[1] - 1)), draw_from(st.integers(0, shape[0] - 1))
        x, y = min(x, shape[1] - w), min(y, shape[0] - h)
        if x < 0 or y < 0 or taken[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2].any():
            continue
        taken[y : y + h, x : x + w] = True
        boxes.append((x, y, x + w, y + h))
    classes = [draw_from(st.integers(0, 2)) for _ in boxes]
    return shape, boxes, classes, tile, overlap, fits


@settings(max_examples=300)
@given(scenes())
def test_every_object_is_seen_once_and_whole(scene):
    shape, boxes, classes, tile, overlap, fits = scene
    found = look(draw(shape, boxes, classes), tile, overlap)
    assert len(found) == len(boxes)
    free = found.pred_boxes.tensor.numpy()
    grid = max(1, max(shape) / INPUT)  # what a box of the whole photo may be off
    for box, class_id in zip(np.array(boxes), classes, strict=True):
        off = np.abs(free - box).max(axis=1)
        index = int(np.argmin(off))
        assert off[index] <= (1e-3 if (box[2:] - box[:2]).max() <= fits else grid)
        assert found.pred_classes[index] == class_id


@settings(max_examples=300)
@given(scenes())
def test_a_model_of_inexact_boxes_sees_every_object_once_too(scene):
    """Boxes off by up to 4 percent of a side, and by half a pixel of the input in the whole photo."""
    shape, boxes, classes, tile, overlap, _ = scene
    found = look(draw(shape, boxes, classes), tile, overlap, Eye(noise=0.04))
    assert len(found) == len(boxes)
    overlaps = pairwise_iou(Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)), found.pred_boxes)
    assert (overlaps > 0.5).sum(dim=1).tolist() == [1] * len(boxes)


@pytest.mark.parametrize(
    "box",
    [
        (90, 40, 102, 52),  # over the first tile's right edge, which is at 96
        (60, 40, 72, 52),  # ends where the second begins
        (66, 66, 78, 78),  # over the corner of four, the second row and column beginning at 72
        (90, 90, 102, 102),  # over the corner where the first ends
        (76, 76, 92, 92),  # in the middle of what four tiles share
        (0, 0, 12, 12),
        (228, 148, 240, 160),
        (20, 20, 90, 90),  # larger than the overlap, and whole in one tile
    ],
)
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_an_object_at_the_edge_of_tiles_is_seen_once(box, batch):
    assert boxes_of(look(draw((160, 240), [box]), eye=Eye(batch))) == [box]


def test_small_objects_are_seen_in_tiles_only_and_large_ones_in_the_whole_photo_only():
    boxes = [(10, 10, 14, 14), (120, 60, 125, 65), (30, 30, 350, 50)]
    photo = draw((200, 384), boxes)
    assert boxes_of(Eye().look(photo)) == [(32, 32, 352, 48)]  # whole pixels of the input are 4 of the photo
    assert boxes_of(look(photo)) == [(10, 10, 14, 14), (32, 32, 352, 48), (120, 60, 125, 65)]


@pytest.mark.parametrize(
    "box",
    [
        (20, 30, 300, 40),  # parts in four tiles of a row
        (20, 75, 300, 85),  # and of two rows
        (75, 20, 85, 190),
        (60, 80, 130, 90),
        (100, 30, 170, 40),
    ],
)
def test_parts_of_what_no_view_shows_whole_are_joined(box):
    photo = draw((200, 384), [box, (380, 0, 384, 4)])
    assert boxes_of(Eye().look(photo)) == []
    found = look(photo)
    assert boxes_of(found) == sorted([tuple(box), (380, 0, 384, 4)])
    index = boxes_of(found).index(tuple(box)) if found.pred_boxes.tensor[0, 0] < found.pred_boxes.tensor[1, 0] else 0
    mask = instance_region(found, index).full(photo.shape[:2])
    truth = np.zeros_like(mask)
    truth[box[1] : box[3], box[0] : box[2]] = True
    assert (mask & truth).sum() > 0.9 * (mask | truth).sum()


def test_a_joined_slope_keeps_its_shape_and_its_surest_parts_score():
    photo = np.zeros((200, 384, 3), np.uint8)
    cv2.line(photo, (30, 20), (200, 170), (1, 0, 1), 16)
    truth = photo[..., 0] > 0
    eye = Eye()
    views = tile_grid(200, 384, 96, 0.25)
    parts = [eye.look(photo[y0:y1, x0:x1]) for x0, y0, x1, y1 in views.tolist()]
    eye.look, look_at = (lambda photo: look_at(photo if photo.shape[1] < 384 else photo * 0)), eye.look
    found = look(photo, eye=eye)
    assert len(found) == 1
    assert found.scores[0] in torch.cat([part.scores for part in parts])
    mask = instance_region(found, 0).full(truth.shape)
    assert (mask & truth).sum() > 0.85 * (mask | truth).sum()


def test_neighbours_in_a_row_are_not_joined():
    boxes = [(x, 30, x + 18, 40) for x in range(5, 360, 19)]
    assert boxes_of(look(draw((200, 384), boxes))) == boxes


def test_without_overlap_each_tile_has_its_own_part():
    found = look(draw((200, 384), [(60, 30, 130, 40)]), overlap=0)
    assert boxes_of(found) == [(60, 30, 96, 40), (96, 30, 130, 40)]


def test_more_objects_than_detectron2_leaves_in_a_photo():
    boxes = [(x, y, x + 5, y + 5) for x in range(2, 380, 16) for y in range(2, 190, 16)]
    assert len(boxes) == 288
    found = look(draw((200, 384), boxes, [n % 3 for n in range(288)]))
    assert boxes_of(found) == sorted(boxes)


def test_half_an_object_that_looks_like_another_class_goes():
    photo = draw((160, 240), [(80, 40, 104, 60)])
    eye = Eye()
    eye.changes = {1: (24 * 20, 2)}
    assert {int(c) for c in eye.look(photo[:96, :96]).pred_classes} == {2}
    found = look(photo, overlap=0.3, eye=eye)
    assert boxes_of(found) == [(80, 40, 104, 60)]
    assert found.pred_classes.tolist() == [0]


class Views:
    """Gives what a test says was found in the whole photo and in tiles."""

    class_names, engine, model, batch = ["bench", "car", "dog"], "views", None, 1

    def __init__(self, whole, tiles):
        self.whole, self.tiles = whole, tiles
        self.next = enumerate(tile_grid(200, 400, 100, 0.2))

    def __call__(self, photos):
        ((height, width, _),) = (photo.shape for photo in photos)
        if width == 400:
            return [self.whole]
        number, tile = next(self.next)
        found = self.tiles.get(number, view([], [], []))
        corner = torch.tensor([*tile[:2], *tile[:2]])
        moved = Boxes(found.pred_boxes.tensor - corner)
        return [view(moved.tensor.tolist(), found.pred_classes.tolist(), found.scores.tolist(), (height, width))]


def combine(whole, tiles):
    """[(box, class, score)] of the merged views of a photo of 400 x 200 in tiles of 100, steps of 80."""
    (found,) = TiledPredictor(Views(whole, tiles), 100, 0.2)([np.zeros((200, 400, 3), np.uint8)])
    rows = zip(found.pred_boxes.tensor.tolist(), found.pred_classes.tolist(), found.scores.tolist(), strict=True)
    return [(tuple(box), class_id, round(score, 2)) for box, class_id, score in rows]


NOTHING = view([], [], [])
FINE, ROUGH = (20, 20, 60, 60), (12, 12, 64, 64)


@pytest.mark.parametrize(
    ("whole", "tiles", "expected"),
    [
        # the tile's sharper mask stays, though the whole photo was surer; also of another class, if it is all the same
        (view([ROUGH], [0], [0.9]), {0: view([FINE], [0], [0.6])}, [(FINE, 0, 0.6)]),
        (view([(19, 19, 61, 61)], [1], [0.9]), {0: view([FINE], [0], [0.6])}, [(FINE, 0, 0.6)]),
        # two classes whose pixels differ are two objects, as in Detectron2's NMS
        (view([ROUGH], [1], [0.9]), {0: view([FINE], [0], [0.6])}, [(ROUGH, 1, 0.9), (FINE, 0, 0.6)]),
        # two classes in one view are the model's own
        (NOTHING, {0: view([FINE, FINE], [0, 1], [0.9, 0.8])}, [(FINE, 0, 0.9), (FINE, 1, 0.8)]),
        # two that the whole photo took for one
        (
            view([(16, 16, 84, 60)], [0], [0.9]),
            {0: view([(20, 20, 48, 60), (52, 20, 80, 60)], [0, 0], [0.7, 0.6])},
            [((20, 20, 48, 60), 0, 0.7), ((52, 20, 80, 60), 0, 0.6)],
        ),
        # likewise where no tile holds both
        (
            view([(26, 16, 134, 60)], [0], [0.9]),
            {0: view([(30, 20, 75, 60)], [0], [0.7]), 1: view([(95, 20, 130, 60)], [0], [0.6])},
            [((30, 20, 75, 60), 0, 0.7), ((95, 20, 130, 60), 0, 0.6)],
        ),
        # a detail that a tile takes for an object, inside one that no tile holds; a surer one may be an object
        (view([(10, 10, 390, 190)], [0], [0.6]), {0: view([FINE], [0], [0.5])}, [((10, 10, 390, 190), 0, 0.6)]),
        (
            view([(10, 10, 390, 190)], [0], [0.6]),
            {0: view([FINE], [0], [0.9])},
            [(FINE, 0, 0.9), ((10, 10, 390, 190), 0, 0.6)],
        ),
        # but not what shows most of it, even short of the tile's edge
        (
            view([(30, 16, 114, 60)], [0], [0.6]),
            {0: view([(30, 16, 90, 60)], [0], [0.9])},
            [((30, 16, 114, 60), 0, 0.6)],
        ),
        # where a tile holds it, the surer one of an object and a detail
        (view([(10, 10, 90, 90)], [0], [0.6]), {0: view([FINE], [0], [0.9])}, [(FINE, 0, 0.9)]),
        (view([(10, 10, 90, 90)], [0], [0.9]), {0: view([FINE], [0], [0.6])}, [((10, 10, 90, 90), 0, 0.9)]),
        # half of it at the edge of a tile; the tile that holds it did not see it
        (
            view([(70, 20, 112, 60)], [0], [0.6]),
            {0: view([(70, 20, 100, 60)], [0], [0.9])},
            [((70, 20, 112, 60), 0, 0.6)],
        ),
        # a double that two tiles share: the surer
        (
            NOTHING,
            {0: view([(84, 20, 94, 60)], [0], [0.7]), 1: view([(84, 20, 94, 60)], [0], [0.8])},
            [((84, 20, 94, 60), 0, 0.8)],
        ),
        # the whole one, though the half is surer
        (
            NOTHING,
            {0: view([(85, 20, 100, 60)], [0], [0.99]), 1: view([(85, 20, 110, 60)], [0], [0.6])},
            [((85, 20, 110, 60), 0, 0.6)],
        ),
        # both halves of what is too large for the overlap
        (
            NOTHING,
            {0: view([(60, 20, 99, 60)], [0], [0.7]), 1: view([(81, 20, 130, 60)], [0], [0.8])},
            [((60, 20, 130, 60), 0, 0.8)],
        ),
        # of two classes they are not joined
        (
            NOTHING,
            {0: view([(60, 20, 99, 60)], [1], [0.7]), 1: view([(81, 20, 130, 60)], [0], [0.8])},
            [((81, 20, 130, 60), 0, 0.8), ((60, 20, 99, 60), 1, 0.7)],
        ),
        # nor where one ends short of its tile's edge
        (
            NOTHING,
            {0: view([(60, 20, 84, 60)], [0], [0.7]), 1: view([(86, 20, 130, 60)], [0], [0.8])},
            [((86, 20, 130, 60), 0, 0.8), ((60, 20, 84, 60), 0, 0.7)],
        ),
        (
            NOTHING,
            {0: view([(60, 20, 92, 60)], [0], [0.7]), 1: view([(81, 20, 130, 60)], [0], [0.8])},
            [((81, 20, 130, 60), 0, 0.8), ((60, 20, 92, 60), 0, 0.7)],
        ),
        # nor two that both tiles cut, one a little below the other
        (
            NOTHING,
            {0: view([(60, 20, 99, 60)], [0], [0.7]), 1: view([(81, 50, 130, 90)], [0], [0.8])},
            [((81, 50, 130, 90), 0, 0.8), ((60, 20, 99, 60), 0, 0.7)],
        ),
        # a sliver of what the other tile sees whole, if 3 pixels short
        (
            NOTHING,
            {0: view([(20, 20, 81, 60)], [0], [0.7]), 1: view([(80, 20, 84, 60)], [0], [0.8])},
            [((20, 20, 81, 60), 0, 0.7)],
        ),
        # what a tile holds though the whole photo's box, which is coarse, reaches beyond
        (
            view([(50, 16, 104, 60)], [0], [0.9]),
            {0: view([(52, 20, 95, 60)], [0], [0.7])},
            [((52, 20, 95, 60), 0, 0.7)],
        ),
        (NOTHING, {}, []),
    ],
)
def test_what_stays_of_several_sightings(whole, tiles, expected):
    assert combine(whole, tiles) == expected


def test_a_photo_no_larger_than_a_tile_is_seen_once():
    eye = Eye()
    tiled = TiledPredictor(eye, 96, 0.2)
    photos = [draw((96, 96), [(10, 10, 30, 30)]), draw((20, 50), [(1, 1, 9, 9)])]
    found = tiled(photos)
    assert eye.seen == [[(96, 96), (20, 50)]]
    for photo, instances in zip(photos, found, strict=True):
        wanted = eye.look(photo)
        assert torch.equal(instances.pred_boxes.tensor, wanted.pred_boxes.tensor)
        assert torch.equal(instances.pred_masks, wanted.pred_masks)
    assert tiled([]) == []


def test_tiles_are_predicted_in_batches_of_one_shape():
    eye = Eye(batch=4)
    look(draw((200, 384), []), eye=eye)
    assert eye.seen == [[(200, 384)], *[[(96, 96)] * 4] * 3, [(96, 96)] * 3]


def test_it_behaves_like_the_predictor():
    eye = Eye(batch=7)
    tiled = TiledPredictor(eye, 96)
    assert (tiled.class_names, tiled.engine, tiled.batch, tiled.model) == (eye.class_names, eye.engine, 7, None)
    assert tiled.overlap == 0.2
    photo = draw((200, 384), [(10, 10, 20, 20), (150, 100, 170, 112)])
    regions = {found.region.bbox for found in found_objects(tiled([photo])[0])}
    assert regions == {(10, 10, 10, 10), (150, 100, 20, 12)}
