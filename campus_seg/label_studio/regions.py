"""The regions of one annotation in Label Studio's own JSON: which of them are objects, and of what shape."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from campus_seg.label_studio.brush import decode_bitmask, decode_brush
from campus_seg.label_studio.geometry import ellipse_ring
from campus_seg.label_studio.masks import MAX_PIXELS, encode_mask, mask_of_rings, merge_masks, resized_mask
from campus_seg.label_studio.raw import RawAnnotation, RawPhoto, Stray, is_number, pixels

# A control such as PolygonLabels writes "polygonlabels"; Polygon writes "polygon", with its label in a result of type
# "labels" and of the same id.
SHAPES = ("polygon", "brush", "bitmask", "rectangle", "ellipse")
# Results that say something about a region or the whole photo and are none.
NO_REGIONS = (
    *("labels", "choices", "textarea", "rating", "number", "datetime", "taxonomy", "relation", "pairwise", "ranker"),
    *("list", "table", "hypertext"),
)


def read_regions(regions: list[Any], photo: RawPhoto, strays: list[Stray]) -> None:
    """Fills in a photo's size and annotations; texts, choices and relations among the regions are no objects.

    Args:
        regions: the `result` of an annotation.
        photo: whose annotations they are.
        strays: remarks on regions that do not become an annotation of their own.
    """
    regions = [region for region in regions if isinstance(region, dict)]
    labels = _labels_by_id(regions)
    parents: dict[str, str] = {}
    found: list[RawAnnotation] = []
    for region in regions:
        kind = region.get("type") if isinstance(region.get("type"), str) else ""
        if not kind or kind in NO_REGIONS:
            continue
        shape = kind.removesuffix("labels")
        photo.labelled = True
        key = region.get("id")
        if shape not in SHAPES:
            strays.append(Stray("annotation_unsupported", photo.file_name, key, f"dropped: a {shape} has no mask here"))
            continue
        value = region.get("value") if isinstance(region.get("value"), dict) else {}
        names = _names(value.get(kind)) or labels.get(str(key), [])
        if not names:
            strays.append(Stray("annotation_without_category", photo.file_name, key, "dropped"))
            continue
        if len(names) > 1:
            action = f"taken as {names[0]!r}, the first of {len(names)} labels"
            strays.append(Stray("annotation_of_several_classes", photo.file_name, key, action))
        annotation = RawAnnotation(key, names[0])
        _read_shape(annotation, shape, region, value, photo)
        found.append(annotation)
        if isinstance(region.get("parentID"), str):
            parents[str(key)] = region["parentID"]
    photo.annotations = _join_parts(found, parents, photo, strays) if parents else found


def _labels_by_id(regions: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Labels that stand in a result of their own, by the id that they share with their shape."""
    found: dict[str, list[str]] = {}
    for region in regions:
        value = region.get("value")
        if region.get("type") == "labels" and isinstance(value, dict):
            found.setdefault(str(region.get("id")), []).extend(_names(value.get("labels")))
    return found


def _names(value: Any) -> list[str]:
    names = value if isinstance(value, list) else []
    return [name.strip() for name in names if isinstance(name, str) and name.strip()]


def _read_shape(
    annotation: RawAnnotation, shape: str, region: dict[str, Any], value: dict[str, Any], photo: RawPhoto
) -> None:
    """Fills in one region's shape, in pixels of the photo as seen."""
    width, height = pixels(region.get("original_width")), pixels(region.get("original_height"))
    if width is None or height is None:
        annotation.problem = "it does not say how large its photo is"
        return
    if region.get("image_rotation"):
        annotation.problem = "drawn while the photo was turned in Label Studio; turn it back there and draw it again"
        return
    if width * height > MAX_PIXELS:
        annotation.problem = "its photo is stated to be too large"
        return
    size = np.array([width, height]) / 100
    if shape == "polygon":
        points = value.get("points")
        if _is_points(points):
            annotation.rings = [np.array(points, dtype=np.float64) * size]
        else:
            annotation.problem = "its outline is no list of points"
    elif shape in ("brush", "bitmask"):
        try:
            mask = (
                decode_brush(value.get("rle"), width, height)
                if shape == "brush"
                else decode_bitmask(value.get("imageDataURL"), width, height)
            )
            annotation.rle = encode_mask(mask)
        except ValueError as error:
            annotation.problem = str(error)
    elif shape == "rectangle":
        box, turn = [value.get(key) for key in ("x", "y", "width", "height")], value.get("rotation", 0)
        if all(is_number(v) for v in [*box, turn]):
            annotation.box = [*(np.array(box[:2]) * size).tolist(), *(np.array(box[2:]) * size).tolist()]
            annotation.rotation = float(turn)
        else:
            annotation.problem = "its box is no four numbers"
    else:
        numbers, turn = [value.get(key) for key in ("x", "y", "radiusX", "radiusY")], value.get("rotation", 0)
        if all(is_number(v) for v in [*numbers, turn]):
            centre, radii = np.array(numbers[:2]) * size, np.array(numbers[2:]) * size
            annotation.rings = [ellipse_ring(centre, radii, float(turn))]
        else:
            annotation.problem = "its centre and radii are no numbers"
    if not annotation.problem:
        _bring_to_size(annotation, width, height, photo)


def _bring_to_size(annotation: RawAnnotation, width: int, height: int, photo: RawPhoto) -> None:
    """Brings a shape to the size that the photo's first region states; predictions may state another."""
    if photo.width is None:
        photo.width, photo.height = width, height
    if (photo.width, photo.height) == (width, height):
        return
    scale = np.array([photo.width / width, photo.height / height])
    annotation.rings = [ring * scale for ring in annotation.rings]
    if annotation.box:
        annotation.box = (annotation.box * np.tile(scale, 2)).tolist()
    if annotation.rle:
        annotation.rle = resized_mask(annotation.rle, photo.width, photo.height)


def _is_points(points: Any) -> bool:
    return (
        isinstance(points, list)
        and len(points) > 0
        and all(isinstance(p, list) and len(p) == 2 and all(is_number(v) for v in p) for p in points)
    )


def _join_parts(
    found: list[RawAnnotation], parents: dict[str, str], photo: RawPhoto, strays: list[Stray]
) -> list[RawAnnotation]:
    """Regions of one class below one another in Label Studio's outliner are parts of one object.

    A region below one of another class is an object of its own (a backpack on a person), and so is a rectangle.
    """
    by_id = {str(a.id): a for a in found if a.box is None and not a.problem}

    def whole(annotation: RawAnnotation) -> RawAnnotation:
        top, seen = annotation, set()
        while str(top.id) not in seen:
            seen.add(str(top.id))
            above = by_id.get(parents.get(str(top.id), ""))
            if above is None or above.label != top.label:
                return top
            top = above
        return annotation  # they stand below one another in a circle

    parts = defaultdict(list)
    for annotation in found:
        top = whole(annotation) if by_id.get(str(annotation.id)) is annotation else annotation
        parts[id(top)].append(annotation)
    joined = []
    for annotation in found:
        own = parts.get(id(annotation))
        if not own:
            strays.append(Stray("annotation_joined", photo.file_name, annotation.id, "a part of the region above it"))
            continue
        joined.append(annotation)
        others = [part for part in own if part is not annotation]
        if others and all(part.rle is None for part in own):
            annotation.rings = [ring for part in own for ring in part.rings]
        elif others:
            masks = [part.rle or mask_of_rings(part.rings, photo.width, photo.height) for part in own]
            annotation.rle, annotation.rings = merge_masks(masks), []
    return joined
