"""What an input behind a URI means: a folder, a file, a pattern, a list or a COCO file, as one on this disk does."""

import glob
import itertools
import json
import re
from collections.abc import Iterator

from fsspec.utils import glob_translate

from campus_seg.errors import ConfigError, StorageError
from campus_seg.storage import checked_uri, is_uri, join, shown, stays_below
from campus_seg.storage_cache import local_file
from campus_seg.storage_objects import address, listing, parent, split, stat

LIST_ENDING = ".txt"
NOTHING = "no such file or folder; give a folder, photos, a pattern or a COCO .json"
Found = tuple[str, str, str]  # URI of a folder, name of a file below it, and the file's stamp


def find_remote(uri: str) -> Iterator[Found]:
    """The files that are meant.

    Raises:
        ConfigError: there are none, or a list or a COCO file cannot be used.
        StorageError: they cannot be listed.
    """
    uri = checked_uri(uri)
    folder, name = split(uri)
    try:
        known = stat(uri)
    except StorageError as error:  # a name that is there is no pattern, as on a disk
        if not (error.missing and glob.has_magic(uri.partition("://")[2].partition("/")[2])):
            raise
        yield from _matching(uri)
        return
    if known is None:
        found = listing(uri)
        if not found:
            raise ConfigError(f"{shown(uri)}: {NOTHING}")
        yield from ((uri, below, each.stamp) for below, each in found.items())
    elif uri.lower().endswith(LIST_ENDING):
        yield from _listed(uri)
    elif uri.lower().endswith(".json"):
        yield from _of_coco(uri)
    else:
        yield folder, name, known.stamp


def named_uri(uri: str) -> tuple[str, str]:
    """The folder, and the name below it, of a photo that a COCO file names by its URI.

    Raises:
        StorageError: it holds a secret, or cannot be used.
    """
    return split(checked_uri(uri))


def _matching(uri: str) -> Iterator[Found]:
    parts = uri.split("/")
    folder = "/".join(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    pattern = re.compile(glob_translate(uri[len(folder) + 1 :]))
    found = {name: known for name, known in listing(folder).items() if pattern.fullmatch(name)}
    if not found:
        raise ConfigError(f"{shown(uri)}: {NOTHING}")
    yield from ((folder, name, known.stamp) for name, known in found.items())


def _listed(uri: str) -> Iterator[Found]:
    with local_file(uri) as path:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{shown(uri)}: cannot be read as a list of photos ({error})") from None
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        entry = line if is_uri(line) else join(parent(uri), line)
        for folder, name, stamp in find_remote(entry):
            whole = address(folder, name)
            if not is_uri(line) and whole.startswith(f"{parent(uri)}/"):
                folder, name = split(whole, parent(uri))  # noqa: PLW2901
            yield folder, name, stamp


def _of_coco(uri: str) -> Iterator[Found]:
    """The photos of a COCO file: in images/ beside it, else beside it, else where their URIs say."""
    with local_file(uri) as path:
        try:
            names = [image["file_name"] for image in json.loads(path.read_bytes())["images"]]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f'{shown(uri)}: no COCO file, which has "images" with a "file_name" each') from None
    folder = parent(uri)
    there = listing(folder) if any(not is_uri(name) for name in names) else {}
    for name in names:
        if is_uri(name):
            yield *named_uri(name), ""
            continue
        if not isinstance(name, str) or not stays_below(name):
            raise ConfigError(f"{shown(uri)}: file_name {name!r} lies outside of its folder; give the photos' folder")
        inside = f"images/{name}"
        root, known = (join(folder, "images"), there[inside]) if inside in there else (folder, there.get(name))
        yield root, name, known.stamp if known else ""
    if names and there and not any(name in there or f"images/{name}" in there for name in map(str, names)):
        raise ConfigError(f"{shown(uri)}: none of its {len(names)} photos lies in images/ beside it, or beside it")
