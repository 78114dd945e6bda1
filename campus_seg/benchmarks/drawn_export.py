"""Draws a Label Studio export of any size, clean and cheap: for measuring, not for training."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image
from tqdm import tqdm

from campus_seg.atomic_writes import replacing
from campus_seg.errors import ConfigError

CATEGORIES = ("animal", "bench", "bicycle", "car", "fire extinguisher", "horse", "person", "sign", "table", "tree")
SIDES = (320, 240)  # pixels, of a photo that lies; every fourth one stands
FEWEST, MOST = 8, 40  # points in a ring
TEMPLATES = 250  # distinct pictures; a comment in the file tells those of one picture apart
CHUNK = 50_000  # annotations at a time, so that drawing takes little memory
JFIF_END = 20  # bytes: the start marker and the JFIF segment, which must come first

ORIENTATION, UPSIDE_DOWN = 0x0112, 3
MAKE, MODEL, TAKEN, EXIF_IFD, EXPOSURE, TAKEN_FIRST = 0x010F, 0x0110, 0x0132, 0x8769, 0x829A, 0x9003


def draw_export(folder: Path, photos: int, annotations: int) -> None:
    """Draws `result.json` and `images/` in the form of Label Studio's "COCO with images", the same bytes every time.

    The photos are small JPEGs with a phone's EXIF, no two alike; each tenth is stored upside down. The annotations
    fall on the photos by chance. Each is one valid ring inside its photo, its numbers with all the digits that Label
    Studio's percentages leave.

    Args:
        folder: new, empty, or holding the same drawn export, which is then kept as it is.
        photos: how many.
        annotations: how many in all.

    Raises:
        ConfigError: the folder holds something else.
    """
    description = f"drawn: {photos} photos, {annotations} annotations"
    if _is_drawn(folder, description):
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty, and no drawn export of these numbers; give a new folder")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = _draw_photos(folder, photos)
    info = {"year": 2023, "version": "1.0", "description": description, "contributor": "Label Studio", "url": ""}
    info["date_created"] = "2023-04-12 09:30:00.000000"
    with replacing(folder / "result.json") as temporary, temporary.open("wb") as file:  # last: tells that all is there
        # Label Studio's JSON writer escapes slashes; of all of this only file names have any.
        file.write(b'{\n  "images": [\n' + _inner_lines(images).replace(b"/", b"\\/") + b"\n  ],\n")
        categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)]
        file.write(b'  "categories": [\n' + _inner_lines(categories) + b'\n  ],\n  "annotations": [')
        between = b"\n"
        for chunk in _draw_annotations(images, annotations):
            file.write(between + _inner_lines(chunk))
            between = b",\n"
        text = _indented({"info": info})
        file.write(b"\n  ],\n" + text.removeprefix(b"{\n"))


def _is_drawn(folder: Path, description: str) -> bool:
    """Whether a whole export of that description is there, by the end of its file."""
    path = folder / "result.json"
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 512))
        return f'"{description}"'.encode() in file.read()


def _inner_lines(entries: list[dict[str, Any]]) -> bytes:
    """The entries as the lines that stand between the brackets of a list, one level deep."""
    text = _indented({"": entries})
    return text.removeprefix(b'{\n  "": [\n').removesuffix(b"\n  ]\n}")


def _indented(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _draw_photos(folder: Path, count: int) -> list[dict[str, Any]]:
    """Writes the photos to `folder`/images; what `images` states of them."""
    rng = np.random.default_rng(0)
    templates = [_encode_template(rng, number) for number in range(min(count, TEMPLATES))]
    prefixes = rng.integers(0, 2**32, count).tolist()
    images = []
    for index in tqdm(range(count), desc="drawing photos", unit="photo", disable=None):
        (width, height), data = templates[index % TEMPLATES]
        name = f"{prefixes[index]:08x}-photo_{index:06d}.jpg"
        remark = name.encode()
        comment = b"\xff\xfe" + (len(remark) + 2).to_bytes(2, "big") + remark
        (folder / "images" / name).write_bytes(data[:JFIF_END] + comment + data[JFIF_END:])
        file_name = f"../ls/data/media/upload/1/{name}"
        images.append({"width": width, "height": height, "id": index, "file_name": file_name})
    return images


def _encode_template(rng: np.random.Generator, number: int) -> tuple[tuple[int, int], bytes]:
    """The stored size and the JPEG of one picture."""
    size = SIDES[::-1] if number % 4 == 3 else SIDES
    coarse = rng.integers(0, 255, (size[1] // 40, size[0] // 40, 3), dtype=np.uint8)
    exif, stream = Image.Exif(), io.BytesIO()
    exif.update({MAKE: "Drawn", MODEL: "Phone", TAKEN: "2023:04:12 09:30:00"})
    exif[ORIENTATION] = UPSIDE_DOWN if number % 10 == 9 else 1
    exif.get_ifd(EXIF_IFD).update({EXPOSURE: (1, 250), TAKEN_FIRST: "2023:04:12 09:30:00"})
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    picture.save(stream, "JPEG", quality=30, exif=exif)
    return size, stream.getvalue()


def _draw_annotations(images: list[dict[str, Any]], count: int) -> Iterator[list[dict[str, Any]]]:
    """What `annotations` states, in pieces; ordered by photo as Label Studio writes it."""
    rng = np.random.default_rng(1)
    sizes = np.array([(image["width"], image["height"]) for image in images], dtype=np.float64)
    owners = np.sort(rng.integers(0, len(images), count))
    with tqdm(total=count, desc="drawing annotations", unit="annotation", disable=None) as bar:
        for first in range(0, count, CHUNK):
            chunk = owners[first : first + CHUNK]
            points, starts = draw_rings(rng, sizes[chunk])
            low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
            boxes = np.concatenate([low, high - low], axis=1).tolist()
            areas = _ring_areas(points, starts).tolist()
            categories = rng.integers(0, len(CATEGORIES), len(chunk)).tolist()
            ends = (2 * np.append(starts[1:], len(points))).tolist()
            flat = points.ravel().tolist()
            annotations, begin = [], 0
            for number, photo in enumerate(chunk.tolist()):
                annotations.append(
                    {
                        "id": first + number,
                        "image_id": photo,
                        "category_id": categories[number],
                        "segmentation": [flat[begin : ends[number]]],
                        "bbox": boxes[number],
                        "ignore": 0,
                        "iscrowd": 0,
                        "area": areas[number],
                    }
                )
                begin = ends[number]
            yield annotations
            bar.update(len(chunk))


def draw_rings(rng: np.random.Generator, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One ring in each photo: every point is seen from the ring's centre, in order, so it never crosses itself.

    Args:
        rng: draws.
        sizes: (n, 2), width and height of the photos in pixels.

    Returns:
        The points of all rings, (points, 2), and where each ring starts among them, (n,).
    """
    counts = rng.integers(FEWEST, MOST + 1, len(sizes))
    starts = np.cumsum(counts) - counts
    numbers = np.arange(counts.sum()) - np.repeat(starts, counts)
    steps = numbers + rng.uniform(0, 0.8, len(numbers))
    angles = 2 * np.pi * steps / np.repeat(counts, counts)
    reach = rng.uniform(6, 0.3 * sizes.min(axis=1))
    centres = rng.uniform(reach[:, None] + 1, sizes - reach[:, None] - 1)
    distances = np.repeat(reach, counts) * rng.uniform(0.7, 1, len(numbers))
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.repeat(centres, counts, axis=0) + distances[:, None] * around, starts


def _ring_areas(points: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Square pixels of each ring, (n,), by the shoelace formula."""
    following = np.roll(points, -1, axis=0)
    following[np.append(starts[1:], len(points)) - 1] = points[starts]
    cross = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
    return np.abs(np.add.reduceat(cross, starts)) / 2
