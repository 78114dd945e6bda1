"""Labelling interfaces as people write them."""

import re

import pytest
from fake_label_studio import INTERFACE

from campus_seg.errors import LabelStudioError
from campus_seg.label_studio.interface import Interface

NO_MASKS = '<View><Image name="i" value="$image"/><Choices name="c" toName="i"><Choice value="car"/></Choices></View>'
TWO_PHOTOS = """<View>
  <Image name="before" value="$first"/><Image name="after" value="$second"/>
  <polygonlabels name="p" toName="after"><View><Label value="car" background="red"/></View></polygonlabels>
  <PolygonLabels name="q" toName="before"><Label value="car"/><Label value="dog"/></PolygonLabels>
  <BrushLabels name="b" toName="after"><Label value="a large dog" alias="dog"/></BrushLabels>
</View>"""


def region(shape="polygonlabels", name="polygon", label="car", key="1", **value):
    value = value or {"points": [[0, 0], [100, 0], [50, 100.0]]}
    return {"id": key, "type": shape, "from_name": name, "to_name": "image", "value": {**value, shape: [label]}}


def test_controls_take_classes():
    controls = Interface.parse(INTERFACE, "project 1").for_classes(["dog"], "project 1")
    chosen = {shape: control.name for shape, control in controls.by_class["dog"].items()}
    assert controls.image == "image" and chosen == {"polygonlabels": "polygon", "brushlabels": "brush"}


def test_several_photos_nested_labels_and_aliases():
    """The photo of the first control is the one; results have a label's alias."""
    interface = Interface.parse(TWO_PHOTOS, "project 1")
    assert interface.images == {"before": "first", "after": "second"}
    controls = interface.for_classes(["car", "dog"], "project 1")
    assert controls.image == "after"
    named = {name: {c.name for c in own.values()} for name, own in controls.by_class.items()}
    assert named == {"car": {"p"}, "dog": {"b"}}
    data = {"first": "/a.jpg", "second": ["/b.jpg", "/c.jpg", "", None], "text": "/d.jpg"}
    assert interface.addresses(data) == ["/a.jpg", "/b.jpg", "/c.jpg"]
    assert interface.addresses(data, "before") == ["/a.jpg"]


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<View>", "is no XML"),
        ("", "is no XML"),
        ('<!DOCTYPE a [<!ENTITY b "cc">]><View>&b;</View>', "has a document type; remove that in Settings"),
        ('<View><Text name="t" value="$text"/></View>', 'shows no photo; add <Image name="image" value="$image"/>'),
    ],
)
def test_no_interface_for_photos(xml, reason):
    with pytest.raises(LabelStudioError, match=re.escape(f"project 1: its labelling interface {reason}")):
        Interface.parse(xml, "project 1")


def test_of_several_photos_that_with_all_classes_is_taken():
    xml = """<View><Image name="map" value="$map"/><PolygonLabels name="roi" toName="map"><Label value="roi"/>
      </PolygonLabels><Image name="photo" value="$photo"/><PolygonLabels name="shape" toName="photo">
      <Label value="car"/><Label value="dog"/></PolygonLabels></View>"""
    interface = Interface.parse(xml, "project 1")
    assert interface.for_classes(["car", "dog"], "project 1").image == "photo"
    assert interface.for_classes(["roi"], "project 1").image == "map"
    with pytest.raises(LabelStudioError, match="has no label 'cow' to draw with"):
        interface.for_classes(["car", "cow"], "project 1")


def test_no_control_for_masks_or_for_a_class():
    with pytest.raises(LabelStudioError, match="no control for masks; add <PolygonLabels>"):
        Interface.parse(NO_MASKS, "project 1").for_classes(["car"], "project 1")
    with pytest.raises(LabelStudioError, match="no label 'cat', 'cow' to draw with; add it to <PolygonLabels>"):
        Interface.parse(INTERFACE, "project 1").for_classes(["car", "cat", "cow"], "project 1")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"shape": "brushlabels", "name": "brush", "format": "rle", "rle": [0]}, None),
        ({"label": "cat"}, "polygon has no label"),
        ({"name": "other"}, "no polygonlabels called other on image"),
        ({"shape": "rectanglelabels"}, "no rectanglelabels called polygon"),
        ({"shape": "brushlabels", "name": "brush", "format": "rle"}, "a brush mask of brush is none"),
        ({"points": [[0, 0], [1, 1]]}, "fewer than three points"),
        ({"points": [[0, 0], [1, 1], [0, 100.1]]}, "lies outside"),
    ],
)
def test_faults_of_regions(changed, fault):
    faults = Interface.parse(INTERFACE, "project 1").faults([region(**changed)])
    assert [fault in found for found in faults] == ([True] if fault else [])


def test_faults_between_regions():
    interface = Interface.parse(INTERFACE, "project 1")
    assert interface.faults([region(), region()]) == ["two regions have one id"]
    assert interface.faults([region(), {**region(key="2"), "parentID": "1"}]) == []
    assert "is below one that is not there" in interface.faults([{**region(), "parentID": "2"}])[0]
