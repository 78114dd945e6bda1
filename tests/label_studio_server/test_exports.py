"""What people drew, exported in every form, and read: the same masks, where the form carries them."""

import time
from collections import Counter

import numpy as np
import pytest
from labelled_campus import EMPTY, ODD, PARTS, SKIPPED, TWICE
from labelled_photos import HEIGHT, KINDS, WIDTH
from read_back import beyond, objects_of

from campus_seg.errors import ExportError
from campus_seg.label_studio.brush import decode_brush, encode_brush
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.index import given_name
from campus_seg.label_studio.options import ExportOptions

pytestmark = pytest.mark.label_studio

CLOSE = 0.98
# The kinds of regions whose masks a form carries. Turned rectangles are in all of them, those of COCO's not turned.
CARRIED = {
    "JSON": KINDS,
    "COCO": ("polygon", "rectangle"),
    "COCO_WITH_IMAGES": ("polygon", "rectangle"),
    "snapshot": ("polygon", "rectangle"),
    "BRUSH_TO_COCO": ("polygon", "rectangle", "brush"),
}


def exported(server, campus, form, folder):
    """A file with an export of the project."""
    path = f"/api/projects/{campus.number}"
    if form == "snapshot":
        path += f"/exports/{server.ask('POST', f'{path}/exports/', json={'title': 'all'})['id']}"
        server.ask("POST", f"{path}/convert", json={"export_type": "COCO"})
        for _ in range(300):
            if all(one["status"] == "completed" for one in server.ask("GET", path)["converted_formats"]):
                break
            time.sleep(0.2)
        content = server.ask("GET", f"{path}/download?exportType=COCO", parse=False)
    else:
        content = server.ask("GET", f"{path}/export?exportType={form}", parse=False)
    file = folder / "export"
    file.write_bytes(content)
    return file


def carried(form, objects):
    """What a form has of some objects: (label, mask) of each, and the labels of those that are in it some other way."""
    if form == "JSON":
        return [(one.label, np.logical_or.reduce([part.mask for part in one.parts])) for one in objects], []
    parts = [(one.label, part) for one in objects for part in one.parts]
    # The only masks with holes that any of them has are brush masks, without their holes.
    whole = [(label, part.filled) for label, part in parts if part.kind in CARRIED[form]]
    return whole, sorted(label for label, part in parts if part.kind == "turned")


@pytest.mark.parametrize("form", CARRIED)
def test_a_form_read_back(form, server, campus, pulled, tmp_path):
    file = exported(server, campus, form, tmp_path)
    images = "" if form == "COCO_WITH_IMAGES" else str(pulled / "images")
    export = read_export(str(file), ExportOptions(image_root=images))
    photos = {given_name(photo.name): photo for photo in export.photos}
    absent = {"COCO_WITH_IMAGES": {ODD}, "BRUSH_TO_COCO": {EMPTY}}.get(form, set())
    added = campus.unlabelled if form == "snapshot" else []
    assert set(photos) == set(campus.drawn) - absent | set(added) and len(photos) == len(export.photos)
    for name, photo in photos.items():
        assert (photo.width, photo.height) == (WIDTH, HEIGHT)
        wanted, others = carried(form, campus.drawn.get(name, []))
        assert beyond(objects_of(photo.annotations, WIDTH, HEIGHT), wanted, CLOSE) == others, name


def test_what_is_no_object_is_said(server, campus, pulled):
    """Of the project as it was pulled, which has all tasks."""
    report = read_export(str(pulled), ExportOptions()).report
    said = Counter((defect["code"], given_name(defect["photo"])) for defect in report.defects)
    assert [said.pop(("rectangle", name)) for name in campus.drawn if ("rectangle", name) in said] == [2] * 8
    expected = [("task_unlabelled", name) for name in campus.unlabelled]
    expected += [("task_skipped", SKIPPED), ("several_annotators", TWICE), ("annotation_skipped", TWICE)]
    expected += [("annotation_joined", PARTS)] * 2
    assert said == Counter(expected)
    assert report.counts["photos_without_objects"] == 1


def test_the_form_that_lacks_what_is_wanted_is_refused(server, campus, tmp_path):
    with pytest.raises(ExportError, match="JSON_MIN, which lacks what is wanted here"):
        read_export(str(exported(server, campus, "JSON_MIN", tmp_path)), ExportOptions())


def test_the_brush_reader_and_writer_are_the_sdks(server, campus, sdk):
    """What people's browsers would send is read alike; what is written for predictions the SDK reads."""
    tasks = server.ask("GET", f"/api/projects/{campus.number}/export?exportType=JSON")
    regions = [region for task in tasks for done in task["annotations"] for region in done["result"]]
    sent = [region["value"]["rle"] for region in regions if region["type"] == "brushlabels"][:3]
    parts = [part for objects in campus.drawn.values() for one in objects for part in one.parts]
    masks = [part.mask for part in parts if part.kind == "brush"][:3]
    assert len(sent) == len(masks) == 3
    as_text = ["".join(map(str, mask.astype(int).ravel().tolist())) for mask in masks]
    assert sdk("decode", sent) == as_text == sdk("decode", [encode_brush(mask) for mask in masks])
    for rles in (sent, sdk("encode", [mask.astype(int).tolist() for mask in masks])):
        for rle, mask in zip(rles, masks, strict=True):
            np.testing.assert_array_equal(decode_brush(rle, WIDTH, HEIGHT), mask)
