"""Which photos train, which choose and which judge the model."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from campus_seg.errors import ConfigError

SPLITS = ("train", "val", "test")
BACKGROUND = None  # stands among the labels for photos without objects, so that they are spread, too


@dataclass(frozen=True)
class SplitPhoto:
    """A photo as the draw sees it.

    Attributes:
        name: what the result calls it.
        labels: the classes on it.
        identity: by what the draw knows it, so that another name draws no other split; "" = by its name.
        group: photos of one group stay on one side; None = it is alone.
        home: the split that an earlier draw gave it, where it stays; "" = it is new.
    """

    name: str
    labels: frozenset[str] = frozenset()
    identity: str = ""
    group: Hashable = None
    home: str = ""


def split_photos(
    photos: Sequence[SplitPhoto], shares: Sequence[float], seed: int, absent: Sequence[SplitPhoto] = ()
) -> dict[str, list[str]]:
    """Draws train, val and test, every class in their shares; photos of an earlier draw stay, new ones fill up.

    Before the shares come: a group is on one side, that of most of its old photos where it has some (whatever the
    share of that side is now); a class reaches train before val and test, so that one with a single photo trains; a
    split with a share above 0 gets a photo where there are groups enough, train first.

    Args:
        photos: their order does not matter.
        shares: of train, val and test; they sum to 1.
        seed: of the draw; the same photos, shares and seed give the same splits.
        absent: photos of an earlier draw that are not there now; they only say where their groups are.

    Returns:
        Split -> names in alphabetical order.

    Raises:
        ConfigError: shares that are no three shares of a whole.
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or shares[0] <= 0:
        raise ConfigError(f"CAMPUS.SPLIT {list(shares)}: give three shares (train, val, test) that sum to 1")
    sides: dict[Hashable, list[str]] = defaultdict(list)
    for photo in (*photos, *absent):
        if photo.home:
            sides[_group(photo)].append(photo.home)
    placed: dict[str, list[SplitPhoto]] = {split: [] for split in SPLITS}
    new: dict[Hashable, list[SplitPhoto]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: (photo.identity or photo.name, photo.name)):
        group = _group(photo)
        if photo.home:
            placed[photo.home].append(photo)
        elif group in sides:
            placed[max(SPLITS, key=sides[group].count)].append(photo)
        else:
            new[group].append(photo)
    _stratify(list(new.values()), placed, dict(zip(SPLITS, shares, strict=True)), seed)
    return {split: sorted(photo.name for photo in placed[split]) for split in SPLITS}


def _group(photo: SplitPhoto) -> Hashable:
    return ("alone", photo.name) if photo.group is None else ("group", photo.group)


def _count(photos: Iterable[SplitPhoto]) -> Counter:
    """Label -> number of photos with it."""
    return Counter(label for photo in photos for label in photo.labels or (BACKGROUND,))


def _sizes(photos: int, shares: Mapping[str, float]) -> dict[str, int]:
    """The shares in whole photos, by largest remainders; at least one each while there are any, train first."""
    exact = {split: round(share * photos, 6) for split, share in shares.items() if share > 0}
    least = {split: int(i < photos) for i, split in enumerate(exact)}
    sizes = {split: max(least[split], int(exact[split])) for split in exact}
    while sum(sizes.values()) < photos:
        sizes[max(exact, key=lambda split: exact[split] - sizes[split])] += 1
    while sum(sizes.values()) > photos:
        spare = [split for split in exact if sizes[split] > least[split]]
        sizes[max(spare, key=lambda split: sizes[split] - exact[split])] -= 1
    return sizes


def _stratify(
    groups: list[list[SplitPhoto]], placed: dict[str, list[SplitPhoto]], shares: Mapping[str, float], seed: int
) -> None:
    """Adds whole groups to `placed` by iterative stratification, those with the rarest label first.

    Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", 2011. They look at the rarest label
    alone; all labels of a group together bring common ones several times closer to their shares. The package
    iterative-stratification knows neither groups of several photos nor photos that have their place already.
    """
    rng = np.random.default_rng(seed)
    groups = [groups[i] for i in rng.permutation(len(groups))]
    luck = [dict(zip(SPLITS, numbers, strict=True)) for numbers in rng.random((len(groups), len(SPLITS))).tolist()]
    counts = [_count(group) for group in groups]
    holders: dict[str | None, list[int]] = defaultdict(list)
    for i, count in enumerate(counts):
        for label in count:
            holders[label].append(i)
    waiting = {label: len(holders[label]) for label in sorted(holders, key=lambda label: (label is None, label))}
    left = dict.fromkeys(range(len(groups)))

    everything = [photo for part in (*groups, *placed.values()) for photo in part]
    totals = _count(everything)
    room = {split: size - len(placed[split]) for split, size in _sizes(len(everything), shares).items()}
    wanted_size = {split: max(1, photos) for split, photos in room.items()}
    wanted = {}
    for split in room:
        there = _count(placed[split])
        wanted[split] = {label: max(0.1, shares[split] * totals[label] - there[label]) for label in waiting}
    missing = {split: Counter(wanted[split]) for split in room}
    learned = {*_count(placed["train"])}

    def gain(i: int, split: str) -> float:
        """By how much chi-square falls: the sum of missing^2 / wanted over labels and photos."""
        terms = [(missing[split][label], wanted[split][label], n) for label, n in counts[i].items()]
        terms.append((room[split], wanted_size[split], len(groups[i])))
        return round(sum((2 * lack - n) * n / whole for lack, whole, n in terms), 9)

    def choose(i: int) -> str:
        if any(waiting[label] == 1 and label not in learned for label in counts[i] if label is not BACKGROUND):
            return "train"  # the last chance for a class to be learned
        empty = [split for split in room if not placed[split]]
        if len(left) <= len(empty):
            return empty[0]
        fitting = [split for split in room if room[split] >= len(groups[i])]
        if not fitting:
            return max(room, key=room.__getitem__)
        return max(fitting, key=lambda split: (gain(i, split), luck[i][split]))

    while left:
        label = min((label for label in waiting if waiting[label]), key=waiting.__getitem__)
        # Large groups first: small ones fit into what they leave.
        for i in sorted(holders[label], key=lambda i: (counts[i][label], len(groups[i])), reverse=True):
            if i in left:
                split = choose(i)
                del left[i]
                placed[split] += groups[i]
                room[split] -= len(groups[i])
                missing[split].subtract(counts[i])
                if split == "train":
                    learned.update(counts[i])
                for each in counts[i]:
                    waiting[each] -= 1
