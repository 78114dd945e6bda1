"""A run's split.json: where every photo is, by its content, for the runs that come after."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from campus_seg.atomic_writes import write_json
from campus_seg.data.splits import SPLITS
from campus_seg.errors import ConfigError

ABSENT = "absent"
SHA256 = re.compile(r"[0-9a-f]{64}")


class Placed(NamedTuple):
    """Where an earlier run put a photo, and what it was called there."""

    split: str
    name: str


def read_split(path: Path) -> dict[str, Placed]:
    """Reads a split.json: {split: {name: SHA-256}}, or {split: [name]} as earlier versions wrote it.

    Returns:
        Identity -> where it is, also of photos that were absent from that run. An identity is the SHA-256 of the
        photo's bytes in hex; of a file without them the photo's name.

    Raises:
        ConfigError: it is missing or damaged.
    """
    try:
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or error
    except (ValueError, RecursionError) as error:
        reason = error
    raise ConfigError(f"{path}: no split that can be read ({reason}); give a run's split.json with CAMPUS.SPLIT_FILE")


def write_split(
    path: Path, splits: Mapping[str, list[str]], hashes: Mapping[str, str], earlier: Mapping[str, Placed]
) -> None:
    """Writes a run's split.json, with the earlier photos that are absent from it, which may come back.

    Args:
        path: to write to.
        splits: split -> names of photos.
        hashes: name -> SHA-256 in hex.
        earlier: what `read_split` gave of the split that this one extends.
    """
    content: dict[str, Any] = {split: {name: hashes[name] for name in splits[split]} for split in SPLITS}
    absent = absent_photos(earlier, hashes)
    if absent:
        content[ABSENT] = {
            split: {identity: placed.name for identity, placed in absent.items() if placed.split == split}
            for split in SPLITS
        }
    write_json(path, content)


def absent_photos(earlier: Mapping[str, Placed], hashes: Mapping[str, str]) -> dict[str, Placed]:
    """The part of an earlier split that none of these photos (name -> SHA-256) is."""
    there = {*hashes, *hashes.values()}
    return {identity: placed for identity, placed in earlier.items() if identity not in there}


def _parse(content: Any) -> dict[str, Placed]:
    if not isinstance(content, dict) or not {*SPLITS} <= content.keys() <= {*SPLITS, ABSENT}:
        raise ValueError(f"it should hold {', '.join(SPLITS)} and nothing else but {ABSENT}")
    absent = content.get(ABSENT, {})
    if not isinstance(absent, dict) or not absent.keys() <= {*SPLITS}:
        raise ValueError(f"{ABSENT} should hold {', '.join(SPLITS)}")
    found: dict[str, Placed] = {}
    for split in SPLITS:
        for identity, name in (*_present(content[split], split), *_absent(absent.get(split, {}), split)):
            if found.setdefault(identity, Placed(split, name)).split != split:
                raise ValueError(f"{name} is in both {found[identity].split} and {split}")
    return found


def _present(part: Any, split: str) -> list[tuple[str, str]]:
    """(Identity, name) of the photos of a split."""
    if isinstance(part, list) and all(isinstance(name, str) for name in part):
        return [(name, name) for name in part]
    if isinstance(part, dict) and all(isinstance(value, str) and SHA256.fullmatch(value) for value in part.values()):
        return [(value, name) for name, value in part.items()]
    raise ValueError(f"{split} should give every photo's name its SHA-256")


def _absent(part: Any, split: str) -> list[tuple[str, str]]:
    if isinstance(part, dict) and all(isinstance(name, str) for name in part.values()):
        return list(part.items())
    raise ValueError(f"{split} of {ABSENT} should give every SHA-256 a photo's name")
