"""Which photos train, which choose and which judge the model."""

from collections.abc import Sequence

import numpy as np

from campus_seg.errors import ConfigError

SPLITS = ("train", "val", "test")


def split_photos(names: Sequence[str], shares: Sequence[float], seed: int) -> dict[str, list[str]]:
    """Draws train, val and test.

    Args:
        names: of the photos; their order does not matter.
        shares: of train, val and test; they sum to 1.
        seed: of the draw; the same names, shares and seed give the same splits.

    Returns:
        Split -> names in alphabetical order. A split with a share above 0 gets at least one photo where there are
        enough; train, which nothing can do without, first.

    Raises:
        ConfigError: shares that are no three shares of a whole.
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or shares[0] <= 0:
        raise ConfigError(f"CAMPUS.SPLIT {list(shares)}: give three shares (train, val, test) that sum to 1")
    order = np.random.default_rng(seed).permutation(len(names))
    shuffled = [sorted(names)[i] for i in order]
    wanted = [i for i, share in enumerate(shares) if share > 0]
    sizes = [0] * len(SPLITS)
    for split in wanted[: len(names)]:
        sizes[split] = 1
    for split in wanted[1:]:
        sizes[split] = max(sizes[split], int(round(shares[split] * len(names))))
    while sum(sizes[1:]) >= len(names) > 1:  # rounding must leave train its photo
        sizes[int(np.argmax(sizes[1:])) + 1] -= 1
    sizes[0] = len(names) - sum(sizes[1:])
    ends = np.cumsum(sizes)
    return {split: sorted(shuffled[end - n : end]) for split, n, end in zip(SPLITS, sizes, ends, strict=True)}
