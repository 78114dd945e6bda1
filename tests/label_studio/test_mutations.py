"""Damaged and hostile exports: each is read or refused with ExportError, and nothing outside its folder is touched."""

import copy
import json
import os
import random
import tempfile
import warnings
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from brush import pack
from drawn import draw_export
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_seg.atomic_writes import write_json
from campus_seg.errors import ExportError
from campus_seg.label_studio.export import Export, read_export
from campus_seg.label_studio.options import ExportOptions

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
EXAMPLES = 340  # of each of the six forms
DRAWN = draw_export(photos=4, width=64, height=48)
SECRET = draw_export(photos=5, width=64, height=48).photos["00000004-photo_4.jpg"]
NASTY = [
    *(None, True, False, 0, -1, 1, 1.5, 3.7e300, -1e12, 2**31, 2**63, 10**40, float("nan"), float("inf")),
    *("", " ", "dog", "0", "../secret.jpg", "/etc/passwd", "..\\..\\secret.jpg", "images/..", ".", "..", "a" * 5000),
    *("%2e%2e%2fsecret.jpg", "file:///etc/passwd", "http://[", "\x00", "\n", "\ud800", "\u202e", "C:\\x\\y.jpg"),
    *([], {}, [[]], [[], []], [[1, 2]], [[0, 0, 0, 0, 0, 0]], [[1, 2, 3, 4, "5", 6]], [None], [[None] * 6], {"a": {}}),
    *({"size": [48, 64], "counts": "abc"}, {"size": [48, 64], "counts": [10, -5]}, {"counts": 7}, {"size": None}),
    [[0, 0, 1e9, 0, 1e9, 1e9]],
    [[float("nan"), 0, 5, 5, 9, 0]],
]


def native_tasks():
    """The drawn photos as Label Studio's own JSON, with every kind of region."""
    picture = np.zeros((48, 64, 4), np.uint8)
    picture[10:30, 10:30, 3] = 255
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0, "parentID": "poly"}
    values = [
        ("polygonlabels", {"points": [[10, 10], [60, 10], [60, 60]]}),
        ("brushlabels", {"format": "rle", "rle": pack(picture)}),
        ("rectanglelabels", {"x": 10, "y": 10, "width": 30, "height": 40, "rotation": 20}),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 30}),
        ("keypointlabels", {"x": 50, "y": 50, "width": 2}),
    ]
    tasks = []
    for number, name in enumerate(DRAWN.photos):
        result = [
            {"id": f"{kind[:4]}", "type": kind, **size, "value": {kind: ["dog"], **value}} for kind, value in values
        ]
        annotation = {"id": number, "result": result, "was_cancelled": False, "updated_at": "2026-01-01"}
        task = {"id": number, "file_upload": name, "data": {"image": f"/data/upload/1/{name}"}}
        tasks.append({**task, "annotations": [annotation]})
    return tasks


def brush_coco():
    """As BRUSH_TO_COCO writes it: paths of the server, and masks traced around their pixels."""
    value = copy.deepcopy(DRAWN.coco)
    mask = np.zeros((48, 64), np.uint8)
    mask[5:40:2, 5:60] = mask[5:40, 30] = 1
    (outline,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for image in value["images"]:
        image["path"] = image["file_name"]
        image["file_name"] = image["file_name"].rpartition("/")[2]
    for annotation in value["annotations"]:
        annotation["segmentation"] = [outline.ravel().tolist()]
    return value


def enlarge(value, rng):
    """States every size, and that of every RLE, many times as large."""
    factor = rng.choice([2, 100, 10**6])
    for container, key in places(value, []):
        if key in ("width", "height", "original_width", "original_height") and type(container[key]) is int:
            container[key] *= factor
        elif key == "counts" and isinstance(container, dict):
            container.update(size=[48 * factor, 64 * factor], counts=[48 * 64 * factor**2])


FORMS = {"coco": lambda: copy.deepcopy(DRAWN.coco), "brush": brush_coco, "native": native_tasks}


def places(value, found):
    """Every (container, key) in a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        found.append((value, key))
        if isinstance(inner, dict | list):
            places(inner, found)
    return found


def mutate(value, rng):
    """Changes a JSON value in up to six places."""
    if rng.random() < 0.1:
        enlarge(value, rng)
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 6])):
        found = places(value, [])
        if not found:
            return
        container, key = rng.choice(found)
        kind = rng.randrange(5)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))  # such as an id twice
        elif kind == 2:
            other, there = rng.choice(found)
            container[key] = copy.deepcopy(other[there]) if there in (other if isinstance(other, dict) else ()) else 7
        else:
            container[key] = copy.deepcopy(rng.choice(NASTY))


def spoil_bytes(content, rng):
    """Cuts, overwrites or pads bytes; most of the time nothing."""
    kind = rng.randrange(24)
    if kind == 0:
        return content[: rng.randrange(len(content) + 1)]
    if kind == 1 and content:
        spoilt = bytearray(content)
        for _ in range(rng.randint(1, 8)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        return bytes(spoilt)
    if kind == 2:
        return rng.choice([b"\xef\xbb\xbf", b"\0", b"[" * 100_000, b" " * 100]) + content
    return content


def entry_name(name, rng):
    return rng.choice(
        [f"images/{name}"] * 6 + [name, f"../{name}", f"/abs/{name}", f"images\\{name}", f"a/../../{name}"]
    )


def write_zip(labels, photos, rng, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one name twice
        with zipfile.ZipFile(path, "w", rng.choice(METHODS)) as archive:
            archive.writestr(rng.choice(["result.json", "../result.json", "labels", "a/b.JSON"]), labels)
            for name, content in photos.items():
                info = zipfile.ZipInfo(entry_name(name, rng))
                info.external_attr = rng.choice([0, 0, 0o120777 << 16])  # a link
                archive.writestr(info, rng.choice([content] * 4 + [b"../secret.jpg"]))
            if rng.random() < 0.1:
                archive.writestr("images/zeros.bmp", bytes(1_000_000))
    path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    return path


def write_folder(labels, photos, rng, path):
    (path / "images").mkdir(parents=True)
    (path / "result.json").write_bytes(labels)
    for name, content in photos.items():
        photo = path / "images" / name
        kind = rng.randrange(8)
        if kind == 0:
            photo.symlink_to("../../secret.jpg")
        elif kind == 1:
            photo.symlink_to(path.parent / "secret.jpg")
        elif kind == 2:
            os.mkfifo(photo)
        else:
            photo.write_bytes(content)
    if rng.random() < 0.2:
        (path / "loop").symlink_to(path)
    if rng.random() < 0.2:
        (path / "outside").symlink_to(path.parent)
    return path


def snapshot(folder):
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink()}


@pytest.mark.parametrize("labels", FORMS)
@pytest.mark.parametrize("container", ["zip", "folder"])
@settings(max_examples=EXAMPLES, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_export_is_read_or_refused(labels, container, seed):
    rng = random.Random(seed)
    value = FORMS[labels]()
    mutate(value, rng)
    text = spoil_bytes(json.dumps(value).encode(), rng)
    photos = {name: spoil_bytes(content, rng) for name, content in DRAWN.photos.items()}
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        (root / "secret.jpg").write_bytes(SECRET)
        (root / "inner").mkdir()
        write = write_zip if container == "zip" else write_folder
        path = write(text, photos, rng, root / "inner" / "export")
        before = snapshot(root)
        options = ExportOptions(
            rectangles=rng.choice(["mask", "drop", "error"]), annotators=rng.choice(["newest", "oldest", "error"])
        )
        try:
            export = read_export(str(path), options)
        except ExportError as error:
            assert str(error) and "\n" not in str(error).strip()
            return
        check(export, path, root, before)


def check(export: Export, path: Path, root: Path, before: dict[str, bytes]):
    """A mutated export that could be read is sound, and stays in its folder."""
    assert snapshot(root) == before
    assert not list(export.content_hashes().values()).count("")
    for photo in export.photos:
        own = export.index.path(photo.name)
        assert own is None or own.resolve().is_relative_to(path.resolve())
        assert export.index.read(photo.name) != SECRET
        for annotation in photo.annotations:
            x, y, width, height = annotation.box
            assert x >= -0.011 and y >= -0.011 and annotation.area >= 0.99
            assert x + width <= photo.width + 0.011 and y + height <= photo.height + 0.011
    target = root / "target"
    try:
        placed = export.place_photos(target, copy=True)
    except ExportError:  # a photo inside a zip that is damaged behind its header
        placed = None
    after = {name: content for name, content in snapshot(root).items() if not name.startswith(f"{target}{os.sep}")}
    assert after == before
    if placed is not None:
        assert len({target / name for name in placed.values()}) == len(export.photos)
        assert all((target / name).parent == target for name in placed.values())
        write_json(target / "annotations.json", export.to_coco(export.photos, placed))
        write_json(target / "report.json", export.report.as_dict())
        json.dumps(export.report.table())
