import numpy as np
import pytest

from campus_seg.inference.contact_sheet import GAP, TILE, contact_sheet, evenly_spaced, thumbnail


@pytest.mark.parametrize(
    "count, wanted, expected",
    [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (100, 4, [0, 33, 66, 99])],
)
def test_evenly_spaced(count, wanted, expected):
    assert evenly_spaced(count, wanted) == expected


def test_thumbnails_keep_their_aspect_and_never_grow():
    assert thumbnail(np.zeros((600, 1200, 3), np.uint8)).shape == (TILE // 2, TILE, 3)
    assert thumbnail(np.zeros((5000, 3, 3), np.uint8)).shape == (TILE, 1, 3)
    small = np.zeros((20, 30, 3), np.uint8)
    assert thumbnail(small) is small


def test_thumbnails_stand_in_reading_order():
    greys = [20 * i for i in range(8)]
    sheet = contact_sheet([np.full((100, TILE, 3), grey, np.uint8) for grey in greys], [f"{g}.jpg" for g in greys])
    columns = [GAP + TILE // 2 + column * (TILE + GAP) for column in range(6)]
    below = (sheet.shape[0] - GAP - 200) // 2
    assert [sheet[GAP + 50, x].tolist() for x in columns] == [[grey] * 3 for grey in greys[:6]]
    assert [sheet[GAP + 150 + below, x].tolist() for x in columns[:2]] == [[grey] * 3 for grey in greys[6:]]
    assert (sheet[GAP + 100 :][:below, : TILE + GAP] < 100).any()  # the first name


def test_a_long_name_stays_below_its_thumbnail():
    pictures = [np.full((50, 60, 3), 245, np.uint8)] * 2
    short, long = (contact_sheet(pictures, [name, "b.jpg"]) for name in ("a.jpg", f"{'long' * 50}.jpg"))
    assert short.shape == long.shape
    assert (short[:, TILE + GAP :] == long[:, TILE + GAP :]).all()
    assert (long[:, :GAP] == 245).all() and not (short == long).all()
