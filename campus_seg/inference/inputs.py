"""The photos and videos of folders, patterns, lists and COCO .json files: which they are, and their names."""

import glob
import itertools
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from campus_seg.errors import ConfigError
from campus_seg.inference.remote_inputs import LIST_ENDING, NOTHING, find_remote, named_uri
from campus_seg.storage import is_uri, place
from campus_seg.storage_objects import address, split

PHOTO_ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".3gp", ".avi")
SHOWN = 8  # endings of other files in a message
LONGEST = 250  # bytes of an output's name without its ending, of the 255 that file systems take

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputPhoto:
    """A photo to mask, or a video, or a frame of one.

    Attributes:
        path: where it lies; a str is a URI.
        file_name: its path below its input folder, with "/"; of several inputs that hold the same, with the
            input folder's name in front.
        name: what its outputs are called: `file_name` without the ending, or with it where two would be the same, or
            one would be called as a folder; "" where there will be none.
        fault: why it cannot be read, where that is known before it is opened; then `path` may be a folder.
        stamp: of a file behind a URI, differs when it may have changed.
    """

    path: Path | str
    file_name: str
    name: str = ""
    fault: str = ""
    stamp: str = ""


@dataclass(frozen=True)
class FoundPhotos:
    """What `find_photos` found.

    Attributes:
        photos: by `file_name`, each with a `name` of its own.
        skipped: files that are neither photos nor videos by their names.
        videos: by `file_name`, each with a `name` of its own among the videos.
    """

    photos: list[InputPhoto]
    skipped: int
    videos: list[InputPhoto]


def find_photos(inputs: Sequence[str], output: Path | str) -> FoundPhotos:
    """Lists the photos and videos that are meant.

    Args:
        inputs: folders (searched with all below them), photo and video files, patterns such as "walk/**/*.jpg", COCO
            .json files, whose photos are meant, and .txt files with an input on each line, relative to the .txt's
            folder; or the URIs of any of these.
        output: the folder that will be written to; a str is a URI.

    Raises:
        ConfigError: an input is missing, unusable or a folder that cannot be listed, `output` lies in it, or there is
            neither a photo nor a video.
    """
    skipped: Counter[str] = Counter()  # by their endings
    roots: dict[Path | str, list[str]] = {}  # input folder -> photos, relative to it
    faults: dict[Path, str] = {}
    stamps: dict[str, str] = {}  # of those behind URIs
    seen: set[str] = set()
    for base, path in _expanded(inputs):
        if isinstance(path, str):
            found = []
            for root, name, stamp in find_remote(path):
                found.append((root, name))
                stamps[address(root, name)] = stamp
            _check_apart(output, path)
        elif path.is_dir():
            _check_apart(output, path)
            found = [(path, name) for name in _walk(path, faults)]
        elif path.suffix.lower() == ".json":
            found = _photos_of_coco(path)
        else:
            found = [(base, path.relative_to(base).as_posix())]
        for root, name in found:
            whole = _joined(root, name)
            absolute = whole if is_uri(whole) else os.path.abspath(whole)  # noqa: PTH100 (resolve() would follow links)
            if absolute in seen:
                continue
            seen.add(absolute)
            ending = PurePosixPath(name).suffix.lower()
            if PurePosixPath(name).name.startswith("."):  # hidden, as what macOS keeps beside a photo
                ending = ""
            if whole in faults or ending in (*PHOTO_ENDINGS, *VIDEO_ENDINGS):
                roots.setdefault(root, []).append(name)
            else:
                skipped[PurePosixPath(name).suffix.lower()] += 1
    photos = [
        replace(photo, fault=faults.get(photo.path, ""), stamp=stamps.get(photo.path, ""))
        for photo in _with_file_names(roots)
    ]
    if not photos:
        endings = " ".join((*PHOTO_ENDINGS, *VIDEO_ENDINGS))
        kinds = " ".join(sorted(filter(None, skipped))[:SHOWN])
        others = f", but {skipped.total()} other files" + (f" ({kinds})" if kinds else "") if skipped else ""
        raise ConfigError(f"{', '.join(map(str, inputs))}: no photos or videos here ({endings}){others}")
    photos.sort(key=lambda photo: photo.file_name)
    both: tuple[list[InputPhoto], list[InputPhoto]] = ([], [])
    for photo in photos:
        both[photo.file_name.lower().endswith(VIDEO_ENDINGS) and not photo.fault].append(photo)
    # Named apart: phones write a photo and a video of one moment with the same name, and their outputs never meet.
    photos, videos = map(_with_names, both)
    return FoundPhotos(photos, skipped.total(), videos)


def _check_apart(output: Path | str, photos: Path | str) -> None:
    """Refuses to write where photos are looked for: results would be masked the next time."""
    if is_uri(output) and is_uri(photos):
        inside = f"{output}/".startswith(f"{photos.rstrip('/')}/")
    else:
        inside = not (is_uri(output) or is_uri(photos)) and output.resolve().is_relative_to(photos.resolve())
    if inside:
        raise ConfigError(f"{output}: lies in the photos' folder {photos}; give another --output")


def _joined(root: Path | str, name: str) -> Path | str:
    return address(root, name) if isinstance(root, str) else root / name


def _expanded(inputs: Iterable[str], folder: Path | None = None) -> Iterator[tuple[Path, Path | str]]:
    """The files and folders that inputs mean: what patterns match, and what lists name.

    Args:
        inputs: see `find_photos`.
        folder: of the list that they are from.

    Yields:
        The folder that a file's name is kept below, and the file or folder; a URI as it is, which is a str.

    Raises:
        ConfigError: there is no such file or folder, or a list cannot be read.
    """
    for entry in inputs:
        if is_uri(entry):
            yield Path(), entry
            continue
        path = Path(entry)
        if path.is_file() and path.suffix.lower() == LIST_ENDING:
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{path}: cannot be read as a list of photos ({error})") from None
            listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            yield from _expanded((str(place(path.parent, line)) for line in listed), path.parent)
        elif path.exists():
            yield folder if folder and path.is_relative_to(folder) else path.parent, path
        else:
            # Not Path.glob, which takes no absolute patterns.
            matches = sorted(glob.glob(entry, recursive=True)) if glob.has_magic(entry) else []  # noqa: PTH207
            if not matches:
                raise ConfigError(f"{path}: {NOTHING}")
            fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
            base = Path(*fixed)
            yield from ((base, Path(match)) for match in matches)


def _walk(folder: Path, faults: dict[Path, str]) -> Iterable[str]:
    """Files below `folder`, relative to it.

    Folders below that cannot be listed are among them, and come into `faults`. Linked ones, which may lead round in a
    circle, are told and not searched.
    """
    unlisted: list[OSError] = []
    linked: list[Path] = []
    for above, folders, files in os.walk(folder, onerror=unlisted.append):
        folders.sort()
        linked += (path for path in (Path(above, name) for name in folders) if path.is_symlink())
        for name in sorted(files):
            yield Path(above, name).relative_to(folder).as_posix()
    if linked:
        first = linked[0].relative_to(folder)
        logger.warning(f"{folder}: {len(linked)} linked folders are not searched ({first} …); give them as inputs too")
    for error in unlisted:
        fault = f"the folder cannot be listed ({error.strerror})"
        if Path(error.filename) == folder:
            raise ConfigError(f"{folder}: {fault}; allow reading it, or give another folder")
        faults[Path(error.filename)] = fault
        yield Path(error.filename).relative_to(folder).as_posix()


def _photos_of_coco(path: Path) -> list[tuple[Path | str, str]]:
    """The photos of a COCO file as (folder, path below it): in `images/` beside the file, else beside it.

    Absolute paths and URIs are taken as they are: an import of a folder leaves its photos where they lie.

    A photo that lies in neither is returned too: reading it fails, and the failure is listed.

    Raises:
        ConfigError: no COCO file, a photo outside of both folders, or not one of the photos exists.
    """
    try:
        images = json.loads(path.read_bytes())["images"]
        names = [image["file_name"] for image in images]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f'{path}: no COCO file, which has "images" with a "file_name" each') from None
    folders = (path.parent / "images", path.parent)
    found: list[tuple[Path | str, str]] = []
    for name in names:
        if is_uri(name):
            found.append(named_uri(name))
            continue
        if not isinstance(name, str) or not name or "\0" in name:
            raise ConfigError(f"{path}: file_name {name!r} is no path")
        inside = [(folder, below) for folder in folders if (below := _below(folder, name))]
        if not inside and Path(name).is_absolute():
            inside = [(Path(name).parent, Path(name).name)]
        if not inside:
            raise ConfigError(
                f"{path}: file_name {name!r} lies outside of the folder {path.parent}; give the photos' folder"
            )
        found.append(next((place for place in inside if place[0].joinpath(place[1]).is_file()), inside[0]))
    if found and not any(isinstance(folder, str) or folder.joinpath(name).is_file() for folder, name in found):
        first = Path(*found[0])
        raise ConfigError(
            f"{path}: none of its {len(found)} photos lies in {folders[0]} or {folders[1]}, nor where it says ({first})"
        )
    return found


def _below(folder: Path, name: str) -> str:
    """`name` relative to `folder`, with "/"; "" where it is outside. Links are not followed."""
    base = os.path.abspath(folder)  # noqa: PTH100 (resolve() would follow links)
    path = Path(os.path.normpath(os.path.join(base, name)))  # noqa: PTH118
    return path.relative_to(base).as_posix() if path.is_relative_to(base) and path != Path(base) else ""


def _with_file_names(roots: dict[Path | str, list[str]]) -> list[InputPhoto]:
    """Photos with file names of their own: the input folders' names come in front where they are needed."""
    counts = Counter(name for names in roots.values() for name in names)
    if all(count == 1 for count in counts.values()):
        return [InputPhoto(_joined(root, name), _readable(name)) for root, names in roots.items() for name in names]
    labels: dict[Path | str, str] = {}
    for root in roots:
        label = (split(root)[1] if isinstance(root, str) else root.resolve().name) or "root"
        number = 2
        unique = label
        while unique in labels.values():
            unique, number = f"{label}-{number}", number + 1
        labels[root] = unique
    return [
        InputPhoto(_joined(root, name), f"{_readable(labels[root])}/{_readable(name)}")
        for root, names in roots.items()
        for name in names
    ]


def _readable(name: str) -> str:
    """`name` as text that can be written down: what is no UTF-8 in a file's name is spelt out as an escape."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _with_names(photos: list[InputPhoto]) -> list[InputPhoto]:
    """Photos with names of their own: the stem, and the whole file name for all whose names would be the same.

    So, too, where a folder's name is that stem with some ending: of "a.png" and "a.jpg/b.png" the one's overlay must
    not be what the other's lies in. Those that cannot be read get none: they have no outputs, and must not change what
    those of others are called.
    """
    paths = [PurePosixPath(photo.file_name) for photo in photos if not photo.fault]
    names = {str(path): str(path.with_suffix("")) for path in paths}
    folders = {str(folder.with_suffix("")) for path in paths for folder in path.parents if folder.suffix}
    while True:
        counts = Counter(names.values())
        same = {file_name for file_name, name in names.items() if counts[name] > 1 and name != file_name}
        in_the_way = {file_name for file_name, name in names.items() if name in folders}
        if not same | in_the_way:
            return [_named(photo, names.get(photo.file_name, "")) for photo in photos]
        for file_name in same | in_the_way:
            names[file_name] = file_name if names[file_name] != file_name else f"{names[file_name]}_"


def _named(photo: InputPhoto, name: str) -> InputPhoto:
    if len(PurePosixPath(name).name.encode()) > LONGEST:
        return replace(photo, fault=f"outputs cannot have so long a name, above {LONGEST} bytes; rename the file")
    return replace(photo, name=name)
