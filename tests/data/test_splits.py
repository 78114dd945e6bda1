import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_seg.data.splits import split_photos
from campus_seg.errors import ConfigError

NAMES = [f"{i:03}.jpg" for i in range(100)]


def test_sizes_and_seed():
    splits = split_photos(NAMES, [0.7, 0.1, 0.2], seed=0)
    assert {k: len(v) for k, v in splits.items()} == {"train": 70, "val": 10, "test": 20}
    assert splits == split_photos(NAMES[::-1], [0.7, 0.1, 0.2], seed=0)
    assert splits != split_photos(NAMES, [0.7, 0.1, 0.2], seed=1)


@pytest.mark.parametrize(
    "photos, shares, expected",
    [
        (1, [0.7, 0.1, 0.2], [1, 0, 0]),
        (2, [0.7, 0.1, 0.2], [1, 1, 0]),
        (3, [0.7, 0.1, 0.2], [1, 1, 1]),
        (5, [0.7, 0.1, 0.2], [3, 1, 1]),
        (5, [1, 0, 0], [5, 0, 0]),
        (5, [0.8, 0, 0.2], [4, 0, 1]),
        (4, [0.1, 0.45, 0.45], [1, 1, 2]),
    ],
)
def test_few_photos(photos, shares, expected):
    splits = split_photos(NAMES[:photos], shares, seed=3)
    assert sorted(map(len, splits.values())) == sorted(expected)
    assert len(splits["train"]) == expected[0]


@given(st.integers(1, 60), st.integers(0, 5), st.sampled_from([[0.7, 0.1, 0.2], [0.34, 0.33, 0.33], [0.5, 0.5, 0]]))
def test_every_photo_is_in_one_split(photos, seed, shares):
    splits = split_photos(NAMES[:photos], shares, seed)
    assert sorted(name for names in splits.values() for name in names) == NAMES[:photos]
    assert splits["train"]


@pytest.mark.parametrize("shares", [[0.7, 0.3], [0.7, 0.2, 0.2], [0, 0.5, 0.5], [1.2, -0.1, -0.1]])
def test_bad_shares(shares):
    with pytest.raises(ConfigError, match="CAMPUS.SPLIT"):
        split_photos(NAMES, shares, 0)
