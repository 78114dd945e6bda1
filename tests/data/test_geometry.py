import numpy as np
import pycocotools.mask
import pytest

from campus_seg.data.geometry import Rings, boxes_inside, decode_rle

SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]
# Runs round a smaller square the other way, joined by a seam: even-odd leaves a hole of 4 x 4.
FRAME = [*SQUARE, (0, 0), (3, 3), (3, 7), (7, 7), (7, 3), (3, 3)]


def rings(*objects):
    return Rings.from_polygons([[np.ravel(ring) for ring in parts] for parts in objects])


def test_nothing_stays_nothing():
    empty = rings()
    assert len(empty) == len(empty.areas()) == len(empty.bounds()) == 0
    kept, boxes, polygons = empty.scaled(2, 2).cut(10, 10).without_specks().objects()
    assert (len(kept), boxes.shape, polygons) == (0, (0, 4), [])


def test_parts_belong_to_their_object():
    both = rings([SQUARE], [], [np.add(SQUARE, 20), np.add(SQUARE, 40)]).scaled(2, 3)
    assert both.owners.tolist() == [0, 2, 2]
    assert both.areas().tolist() == [600, 600, 600]
    assert both.bounds().tolist() == [[0, 0, 20, 30], [40, 60, 60, 90], [80, 120, 100, 150]]
    kept, boxes, polygons = both.objects()
    assert kept.tolist() == [0, 2]
    assert boxes.tolist() == [[0, 0, 20, 30], [40, 60, 100, 150]]
    assert [len(parts) for parts in polygons] == [1, 2]
    assert polygons[0][0].tolist() == [0, 0, 20, 0, 20, 30, 0, 30]


@pytest.mark.parametrize(
    ("ring", "height", "width", "areas"),
    [
        (SQUARE, 20, 20, [100]),
        (SQUARE, 4, 20, [40]),
        (np.add(SQUARE, 30), 20, 20, []),
        (np.add(SQUARE, 20), 20, 20, []),  # touches in one point
        ([(0, 0), (10, 0), (10, 10), (8, 10), (8, 2), (2, 2), (2, 10), (0, 10)], 20, 20, [52]),
        (np.subtract([(0, 0), (10, 0), (10, 10), (8, 10), (8, 2), (2, 2), (2, 10), (0, 10)], (0, 4)), 20, 20, [12, 12]),
        (FRAME, 20, 9, [90 - 16]),
        ([(-5, 0), (5, 10), (5, 0), (-5, 10)], 20, 20, [25]),  # a figure 8
        ([(0, 0), (0, 0), (0, 0)], 20, 20, []),
        ([(-1, 1), (5, 1), (9, 1)], 20, 20, []),
        ([(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)], 20, 20, []),
    ],
)
def test_cutting(ring, height, width, areas):
    left = rings([ring]).cut(height, width).without_specks()
    if ring is FRAME:
        assert left.areas().sum() == pytest.approx(sum(areas))
    else:
        assert sorted(left.areas()) == pytest.approx(areas)


def test_a_figure_of_eight_is_no_speck():
    eight = rings([[(0, 0), (10, 10), (10, 0), (0, 10)]])
    assert eight.areas().tolist() == [0]
    assert len(eight.without_specks()) == 1


def encloses(ring, points):
    """Even-odd rule: a ray to the right of each point crosses the ring an odd number of times."""
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


@pytest.mark.parametrize("seed", range(150))
def test_any_ring_is_cut_to_what_lies_inside(seed):
    """However it crosses itself: each of many places in the photo is enclosed after as it was before."""
    rng = np.random.default_rng(seed)
    ring = rng.uniform((-30, -30), (70, 60), (rng.integers(3, 12), 2))
    places = rng.uniform((0, 0), (40, 30), (300, 2))
    pieces = rings([ring]).cut(30, 40).split()
    times = sum((encloses(piece, places).astype(int) for piece in pieces), np.zeros(len(places), int))
    np.testing.assert_array_equal(times, encloses(ring, places))


def test_rle_in_all_its_forms():
    mask = np.zeros((6, 5), np.uint8)
    mask[2:4, 1:3] = 1
    packed = pycocotools.mask.encode(np.asfortranarray(mask))
    for rle in (packed, {**packed, "counts": packed["counts"].decode()}, {"size": [6, 5], "counts": [8, 2, 4, 2, 14]}):
        np.testing.assert_array_equal(decode_rle(rle), mask)


def test_boxes_inside_the_photo_of_outlines_and_of_masks():
    """The first is cut at the edge, of the second nothing is inside."""
    outlines = rings([np.add(SQUARE, -4)], [np.add(SQUARE, 30)], [np.add(SQUARE, 2)])
    assert boxes_inside(outlines, 20, 24).tolist() == [[0, 0, 6, 6], [2, 2, 12, 12]]
    masks = np.zeros((3, 20, 24), np.uint8)
    masks[0, :6, :6] = masks[2, 2:12, 2:12] = 1
    assert boxes_inside(masks, 20, 24).tolist() == [[0, 0, 6, 6], [2, 2, 12, 12]]
    assert boxes_inside(rings(), 20, 24).shape == boxes_inside(masks[:0], 20, 24).shape == (0, 4)
