"""Photos that must stay on one side of a split: bursts and copies, known by their names or by their looks."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import BinaryIO

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from campus_seg.data.split_file import Placed
from campus_seg.errors import ConfigError
from campus_seg.label_studio.export import Export
from campus_seg.label_studio.facts import Unreadable
from campus_seg.label_studio.index import PhotoIndex, given_name
from campus_seg.photos import DAMAGED, FORMATS, UPRIGHT, PhotoError, photo_size

PERCEPTUAL = "perceptual"

# A hash's 16 x 16 bits are the signs of the lowest frequencies of a photo. Alike are photos that differ in at most
# MAX_COARSE of the 8 x 8 lowest and in at most MAX_BITS of all. Of 60 real photos, copies moved by 2 %, turned by 1
# degree, brightened by 15 % or saved at quality 60 differ in at most 11 and 56; unrelated photos in at least 16 and 98,
# drawn scenes of one campus in at least 13 and 82.
SIDE, COARSE_SIDE = 16, 8
MAX_COARSE, MAX_BITS = 11, 64

_COARSE = np.zeros((SIDE, SIDE), bool)
_COARSE[:COARSE_SIDE, :COARSE_SIDE] = True

MAX_PRODUCTS, MAX_PAIRS = 1 << 23, 1 << 16  # worked on at once, which bounds the memory


def group_photos(
    export: Export, hashes: Mapping[str, str], absent: Mapping[str, Placed], group_by: str
) -> dict[str, int]:
    """Which photos may not be torn apart; those of the same bytes never may.

    Args:
        export: the photos.
        hashes: name -> SHA-256 of each.
        absent: identity -> photo of an earlier run that is not there. A pattern of names finds it, looks do not.
        group_by: CAMPUS.GROUP_BY: "" for no more than that, "perceptual" for photos that look alike, or a pattern of
            the base names that their owner gave them.

    Returns:
        Name, of an absent photo identity -> the number of its group. A photo that cannot be read, or whose name the
        pattern does not find, is alone.

    Raises:
        ConfigError: `group_by` is no regular expression, or finds no name.
    """
    marks: dict[str, list[Hashable]] = {name: [sha256] for name, sha256 in hashes.items()}
    marks.update({identity: [identity] for identity in absent})
    pattern = name_pattern(group_by)
    if pattern:
        names = {name: name for name in hashes} | {identity: known.name for identity, known in absent.items()}
        found = {key: name_mark(pattern, given_name(name)) for key, name in names.items()}
        if not any(found.values()):
            example = given_name(next(iter(names.values())))
            raise ConfigError(
                f"CAMPUS.GROUP_BY {group_by!r}: finds none of the photos' names, such as {example} (without Label "
                f"Studio's prefix); correct it, or give {PERCEPTUAL}, or ''"
            )
        for key, mark in found.items():
            if mark:
                marks[key].append(mark)
    elif group_by == PERCEPTUAL:
        seen = export.facts.find("looks", hashes, lambda name: _look(export.index, name))
        looks = {name: look for name, look in seen.items() if isinstance(look, str)}
        for name, group in zip(looks, look_alikes(list(looks.values())), strict=True):
            marks[name].append(group)
    return dict(zip(marks, join(list(marks.values())), strict=True))


def _look(index: PhotoIndex, name: str) -> str | Unreadable:
    try:
        with index.open(name) as stream:
            return perceptual_hash(stream)
    except (OSError, PhotoError) as error:
        return Unreadable(str(error))


def name_pattern(group_by: str) -> re.Pattern | None:
    """CAMPUS.GROUP_BY as a pattern of names; None where it is none: empty or "perceptual".

    Raises:
        ConfigError: it is no regular expression.
    """
    if group_by in ("", PERCEPTUAL):
        return None
    try:
        return re.compile(group_by)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"CAMPUS.GROUP_BY {group_by!r}: no regular expression ({error}); give one such as '^(.*)_[0-9]+', "
            f"{PERCEPTUAL}, or '' for no groups"
        ) from None


def name_mark(pattern: re.Pattern, name: str) -> tuple[str | None, ...] | None:
    """What photos of one group share of their names: the pattern's groups, else its match; None where it is not found.

    Args:
        pattern: searched in the name.
        name: the base name that the photo's owner gave it.
    """
    match = pattern.search(name)
    return match and (match.groups() or (match[0],))


def join(marks: Sequence[Iterable[Hashable]]) -> list[int]:
    """The group of each photo: the same number for those that share a mark, be it through others.

    Args:
        marks: of each photo, at least one.
    """
    numbers: dict[Hashable, int] = {}
    pairs = [(i, numbers.setdefault(mark, len(numbers))) for i, found in enumerate(marks) for mark in found]
    photos, shared = np.array(pairs, dtype=int).reshape(-1, 2).T
    return _components(len(marks) + len(numbers), photos, shared + len(marks))[: len(marks)].tolist()


def perceptual_hash(stream: BinaryIO) -> str:
    """What a photo looks like, upright, in 256 bits (imagehash.phash), those of the 8 x 8 lowest frequencies first.

    Args:
        stream: of the photo's bytes, seekable, at its start.

    Returns:
        64 hexadecimal digits.

    Raises:
        PhotoError: it cannot be read.
    """
    orientation = photo_size(stream)[2]
    stream.seek(0)
    try:
        with Image.open(stream, formats=FORMATS) as image:
            image.draft("L", (4 * SIDE, 4 * SIDE))  # a JPEG is then decoded at down to an eighth of its size
            wide = image.mode.startswith("I")  # 16-bit grey, which convert would clip
            grey = (
                Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
                if wide
                else image.convert("L")
            )
    except (OSError, *DAMAGED) as error:
        raise PhotoError(f"damaged: {error}") from None
    bits = imagehash.phash(grey.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else grey, SIDE).hash
    return np.packbits(np.concatenate([bits[_COARSE], bits[~_COARSE]])).tobytes().hex()


def look_alikes(hashes: Sequence[str]) -> list[int]:
    """The group of each photo: the same number for those that look alike, be it through others.

    Every pair is compared. As products of matrices that takes seconds for 100,000 photos, and unlike an index, which
    degenerates where many photos are nearly the same, it has a bound.

    Args:
        hashes: of `perceptual_hash`.
    """
    distinct, places = np.unique(np.array(hashes, dtype="S64"), return_inverse=True)
    digits = np.frombuffer(bytes.fromhex(b"".join(distinct.tolist()).decode()), np.uint8)
    # The product of two rows of -1 and 1 is their length less twice the number of places where they differ.
    signs = np.unpackbits(digits).reshape(-1, SIDE**2).astype(np.float32) * 2 - 1
    coarse = signs[:, : COARSE_SIDE**2]
    groups = np.arange(len(signs))
    block = max(1, MAX_PRODUCTS // max(1, len(signs)))
    for start in range(0, len(signs), block):
        rows, others = slice(start, start + block), slice(start, None)
        close = coarse[rows] @ coarse[others].T >= COARSE_SIDE**2 - 2 * MAX_COARSE
        dense = np.count_nonzero(close) > MAX_PAIRS
        if dense:
            close &= groups[rows, None] != groups[others]
            close &= signs[rows] @ signs[others].T >= SIDE**2 - 2 * MAX_BITS
        first, second = np.nonzero(close) + np.int64(start)
        if not dense:
            near = np.count_nonzero(signs[first] != signs[second], axis=1) <= MAX_BITS
            first, second = first[near], second[near]
        if (groups[first] != groups[second]).any():
            groups = _components(len(groups), groups[first], groups[second])[groups]
    return groups[places].tolist()


def _components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The connected component of each of `count` nodes with these edges."""
    edges = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(edges, directed=False)[1]
