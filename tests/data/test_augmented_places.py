"""Outlines, masks and pixels must go to the same place, whatever the pipeline.

Coordinates below are continuous: a photo covers [0, width] x [0, height]. Every transform with a closed form is
compared three times: vertices with a 3 x 3 matrix worked out by hand, vertices with where a drawn blob really went,
and areas with masks drawn at four times the size.
"""

import albumentations as A
import cv2
import numpy as np
import pytest
from outlines import HEIGHT, WIDTH, augment, blob_at, drawn_at_four_times, iou, outline, reduced, star

from campus_seg.data.augmentations import CONTINUOUS, PIXEL_CENTRED, ROUNDED_SCALE
from campus_seg.data.geometry import rasterise


def matrix(*rows):
    return np.array([*rows, (0, 0, 1)], dtype=float) if len(rows) == 2 else np.array(rows, dtype=float)


def shift(x, y):
    return matrix((1, 0, x), (0, 1, y))


def scale(x, y):
    return matrix((x, 0, 0), (0, y, 0))


def turn(degrees):
    """Counterclockwise as seen, y pointing down."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return matrix((cos, sin, 0), (-sin, cos, 0))


def about_centre(m):
    return shift(WIDTH / 2, HEIGHT / 2) @ m @ shift(-WIDTH / 2, -HEIGHT / 2)


def move(m, points):
    x, y, w = m @ np.concatenate([np.asarray(points, float).T, np.ones((1, len(points)))])
    return np.stack([x / w, y / w], axis=1)


def d4_matrix(element):
    """The eight symmetries of a rectangle, as albumentations names them."""
    turns = {
        "e": np.eye(3),
        "r90": matrix((0, 1, 0), (-1, 0, WIDTH)),
        "r180": matrix((-1, 0, WIDTH), (0, -1, HEIGHT)),
        "r270": matrix((0, -1, HEIGHT), (1, 0, 0)),
        "v": matrix((1, 0, 0), (0, -1, HEIGHT)),
        "h": matrix((-1, 0, WIDTH), (0, 1, 0)),
        "t": matrix((0, 1, 0), (1, 0, 0)),
        "hvt": matrix((0, -1, HEIGHT), (-1, 0, WIDTH)),
    }
    return turns[element]


def perspective_matrix(params):
    """From the pixel centres that cv2.warpPerspective works on to continuous points, and to the photo's own size."""
    size = scale(WIDTH / params["max_width"], HEIGHT / params["max_height"])
    return shift(0.5, 0.5) @ size @ params["matrix"] @ shift(-0.5, -0.5)


# name: (transform, what it does to continuous points; a function of its parameters where these are drawn)
CLOSED_FORM = {
    "hflip": (A.HorizontalFlip(p=1), matrix((-1, 0, WIDTH), (0, 1, 0))),
    "vflip": (A.VerticalFlip(p=1), matrix((1, 0, 0), (0, -1, HEIGHT))),
    "transpose": (A.Transpose(p=1), matrix((0, 1, 0), (1, 0, 0))),
    "rotate90": (A.RandomRotate90(p=1), lambda p: d4_matrix(["e", "r90", "r180", "r270"][p["factor"]])),
    "d4": (A.D4(p=1), lambda p: d4_matrix(p["group_element"])),
    "square": (A.SquareSymmetry(p=1), lambda p: d4_matrix(p["group_element"])),
    "crop": (A.Crop(31, 12, 400, 283, p=1), shift(-31, -12)),
    "crop padded": (A.Crop(31, 12, 500, 383, pad_if_needed=True, p=1), shift(39 - 31, 41 - 12)),
    "center crop": (A.CenterCrop(260, 381, p=1), shift(-20, -20)),
    "random crop": (A.RandomCrop(260, 351, p=1), lambda p: shift(-p["crop_coords"][0], -p["crop_coords"][1])),
    "crop borders": (
        A.RandomCropFromBorders(p=1),
        lambda p: shift(-p["crop_coords"][0], -p["crop_coords"][1]),
    ),
    "resize up": (A.Resize(511, 733, p=1), scale(733 / WIDTH, 511 / HEIGHT)),
    "resize down": (A.Resize(211, 333, area_for_downscale="image", p=1), scale(333 / WIDTH, 211 / HEIGHT)),
    "longest": (A.LongestMaxSize(600, p=1), scale(600 / WIDTH, round(HEIGHT * 600 / WIDTH) / HEIGHT)),
    "smallest": (A.SmallestMaxSize(257, p=1), scale(round(WIDTH * 257 / HEIGHT) / WIDTH, 257 / HEIGHT)),
    "random scale": (
        A.RandomScale((0.11, 0.33), p=1),
        lambda p: scale(int(WIDTH * p["scale"]) / WIDTH, int(HEIGHT * p["scale"]) / HEIGHT),
    ),
    "pad": (A.Pad((11, 22, 33, 44), p=1), shift(11, 22)),
    "pad if needed": (A.PadIfNeeded(400, 500, position="bottom_right", p=1), shift(79, 100)),
    "rotate": (A.Rotate((27, 27), p=1), about_centre(turn(27))),
    "rotate cropped": (
        A.Rotate((12, 12), crop_border=True, p=1),
        lambda p: shift(-p["x_min"], -p["y_min"]) @ about_centre(turn(12)),
    ),
    "affine": (
        A.Affine(scale=1.2, rotate=-15, translate_px={"x": 13, "y": -9}, shear=0, p=1),
        about_centre(shift(13, -9) @ turn(-15) @ scale(1.2, 1.2)),
    ),
    "affine shear": (
        A.Affine(scale={"x": 0.8, "y": 1.1}, shear={"x": 10, "y": 0}, rotate=0, p=1),
        about_centre(matrix((1, np.tan(np.radians(-10)), 0), (0, 1, 0)) @ scale(0.8, 1.1)),
    ),
    "perspective": (A.Perspective((0.08, 0.1), p=1), perspective_matrix),
    "perspective whole": (A.Perspective((0.08, 0.1), fit_output=True, p=1), perspective_matrix),
    "resized crop": (
        A.RandomResizedCrop((240, 350), scale=(0.6, 0.9), p=1),
        lambda p: crop_then_resize(p["crop_coords"], 240, 350),
    ),
    "sized crop": (
        A.RandomSizedCrop((270, 290), (333, 512), w2h_ratio=1.3, p=1),
        lambda p: crop_then_resize(p["crop_coords"], 333, 512),
    ),
    "crop and pad": (A.CropAndPad(px=((-20, -20), (30, 30), (10, 10), (-15, -15)), p=1), None),
}
# Those without a simple form by hand, for comparison with the pixels alone.
BY_PIXELS = {
    "crop and pad": A.CropAndPad(percent=(-0.15, 0.15), p=1),
    "crop and pad, size changes": A.CropAndPad(percent=(-0.15, 0.15), keep_size=False, p=1),
    "safe rotate": A.SafeRotate((-80, 80), p=1),
    "affine, output fitted": A.Affine(scale=(0.7, 1.3), rotate=(-40, 40), shear=(-15, 15), fit_output=True, p=1),
    "affine": A.Affine(scale=(0.7, 1.3), rotate=(-40, 40), shear=(-15, 15), translate_percent=(-0.1, 0.1), p=1),
    "shift scale rotate": lambda: A.ShiftScaleRotate(p=1),
    "perspective, own size": A.Perspective((0.05, 0.1), keep_size=False, p=1),
    "box-safe crop": A.BBoxSafeRandomCrop(erosion_rate=0.2, p=1),
    "sized box-safe crop": A.RandomSizedBBoxSafeCrop(250, 411, p=1),
    "one-box crop": A.AtLeastOneBBoxRandomCrop(200, 250, p=1),
    "several": A.Compose([A.Affine(rotate=(-20, 20), p=1), A.HorizontalFlip(p=0.5), A.RandomScale(0.2, p=0.5)]),
}


def crop_then_resize(box, height, width):
    left, top, right, bottom = box
    return scale(width / (right - left), height / (bottom - top)) @ shift(-left, -top)


def closed_form(name, seed):
    """The transform, and the matrix of what it does with this seed."""
    transform, form = CLOSED_FORM[name]
    if callable(form):
        augment([transform], outline([(200, 140), (210, 140), (205, 150)]), seed=seed)
        form = form(transform.params)
    return transform, form


FORMS = [name for name, (_, form) in CLOSED_FORM.items() if form is not None]
SEEDS = [(0, 0, 1), (0, 1, 7), (3, 2, 5)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FORMS)
def test_vertices_are_where_the_closed_form_says(name, seed):
    ring = star((207.3, 148.6), 60.2)
    transform, form = closed_form(name, seed)
    _, rings = augment([transform], outline(ring), seed=seed)
    assert len(rings) == 1
    np.testing.assert_allclose(rings.points, move(form, ring), atol=0.1)


def centre_of_mass(image):
    weight = image[..., 0].astype(float)
    rows, columns = np.indices(weight.shape) + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.filterwarnings("ignore:ShiftScaleRotate")
@pytest.mark.parametrize("name", [*FORMS, *BY_PIXELS])
def test_vertices_are_where_the_pixels_went(name):
    transform = BY_PIXELS[name] if name in BY_PIXELS else CLOSED_FORM[name][0]
    transform = transform if isinstance(transform, A.BasicTransform | A.BaseCompose) else transform()
    compared = 0
    for seed in SEEDS:
        for point in [(207.3, 148.6), (150.8, 180.1), (290.5, 120.25)]:
            triangle = outline([point, (215, 155), (205, 165)])  # its first vertex is the point
            image, rings = augment([transform], triangle, image=blob_at(*point), seed=seed)
            height, width = image.shape[:2]
            x, y = rings.points[0] if len(rings.points) == 3 else (0, 0)  # else it was cut at the edge
            if 16 < x < width - 16 and 16 < y < height - 16:
                np.testing.assert_allclose((x, y), centre_of_mass(image), atol=0.1)
                compared += 1
    assert compared >= 3


def test_every_transform_of_the_table_is_measured():
    measured = {type(t).__name__ for t, _ in CLOSED_FORM.values()} | {type(t).__name__ for t in BY_PIXELS.values()}
    assert (
        measured - {"Compose", "function"} | {"ShiftScaleRotate", "NoOp"} == PIXEL_CENTRED | CONTINUOUS | ROUNDED_SCALE
    )


@pytest.mark.parametrize(("radius", "least"), [(60, 0.98), (20, 0.95)])
@pytest.mark.parametrize("name", FORMS)
def test_areas_are_those_of_masks_drawn_at_four_times_the_size(name, radius, least):
    ring = star((206.7, 149.2), radius)
    assert np.ptp(ring, axis=0).min() > (96 if radius == 60 else 32)
    transform, form = closed_form(name, SEEDS[0])
    image, rings = augment([transform], outline(ring), seed=SEEDS[0])
    height, width = image.shape[:2]
    # From pixel centres to continuous points at four times the size, and back: what cv2 wants.
    fine = shift(-0.5, -0.5) @ scale(4, 4) @ form @ scale(0.25, 0.25) @ shift(0.5, 0.5)
    drawn = drawn_at_four_times(ring)
    warped = cv2.warpPerspective(drawn, fine, (4 * width, 4 * height), flags=cv2.INTER_NEAREST)
    truth = reduced(warped)

    followed = rasterise(rings.objects()[2][0], height, width).astype(bool)
    assert iou(followed, truth) >= least

    _, masks = augment([transform], reduced(drawn)[None].astype(np.uint8), seed=SEEDS[0])
    assert masks.shape == (1, height, width)
    assert iou(masks[0], truth) >= least
