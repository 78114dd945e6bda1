"""What people drew, exported in every form, and read: the same masks, where the form carries them."""

import time

import numpy as np
import pytest
from labelled_photos import HEIGHT, HOLE, KINDS, WIDTH
from pycocotools import mask as coco_mask

from campus_seg.errors import ExportError
from campus_seg.label_studio.brush import decode_brush, encode_brush
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.index import given_name
from campus_seg.label_studio.masks import encode_mask, mask_of_rings
from campus_seg.label_studio.options import ExportOptions

pytestmark = pytest.mark.label_studio

CLOSE = 0.98
CARRIED = {
    "JSON": KINDS,
    "COCO": ("polygon", "rectangle"),
    "COCO_WITH_IMAGES": ("polygon", "rectangle"),
    "snapshot": ("polygon", "rectangle"),
    "BRUSH_TO_COCO": ("polygon", "brush"),
}


def exported(server, campus, form, folder):
    """A file with an export of the project."""
    path = f"/api/projects/{campus.number}"
    if form == "snapshot":
        path += f"/exports/{server.ask('POST', f'{path}/exports/', json={'title': 'all'})['id']}"
        server.ask("POST", f"{path}/convert", json={"export_type": "COCO"})
        for _ in range(60):
            if all(one["status"] == "completed" for one in server.ask("GET", path)["converted_formats"]):
                break
            time.sleep(1)
        content = server.ask("GET", f"{path}/download?exportType=COCO", parse=False)
    else:
        content = server.ask("GET", f"{path}/export?exportType={form}", parse=False)
    file = folder / "export"
    file.write_bytes(content)
    return file


def pixels(annotation):
    """The mask of a read annotation as COCO RLE."""
    return annotation.rle or mask_of_rings(annotation.rings, WIDTH, HEIGHT)


@pytest.mark.parametrize("form", CARRIED)
def test_a_form_read_back(form, server, campus, pulled, tmp_path):
    file = exported(server, campus, form, tmp_path)
    export = read_export(str(file), ExportOptions(image_root=str(pulled / "images")))
    photos = {given_name(photo.name): photo for photo in export.photos}
    checked = 0
    for name, objects in campus.drawn.items():
        photo = photos.get(name)
        wanted = [(label, kind, mask) for label, kind, mask in objects if kind in CARRIED[form]]
        if photo is None:
            assert not wanted, name
            continue
        assert (photo.width, photo.height) == (WIDTH, HEIGHT)
        for label, kind, mask in wanted:
            if kind == "brush" and form == "BRUSH_TO_COCO":  # which has no holes
                mask = with_hole_filled(mask)
            read = [pixels(a) for a in photo.annotations if a.label == label]
            assert read and coco_mask.iou(read, [encode_mask(mask)], [False]).max() >= CLOSE, (name, label, kind)
            checked += 1
        if form == "JSON":
            assert len(photo.annotations) == len(objects)
    assert checked == sum(kind in CARRIED[form] for objects in campus.drawn.values() for _, kind, _ in objects)
    assert checked > 40


def with_hole_filled(mask):
    rows, columns = np.nonzero(mask)
    centre = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return mask | (np.hypot(x - centre[0], y - centre[1]) <= HOLE + 2)


def test_the_form_that_lacks_what_is_wanted_is_refused(server, campus, tmp_path):
    with pytest.raises(ExportError, match="JSON_MIN, which lacks what is wanted here"):
        read_export(str(exported(server, campus, "JSON_MIN", tmp_path)), ExportOptions())


def test_the_brush_reader_and_writer_are_the_sdks(server, campus, sdk):
    """What people's browsers would send is read alike; what is written for predictions the SDK reads."""
    tasks = server.ask("GET", f"/api/projects/{campus.number}/export?exportType=JSON")
    regions = [region for task in tasks for done in task["annotations"] for region in done["result"]]
    sent = [region["value"]["rle"] for region in regions if region["type"] == "brushlabels"][:3]
    masks = [mask for objects in campus.drawn.values() for _, kind, mask in objects if kind == "brush"][:3]
    assert len(sent) == len(masks) == 3
    as_text = ["".join(map(str, mask.astype(int).ravel().tolist())) for mask in masks]
    assert sdk("decode", sent) == as_text == sdk("decode", [encode_brush(mask) for mask in masks])
    for rles in (sent, sdk("encode", [mask.astype(int).tolist() for mask in masks])):
        for rle, mask in zip(rles, masks, strict=True):
            np.testing.assert_array_equal(decode_brush(rle, WIDTH, HEIGHT), mask)
