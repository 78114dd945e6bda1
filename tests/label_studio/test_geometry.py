import numpy as np
import pytest
import shapely
from hypothesis import assume, example, given
from hypothesis import strategies as st

from campus_seg.label_studio.geometry import (
    check_rings,
    clean_rings,
    ellipse_ring,
    rings_area,
    rings_box,
    without_holes,
)

CLIPPED, REPAIRED, DROPPED = "polygon_clipped", "polygon_repaired", "annotation_degenerate"


@pytest.mark.parametrize(
    "ring, expected_areas, expected_codes",
    [
        ([[1, 1], [9, 1], [9, 5]], [16.0], set()),  # inside: unchanged
        ([[-5, 0], [5, 0], [5, 10], [-5, 10]], [50.0], {CLIPPED}),  # half outside
        ([[8, 8], [14, 8], [14, 14], [8, 14]], [4.0], {CLIPPED}),  # a corner inside
        ([[0, 0], [8, 8], [8, 0], [0, 8]], [16.0, 16.0], {REPAIRED}),  # a bow tie: two triangles
        ([[-5, 0], [5, 10], [5, 0], [-5, 10]], [25.0], {CLIPPED, REPAIRED}),  # half a bow tie
        ([[20, 20], [30, 20], [30, 30]], [], {DROPPED}),  # outside
        ([[2, 2], [3, 3]], [], {DROPPED}),  # two points
        ([[2, 2], [2.5, 2], [2.5, 2.5]], [], {DROPPED}),  # a slip of the mouse
        ([[2, 2], [float("nan"), 2], [2, 9]], [], {DROPPED}),
        ([[2, 2], [9, 9], [2, 2]], [], {DROPPED}),  # closed, and two points all the same
        ([[1, 1], [9, 1], [9, 5], [1, 1]], [16.0], set()),  # closed
    ],
)
def test_clean_rings(ring, expected_areas, expected_codes):
    cleaned, codes = clean_rings([np.array(ring, dtype=float)], 10, 10)
    assert sorted(shapely.Polygon(r).area for r in cleaned) == pytest.approx(expected_areas)
    assert codes == expected_codes


def test_rounding_at_the_edge_is_no_defect():
    ring = np.array([[-1e-9, 0], [10.009, 0], [10, 10.001]])
    cleaned, codes = clean_rings([ring], 10, 10)
    assert cleaned[0].tolist() == [[0, 0], [10, 0], [10, 10]]
    assert codes == set()
    assert clean_rings([ring + (0.02, 0)], 10, 10)[1] == {CLIPPED}


def test_what_is_done_to_one_ring_leaves_the_others_alone():
    good = np.array([[0.0, 0], [10, 0], [10, 10]])
    speck = np.array([[2.0, 2], [3, 2], [3, 3]])
    cleaned, codes = clean_rings([good - (0, 5), good, speck], 10, 10)
    assert len(cleaned) == 2 and cleaned[1] is good
    assert codes == {CLIPPED, DROPPED}


def test_clean_rings_leaves_good_ones_as_they_are():
    ring = np.array([[0.0, 0], [10, 0], [10, 10]])
    cleaned, codes = clean_rings([ring], 10, 10)
    assert cleaned[0] is ring and codes == set()


def test_clean_rings_splits_a_comb_at_the_border():
    # A "U" lying on its side whose bar is outside: two separate bars of 4 x 2 stay.
    ring = np.array([[-2.0, 1], [4, 1], [4, 3], [0, 3], [-1, 3], [-1, 6], [4, 6], [4, 8], [-2, 8]])
    cleaned, _ = clean_rings([ring], 10, 10)
    assert sorted(shapely.Polygon(r).area for r in cleaned) == pytest.approx([8.0, 8.0])


def test_box_and_area_of_overlapping_rings():
    rings = [np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]]), np.array([[2.0, 2], [6, 2], [6, 6], [2, 6]])]
    assert rings_box(rings) == [0, 0, 6, 6]
    assert rings_area(rings) == pytest.approx(16 + 16 - 4)


points = st.tuples(st.floats(-50, 150, width=32), st.floats(-50, 150, width=32))


# Its hole is cut open at x = 5, and the tip of its spike, at 4.5, becomes a ring of its own.
SPIKE = [(0, 0), (12, 0), (12, 13), (4.5, 12), (11, 11), (0, 10), (0, 0), (3, 3), (3, 7), (7, 7), (7, 3), (3, 3)]


@example(SPIKE)
@given(st.lists(points, min_size=1, max_size=12))
def test_any_ring_comes_back_inside_valid_and_not_larger(ring):
    cleaned, _ = clean_rings([np.array(ring, dtype=float)], 100, 80)
    polygons = [shapely.Polygon(part) for part in cleaned]
    assert all(polygon.is_valid and polygon.area for polygon in polygons)
    # What a cut has divided is one part.
    assert all(part.area >= 0.99 for part in shapely.get_parts(shapely.union_all(polygons)))
    for part in cleaned:
        assert part.min() >= -1e-6 and part[:, 0].max() <= 100 + 1e-6 and part[:, 1].max() <= 80 + 1e-6
    if cleaned:
        hull = shapely.convex_hull(shapely.multipoints(np.array(ring, dtype=float)))
        assert rings_area(cleaned) <= hull.area * (1 + 1e-6)


def even_odd(ring):
    """What a ring encloses, face by face: those from which a ray to the right crosses it an odd number of times."""
    lines = shapely.union_all(shapely.linestrings(np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    enclosed = []
    for face in faces:
        x, y = face.representative_point().coords[0]
        inside = False
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            inside ^= (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        enclosed += [face] if inside else []
    return shapely.union_all(enclosed)


@given(st.integers(0, 2**32 - 1), st.integers(3, 14))
def test_a_ring_keeps_its_even_odd_area_and_so_its_holes(seed, corners):
    ring = np.random.default_rng(seed).uniform((-20, -20), (120, 100), (corners, 2))
    wanted = shapely.intersection(even_odd(ring), shapely.box(0, 0, 100, 80))
    areas = np.array([part.area for part in shapely.get_parts(wanted)])
    assume((np.abs(areas - 1) > 1e-6).all())  # specks are dropped, and their limit is met by rounding alone
    cleaned, _ = clean_rings([ring], 100, 80)
    assert sum(shapely.Polygon(part).area for part in cleaned) == pytest.approx(areas[areas > 1].sum(), abs=1e-3)
    assert rings_area(cleaned) == pytest.approx(areas[areas > 1].sum(), abs=1e-3)  # so they do not overlap


def test_a_frame_drawn_in_one_stroke_keeps_its_hole():
    square = [(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]
    ring = np.array([*square, (3, 3), (3, 7), (7, 7), (7, 3), (3, 3)], dtype=float)
    cleaned, codes = clean_rings([ring], 20, 20)
    assert rings_area(cleaned) == pytest.approx(100 - 16)
    assert codes == {REPAIRED}


def test_without_holes():
    holes = [shapely.box(x, y, x + 2, y + 2).exterior for x in (1, 5) for y in (1, 4, 7)]
    sieve = shapely.Polygon(shapely.box(0, 0, 10, 10).exterior, holes)
    pieces = without_holes(shapely.GeometryCollection([sieve, shapely.Point(3, 3)]))
    assert not any(piece.interiors for piece in pieces)
    assert sum(piece.area for piece in pieces) == pytest.approx(100 - 6 * 4)
    assert shapely.union_all(pieces).symmetric_difference(sieve).area == pytest.approx(0)


def test_holes_of_rounding_are_filled():
    sliver = shapely.box(1, 1, 1 + 1e-15, 9).exterior
    (piece,) = without_holes(shapely.Polygon(shapely.box(0, 0, 10, 10).exterior, [sliver]))
    assert piece.area == 100


corner = st.one_of(
    st.sampled_from([-3.0, 0.0, 0.4, 5.0, 60.0, 100.0, 103.0, float("nan")]), st.floats(-20, 120, width=32)
)


@given(st.lists(st.lists(st.tuples(corner, corner), min_size=1, max_size=8), min_size=1, max_size=6))
def test_rings_checked_together_are_sound_where_cleaning_leaves_them_alone(rings):
    rings = [np.array(ring, dtype=float) for ring in rings]
    check = check_rings(rings, np.array([[100, 80]] * len(rings)))
    for ring, sound, box, area in zip(rings, check.sound, check.boxes, check.areas, strict=True):
        cleaned, codes = clean_rings([ring], 100, 80)
        unchanged = not codes and len(cleaned) == 1 and np.array_equal(cleaned[0], ring)
        assert sound == unchanged
        if sound:
            assert box.tolist() == rings_box([ring])
            assert area == pytest.approx(rings_area([ring]))


def test_no_rings_are_checked():
    assert [len(part) for part in check_rings([], np.zeros((0, 2)))] == [0, 0, 0]


@pytest.mark.parametrize("rotation, extent", [(0, (40, 20)), (90, (20, 40)), (180, (40, 20))])
def test_an_ellipse(rotation, extent):
    ring = ellipse_ring(np.array([50.0, 40.0]), np.array([20.0, 10.0]), rotation)
    assert shapely.Polygon(ring).area == pytest.approx(np.pi * 20 * 10)
    np.testing.assert_allclose(ring.mean(axis=0), (50, 40), atol=1e-9)
    np.testing.assert_allclose(np.ptp(ring, axis=0), extent, rtol=2e-3)


def test_an_ellipse_is_turned_clockwise():
    ring = ellipse_ring(np.array([0.0, 0.0]), np.array([20.0, 1.0]), 45)
    tip = ring[np.argmax(ring[:, 0])]
    np.testing.assert_allclose(tip, np.array([20, 20]) / np.sqrt(2), rtol=2e-2)  # down to the right, as y grows
