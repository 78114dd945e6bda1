import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_seg.data.splits import SPLITS, SplitPhoto, split_photos
from campus_seg.errors import ConfigError

NAMES = [f"{i:03}.jpg" for i in range(100)]
SHARES = [0.7, 0.1, 0.2]
CLASSES = ["bench", "car", "dog", "person"]


def plain(names):
    return [SplitPhoto(name) for name in names]


def sizes(splits):
    return [len(splits[split]) for split in SPLITS]


def where(splits):
    return {name: split for split, names in splits.items() for name in names}


def after(photos, splits):
    """The photos as the next draw sees them."""
    home = where(splits)
    return [SplitPhoto(p.name, p.labels, p.identity, p.group, home[p.name]) for p in photos]


def labelled(rng, photos, probabilities):
    """Photos that hold class i with the i-th probability."""
    there = rng.random((photos, len(probabilities))) < probabilities
    return [SplitPhoto(f"{i:05}", frozenset(f"c{k:02}" for k in np.flatnonzero(row))) for i, row in enumerate(there)]


def worst_class(photos, splits, shares=SHARES):
    """By how many photos the class that is off most differs from its share."""
    home = where(splits)
    total = Counter(label for photo in photos for label in photo.labels)
    there = Counter((home[photo.name], label) for photo in photos for label in photo.labels)
    parts = zip(SPLITS, shares, strict=True)
    return max(abs(there[split, label] - share * n) for split, share in parts for label, n in total.items())


def test_sizes_and_seed():
    splits = split_photos(plain(NAMES), [0.7, 0.1, 0.2], seed=0)
    assert {k: len(v) for k, v in splits.items()} == {"train": 70, "val": 10, "test": 20}
    assert splits == split_photos(plain(NAMES[::-1]), [0.7, 0.1, 0.2], seed=0)
    assert splits != split_photos(plain(NAMES), [0.7, 0.1, 0.2], seed=1)


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
    splits = split_photos(plain(NAMES[:photos]), shares, seed=3)
    assert sorted(map(len, splits.values())) == sorted(expected)
    assert len(splits["train"]) == expected[0]


@given(st.integers(1, 60), st.integers(0, 5), st.sampled_from([[0.7, 0.1, 0.2], [0.34, 0.33, 0.33], [0.5, 0.5, 0]]))
def test_every_photo_is_in_one_split(photos, seed, shares):
    splits = split_photos(plain(NAMES[:photos]), shares, seed)
    assert sorted(name for names in splits.values() for name in names) == NAMES[:photos]
    assert splits["train"]
    for size, share in zip(sizes(splits), shares, strict=True):
        assert abs(size - share * photos) < 1 or photos < 6


@pytest.mark.parametrize("shares", [[0.7, 0.3], [0.7, 0.2, 0.2], [0, 0.5, 0.5], [1.2, -0.1, -0.1]])
def test_bad_shares(shares):
    with pytest.raises(ConfigError, match="CAMPUS.SPLIT"):
        split_photos(plain(NAMES), shares, 0)


def test_four_photos_by_hand():
    """Two dogs for half and half, two backgrounds likewise."""
    photos = [
        SplitPhoto(name, frozenset(labels)) for name, labels in {"a": ["dog"], "b": ["dog"], "c": [], "d": []}.items()
    ]
    for seed in range(5):
        home = where(split_photos(photos, [0.5, 0, 0.5], seed))
        assert {home["a"], home["b"]} == {home["c"], home["d"]} == {"train", "test"}


@pytest.mark.parametrize("probabilities", [[0.5, 0.3, 0.1, 0.05], [0.4, 0.4, 0.02, 0.02, 0.02, 0.2, 0.1]])
@pytest.mark.parametrize("photos", [100, 1000])
def test_classes_come_in_their_shares(photos, probabilities):
    drawn = labelled(np.random.default_rng(photos), photos, probabilities)
    chance = []
    for seed in range(50):
        order = np.random.default_rng(seed).permutation(photos)
        parts = np.split([drawn[i].name for i in order], [photos * 7 // 10, photos * 8 // 10])
        chance.append(worst_class(drawn, dict(zip(SPLITS, parts, strict=True))))
    for seed in range(5):
        splits = split_photos(drawn, SHARES, seed)
        assert sizes(splits) == [photos * 7 // 10, photos // 10, photos // 5]
        assert worst_class(drawn, splits) < min(np.mean(chance) / 2, np.min(chance))
    background = [photo.name for photo in drawn if not photo.labels]
    for split, share in zip(SPLITS, SHARES, strict=True):
        assert abs(len({*background} & {*splits[split]}) - share * len(background)) <= 2


def test_a_class_that_is_rare_trains():
    for seed in range(20):
        photos = labelled(np.random.default_rng(seed), 60, [0.4, 0.3])
        photos[7] = SplitPhoto("07", frozenset(["horse", "c00"]))  # on one photo
        for i in (20, 30):  # on two groups
            photos[i] = SplitPhoto(f"{i}", frozenset(["statue"]), group="s")
            photos[i + 1] = SplitPhoto(f"{i + 1}", frozenset(["fountain"]), group=f"f{i}")
        home = where(split_photos(photos, [0.2, 0.4, 0.4], seed))
        assert home["07"] == "train" == home["20"] == home["30"]
        assert "train" in (home["21"], home["31"])


def test_a_class_that_an_earlier_draw_kept_from_train_reaches_it():
    old = [SplitPhoto(f"old{i}", frozenset(["dog"]), home="test") for i in range(5)]
    others = [SplitPhoto(f"new{i}", frozenset(["car"])) for i in range(5)]
    home = where(split_photos([*old, *others, SplitPhoto("x", frozenset(["dog", "car"]))], [0.1, 0.1, 0.8], 0))
    assert home["x"] == "train"


photo = st.builds(
    SplitPhoto,
    name=st.uuids().map(str),
    labels=st.frozensets(st.sampled_from(CLASSES)),
    group=st.none() | st.integers(0, 8),
    home=st.sampled_from(["", "", *SPLITS]),
)
photos_of = st.lists(photo, max_size=40, unique_by=lambda photo: photo.name)
shares_of = st.sampled_from([SHARES, [0.34, 0.33, 0.33], [0.5, 0.5, 0], [1, 0, 0]])


@given(photos_of, photos_of, shares_of, st.integers(0, 3))
def test_what_always_holds(photos, absent, shares, seed):
    splits = split_photos(photos, shares, seed, absent)
    assert Counter(where(splits).keys()) == Counter(photo.name for photo in photos)
    assert splits == split_photos(photos[::-1], shares, seed, absent[::-1])
    home = where(splits)
    sides = {}
    for each in (*photos, *absent):
        if each.home:
            sides.setdefault(each.group, Counter())[each.home] += 1
    for each in photos:
        if each.home:  # stability
            assert home[each.name] == each.home
        elif each.group is not None and each.group in sides:
            assert sides[each.group][home[each.name]] == max(sides[each.group].values())
        else:
            assert shares[SPLITS.index(home[each.name])] > 0
    new = {each.group for each in photos} - {None, *sides}
    for group in new:  # never torn
        assert len({home[each.name] for each in photos if each.group == group}) == 1
    assert split_photos(after(photos, splits), shares, seed + 1) == splits
    reached = {label for each in photos if home[each.name] == "train" for label in each.labels}
    free = {label for each in photos if not each.home and each.group not in {*sides} - {None} for label in each.labels}
    assert free <= reached


@given(photos_of, photos_of, shares_of)
def test_an_earlier_draw_and_any_new_photos(first, more, shares):
    first = [SplitPhoto(each.name, each.labels, group=each.group) for each in first]
    before = split_photos(first, SHARES, 0)
    now = where(split_photos([*after(first, before), *more], shares, 7))
    assert all(now[name] == split for name, split in where(before).items())


def test_new_photos_fill_up_what_is_missing():
    for seed, shares in enumerate([[1, 0, 0], [0.5, 0.25, 0.25], SHARES, [0.1, 0, 0.9]]):
        photos = labelled(np.random.default_rng(seed), 300, [0.4, 0.2, 0.1])
        first = split_photos(photos[:60], shares, 0)
        splits = split_photos([*after(photos[:60], first), *photos[60:]], SHARES, 0)
        assert sizes(splits) == [210, 30, 60]
        assert worst_class(photos, splits) < 2.5


def test_a_name_does_not_matter_where_there_is_an_identity():
    rng = np.random.default_rng(0)
    photos = labelled(rng, 50, [0.4, 0.2])
    first = [SplitPhoto(f"a{p.name}", p.labels, identity=p.name) for p in photos]
    other = [SplitPhoto(f"{rng.integers(10**9):09}{p.name}", p.labels, identity=p.name) for p in photos]
    one, two = (where(split_photos(each, SHARES, 0)) for each in (first, other))
    assert {name[-5:]: split for name, split in one.items()} == {name[-5:]: split for name, split in two.items()}


def test_bursts_of_every_size_come_near_the_shares():
    rng = np.random.default_rng(1)
    photos = [SplitPhoto(f"{i:05}", frozenset([CLASSES[i % 4]]), group=int(rng.integers(120))) for i in range(600)]
    largest = max(Counter(each.group for each in photos).values())
    splits = split_photos(photos, SHARES, 0)
    for size, share in zip(sizes(splits), SHARES, strict=True):
        assert abs(size - share * 600) <= largest


@pytest.mark.parametrize("groups, expected", [(1, [5, 0, 0]), (2, [5, 5, 0]), (3, [5, 5, 5]), (4, [10, 5, 5])])
def test_few_groups(groups, expected):
    photos = [SplitPhoto(f"{i:02}", group=i // 5) for i in range(5 * groups)]
    assert sizes(split_photos(photos, SHARES, 0)) == expected


def test_a_hundred_thousand_photos_take_seconds():
    photos = labelled(np.random.default_rng(0), 100_000, 0.5 / np.arange(1, 31))
    start = time.process_time()
    splits = split_photos(photos, SHARES, 0)
    assert time.process_time() - start < 20
    assert sizes(splits) == [70_000, 10_000, 20_000]
