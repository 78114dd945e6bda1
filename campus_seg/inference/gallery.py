"""A page to look through a masked folder: `index.html`, which opens from disk, in any browser, without a network.

The page is the same for every folder. What it shows is in `gallery.js`, since a page from disk may run a script that
lies beside it but not read a file.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from campus_seg.atomic_writes import replacing
from campus_seg.palette import hex_color
from campus_seg.photos import DAMAGED

THUMBNAILS = "thumbnails"  # below the output folder
THUMBNAIL = (480, 360)  # pixels: twice what the page shows, for dense screens
QUALITY = 80
# Of page.html: what stands where which file goes. The report's page has the same colours.
PARTS = {f"/* {name} */": name for name in ("colors.css", "page.css", "page.js")}


def write_gallery(
    folder: Path,
    records: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    *,
    overlays: bool = True,
    videos: Iterable[str] = (),
) -> None:
    """Writes `index.html` and `gallery.js`, and each `thumbnails/<name>.jpg` that is missing, a photo at a time.

    Args:
        folder: with the overlays, and `summary.csv` where the page is to have a link to it.
        records: one a photo; see `campus_seg.inference.summary`.
        class_names: in the order of the category ids, which begin with 1.
        colors: (r, g, b) of each.
        overlays: whether `overlay/<name>.jpg` are of these records; those that are not would show other objects.
        videos: what the outputs of masked videos are called: the page has a link to each.
    """
    with replacing(folder / "gallery.js") as temporary, temporary.open("w", encoding="ascii") as file:
        classes = [[name, hex_color(color)] for name, color in zip(class_names, colors, strict=True)]
        table = "summary.csv" if (folder / "summary.csv").is_file() else None
        about = {"classes": classes, "table": table, "videos": list(videos)}
        head = ",\n".join(f'"{name}": {_json(value)}' for name, value in about.items())
        file.write(f'const GALLERY = {{\n{head},\n"photos": [\n')
        for record in records:
            if "reason" not in record:
                pictured = overlays and make_thumbnail(folder, record["name"])
                _write_photo(file, record, pictured)
        file.write("]};\n")
    with replacing(folder / "index.html") as temporary:
        temporary.write_text(page(), encoding="utf-8")


def make_thumbnail(folder: Path, name: str) -> bool:
    """Makes a photo's thumbnail from its overlay, unless there is one that is newer.

    Returns:
        Whether there is an overlay and thus a thumbnail.
    """
    overlay, thumbnail = (folder / kind / f"{name}.jpg" for kind in ("overlay", THUMBNAILS))
    if not overlay.is_file():
        return False
    if thumbnail.is_file() and thumbnail.stat().st_mtime_ns > overlay.stat().st_mtime_ns:
        return True
    try:
        with Image.open(overlay, formats=("JPEG",)) as picture:
            picture.draft("RGB", THUMBNAIL)  # decodes no more pixels than that takes
            picture.load()  # `thumbnail` does not where the overlay is small
            picture.thumbnail(THUMBNAIL, reducing_gap=2.0)
    except (OSError, *DAMAGED):  # no JPEG, or only half of it was copied
        return False
    with replacing(thumbnail) as temporary:
        picture.save(temporary, quality=QUALITY)
    return True


def page() -> str:
    """index.html, with its style and its script in it."""
    folder = files("campus_seg.inference") / "gallery_page"
    html = (folder / "page.html").read_text(encoding="utf-8")
    for mark, name in PARTS.items():
        html = html.replace(mark, (folder / name).read_text(encoding="utf-8"))
    return html


def _write_photo(file: TextIO, record: Mapping[str, Any], pictured: bool) -> None:
    """Writes a photo as an array, which takes half of what an object does; page.js knows the order."""
    image = record["image"]
    objects = [
        [found["instance_id"], found["category_id"] - 1, found["score"], *found["bbox"], found["area"]]
        for found in record["annotations"]
    ]
    photo = [image["file_name"], record["name"], image["width"], image["height"], int(pictured), objects]
    file.write(f"{_json(photo)},\n")


def _json(value: Any) -> str:
    """ASCII alone, and no "<": as JavaScript it is right in any encoding, in a file or in a page."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
