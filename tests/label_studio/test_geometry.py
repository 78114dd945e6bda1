import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from campus_seg.label_studio.geometry import clean_rings, rings_area, rings_box, upright_size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_size(orientation):
    expected = (30, 40) if orientation >= 5 else (40, 30)
    assert upright_size(40, 30, orientation) == expected


@pytest.mark.parametrize(
    "ring, expected_areas",
    [
        ([[1, 1], [9, 1], [9, 5]], [16.0]),  # inside: unchanged
        ([[-5, 0], [5, 0], [5, 10], [-5, 10]], [50.0]),  # half outside
        ([[8, 8], [14, 8], [14, 14], [8, 14]], [4.0]),  # a corner inside
        ([[0, 0], [8, 8], [8, 0], [0, 8]], [16.0, 16.0]),  # a bow tie: two triangles
        ([[20, 20], [30, 20], [30, 30]], []),  # outside
        ([[2, 2], [3, 3]], []),  # two points
        ([[2, 2], [2.5, 2], [2.5, 2.5]], []),  # a slip of the mouse
        ([[2, 2], [float("nan"), 2], [2, 9]], []),
    ],
)
def test_clean_rings(ring, expected_areas):
    cleaned = clean_rings([np.array(ring, dtype=float)], 10, 10)
    assert sorted(shapely.Polygon(r).area for r in cleaned) == pytest.approx(expected_areas)


def test_clean_rings_leaves_good_ones_as_they_are():
    ring = np.array([[0.0, 0], [10, 0], [10, 10]])
    assert clean_rings([ring], 10, 10)[0] is ring


def test_clean_rings_splits_a_comb_at_the_border():
    # A "U" lying on its side whose bar is outside: two separate bars of 4 x 2 stay.
    ring = np.array([[-2.0, 1], [4, 1], [4, 3], [0, 3], [-1, 3], [-1, 6], [4, 6], [4, 8], [-2, 8]])
    cleaned = clean_rings([ring], 10, 10)
    assert sorted(shapely.Polygon(r).area for r in cleaned) == pytest.approx([8.0, 8.0])


def test_box_and_area_of_overlapping_rings():
    rings = [np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]]), np.array([[2.0, 2], [6, 2], [6, 6], [2, 6]])]
    assert rings_box(rings) == [0, 0, 6, 6]
    assert rings_area(rings) == pytest.approx(16 + 16 - 4)


points = st.tuples(st.floats(-50, 150, width=32), st.floats(-50, 150, width=32))


@given(st.lists(points, min_size=1, max_size=12))
def test_any_ring_comes_back_inside_valid_and_not_larger(ring):
    cleaned = clean_rings([np.array(ring, dtype=float)], 100, 80)
    for part in cleaned:
        polygon = shapely.Polygon(part)
        assert polygon.area >= 0.99
        assert part.min() >= -1e-6 and part[:, 0].max() <= 100 + 1e-6 and part[:, 1].max() <= 80 + 1e-6
    if cleaned:
        hull = shapely.convex_hull(shapely.multipoints(np.array(ring, dtype=float)))
        assert rings_area(cleaned) <= hull.area * (1 + 1e-6)
