"""Draw a labelled sample and pack it exactly as Label Studio exports it.

    python datasets/make_sample.py --output sample.zip [--photos 360] [--seed 0] [--classes car dog …]

The zip has the form of Label Studio's COCO_WITH_IMAGES export with the server's address configured: `result.json` and
`images/`, with what such exports really contain: a label nobody used, photos without objects, rectangles without a
polygon, photos that a phone stored turned, and names that are percent-encoded. The same seed gives the same bytes.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from campus_objects import CLASSES
from campus_scenes import Scene, draw_scene
from PIL import Image
from tqdm import tqdm

UNUSED_LABEL = "cat"
CATEGORIES = sorted([*CLASSES, UNUSED_LABEL])  # Label Studio numbers the labels alphabetically, unused ones too
ZIP_DATE, EXPORT_DATE = (2023, 4, 12, 9, 30, 0), "2023-04-12 09:30:00.000000"
EXIF_ORIENTATION, TURNED_RIGHT = 0x0112, 6

# What is special about photo number i is decided by i % CYCLE, so that every split gets some of it.
CYCLE = 60
EMPTY, TURNED, ODD_NAME = {1, 4, 31, 46}, {2}, {3}
RECTANGLES = {5, 6, 8}  # photos, from the start only, whose first object has a rectangle instead of a polygon


def media_names(seed: int, index: int) -> tuple[str, str]:
    """The photo's `file_name` in result.json and its name in the zip.

    The server's media path and the path in the zip differ, but for a name it had to percent-encode: there Label Studio
    itself downloads the photo, adds a second prefix, and names what it stored.
    """
    first, second = np.random.default_rng([seed, index, 1]).integers(0, 2**32, 2)
    if index % CYCLE in ODD_NAME:
        stem = quote(f"Campus Süd Übersicht 学校 {index:04d}".replace(" ", "_"))
        name = f"images/{second:08x}__{first:08x}-{stem}.jpg"
        return name, name
    name = f"{first:08x}-campus_{index:04d}.jpg"
    return f"../ls/data/media/upload/1/{name}", f"images/{name}"


def encode_photo(scene: Scene, turned: bool) -> bytes:
    """The photo as JPEG bytes.

    Args:
        scene: with an upright photo (480, 640, 3) uint8 RGB.
        turned: store 480 x 640 pixels and EXIF orientation 6, "turn me clockwise to see me", as a phone does.
    """
    buffer, exif = io.BytesIO(), Image.Exif()
    if turned:
        exif[EXIF_ORIENTATION] = TURNED_RIGHT
    photo = np.rot90(scene.photo) if turned else scene.photo
    Image.fromarray(np.ascontiguousarray(photo)).save(buffer, "JPEG", quality=scene.quality, exif=exif)
    return buffer.getvalue()


def annotation_of(ring: np.ndarray, category: str, stored_per_seen: tuple[float, float], rectangle: bool) -> dict:
    """One region as Label Studio writes it, without its ids.

    Args:
        ring: (K, 2) float64, x and y in pixels of the photo as seen.
        category: its label.
        stored_per_seen: stored width / seen width and stored height / seen height. Label Studio keeps percentages of
            the photo as seen and multiplies them with the stored size, which squashes a turned photo's polygons.
        rectangle: it was drawn as a box: there is no segmentation.

    Returns:
        `bbox` is x, y, width, height; `area` is the polygon's or the rectangle's; pixels like `segmentation`.
    """
    ring = np.round(ring * stored_per_seen, 3)
    (x0, y0), (x1, y1) = ring.min(0), ring.max(0)
    area = (x1 - x0) * (y1 - y0) if rectangle else cv2.contourArea(ring.astype(np.float32))
    return {
        "category_id": CATEGORIES.index(category),
        "segmentation": [] if rectangle else [ring.ravel().tolist()],
        "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        "ignore": 0,
        "iscrowd": 0,
        "area": float(area),
    }


def write_entry(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file, or a folder (a name that ends in /), with a fixed date and fixed rights."""
    entry = zipfile.ZipInfo(name, ZIP_DATE)
    folder = name.endswith("/")
    entry.create_system = 3
    entry.external_attr = (0o40755 << 16 | 0x10) if folder else 0o100644 << 16
    entry.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)


def write_export(archive: zipfile.ZipFile, photos: int, seed: int, classes: Sequence[str]) -> None:
    """Draw the photos one by one into the archive, then write what Label Studio says about them."""
    images, annotations = [], []
    write_entry(archive, "images/", b"")
    for index in tqdm(range(photos), desc="drawing", unit="photo", mininterval=2):
        role = index % CYCLE
        scene = draw_scene(seed, index, empty=role in EMPTY, classes=classes)
        height, width = scene.photo.shape[:2]
        stored = (height, width) if role in TURNED else (width, height)
        file_name, zip_name = media_names(seed, index)
        write_entry(archive, zip_name, encode_photo(scene, role in TURNED))
        images.append({"width": stored[0], "height": stored[1], "id": index, "file_name": file_name})
        for k, (ring, category) in enumerate(zip(scene.polygons, scene.categories, strict=True)):
            region = annotation_of(
                ring, category, (stored[0] / width, stored[1] / height), rectangle=index in RECTANGLES and k == 0
            )
            annotations.append({"id": len(annotations), "image_id": index, **region})
    result = {
        "images": images,
        "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)],
        "annotations": annotations,
        "info": {
            "year": 2023,
            "version": "1.0",
            "description": "",
            "contributor": "Label Studio",
            "url": "",
            "date_created": EXPORT_DATE,
        },
    }
    # Label Studio's JSON writer escapes slashes.
    write_entry(archive, "result.json", json.dumps(result, indent=2).replace("/", "\\/").encode())


def make_sample(output: Path, photos: int = 360, seed: int = 0, classes: Sequence[str] = tuple(CLASSES)) -> None:
    """Write the sample's zip, whole or not at all: under a temporary name first, then moved."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            write_export(archive, photos, seed, classes)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the zip to write")
    parser.add_argument("--photos", type=int, default=360, help="how many photos to draw (default: 360)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws another sample (default: 0)")
    parser.add_argument(
        "--classes", nargs="+", choices=CLASSES, default=[*CLASSES], metavar="NAME", help="what is drawn (default: all)"
    )
    return parser


if __name__ == "__main__":
    args = get_parser().parse_args()
    make_sample(args.output, args.photos, args.seed, args.classes)
    print(f"{args.photos} photos in {args.output}")
