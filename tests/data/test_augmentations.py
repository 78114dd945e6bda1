"""What becomes of objects that are cut, hidden, or followed with masks; and of the draws.

Where each transform takes an outline is measured in test_augmented_places.py.
"""

import pickle

import albumentations as A
import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from outlines import GREY, HEIGHT, WIDTH, augment, blob_at, drawn_at_four_times, iou, outline, reduced, star

from campus_seg.data.augmentations import HIDING, Augmentation
from campus_seg.data.geometry import Rings
from campus_seg.errors import ConfigError

THROUGH_MASKS = [
    A.ElasticTransform(alpha=300, sigma=20, p=1),
    A.GridDistortion(distort_limit=0.4, p=1),
    A.OpticalDistortion(distort_limit=0.4, p=1),
    A.OpticalDistortion(distort_limit=0.4, mode="fisheye", p=1),
    A.ThinPlateSpline(p=1),
    A.GridElasticDeform(num_grid_xy=(5, 5), magnitude=12, p=1),
    A.RandomGridShuffle((3, 3), p=1),
    A.Affine(rotate=20, translate_px=(60, 60), border_mode=cv2.BORDER_REFLECT_101, p=1),
    A.Pad((30, 200, 30, 200), border_mode=cv2.BORDER_WRAP, p=1),
    A.CropNonEmptyMaskIfExists(200, 200, p=1),
    A.Compose([A.HorizontalFlip(p=1), A.ElasticTransform(alpha=100, sigma=10, p=1), A.Resize(500, 333, p=1)]),
]


@pytest.mark.parametrize("transform", THROUGH_MASKS, ids=lambda t: type(t).__name__)
def test_what_points_cannot_follow_goes_through_masks_and_agrees_with_the_photo(transform):
    augmentation = Augmentation(transform)
    assert augmentation.needs_masks
    mask = reduced(drawn_at_four_times(star((190, 140), 70))).astype(np.uint8)
    image, masks = augmentation(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask[None], (1, 2, 3))
    assert masks.dtype == bool
    assert masks[0].any()
    assert iou(masks[0], image[..., 0] > 127) >= 0.995


class Mirror(A.DualTransform):
    """As a user would write it; named like nothing in albumentations."""

    def apply(self, img, **params):
        return np.ascontiguousarray(img[:, ::-1])


def test_a_transform_of_the_users_own_goes_through_masks():
    augmentation = Augmentation(Mirror(p=1))
    assert augmentation.needs_masks
    mask = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    mask[0, 10:50, 20:90] = 1
    _, masks = augmentation(GREY, mask, (0,))
    np.testing.assert_array_equal(masks[0], mask[0, :, ::-1].astype(bool))


@pytest.mark.parametrize(
    "transform",
    [
        A.CoarseDropout(p=1),
        A.GridDropout(p=1),
        A.XYMasking((1, 3), (1, 3), 20, 20, p=1),
        A.Erasing(p=1),
        A.PixelDropout(p=1),
    ],
    ids=lambda t: type(t).__name__,
)
def test_hiding_parts_of_the_photo_leaves_objects_alone_unless_asked(transform):
    assert type(transform).__name__ in HIDING
    ring = star((200, 150), 60)
    image, rings = augment([transform], outline(ring))
    assert (image != GREY).any()
    np.testing.assert_allclose(rings.points, ring, atol=1e-4)
    assert Augmentation(A.CoarseDropout(fill_mask=0, p=1)).needs_masks


def test_a_vertex_behind_the_camera_asks_for_masks():
    transform = A.Perspective((0.1, 0.1), p=1)
    transform.get_params_dependent_on_data = lambda params, data: {
        "matrix": np.array([(1, 0, 0), (0, 1, 0), (-1 / 300, 0, 1)]),
        "max_height": HEIGHT,
        "max_width": WIDTH,
        "matrix_bbox": np.eye(3),
    }
    augmentation = Augmentation(transform)
    assert augmentation(GREY, outline([(10, 10), (50, 10), (10, 50)]), (0,))[1] is not None
    assert augmentation(GREY, outline([(10, 10), (400, 10), (10, 50)]), (0,))[1] is None


def test_photos_without_objects():
    for transform in [A.HorizontalFlip(p=1), A.BBoxSafeRandomCrop(p=1), A.Affine(rotate=10, p=1), *THROUGH_MASKS]:
        augmentation = Augmentation(transform)
        empty = np.zeros((0, HEIGHT, WIDTH), np.uint8) if augmentation.needs_masks else outline()
        image, objects = augmentation(GREY, empty, (0,))
        assert len(objects) == 0
        assert image.ndim == 3


def test_an_object_that_leaves_the_crop_is_gone_and_one_at_the_edge_is_cut():
    left, middle, right = (np.array([(0, 0), (40, 0), (40, 40), (0, 40)]) + (x, 10) for x in (10, 180, 370))
    objects = Rings.from_polygons([[left.ravel()], [middle.ravel()], [right.ravel()]])
    _, rings = augment([A.Crop(200, 0, 400, 300, p=1)], objects)
    kept, boxes, _ = rings.objects()
    assert kept.tolist() == [1, 2]
    np.testing.assert_allclose(boxes, [(0, 10, 20, 50), (170, 10, 200, 50)])


def test_a_concave_outline_may_come_apart_and_a_twisted_one_does_not_fail():
    comb = [(0, 0), (90, 0), (90, 90), (60, 90), (60, 30), (30, 30), (30, 90), (0, 90)]
    _, rings = augment([A.Crop(0, 40, 200, 200, p=1)], outline(comb))
    assert len(rings) == 2
    np.testing.assert_allclose(sorted(rings.areas()), [30 * 50, 30 * 50])
    # A ring that runs round twice the other way inside itself: even-odd leaves a hole, cut in two here.
    hole = [(0, 0), (90, 0), (90, 90), (0, 90), (0, 0), (30, 30), (30, 60), (60, 60), (60, 30), (30, 30)]
    _, rings = augment([A.Crop(0, 10, 80, 200, p=1)], outline(hole))
    np.testing.assert_allclose(rings.areas().sum(), 80 * 80 - 30 * 30)
    bow = [(0, 0), (60, 60), (60, 0), (0, 60)]
    _, rings = augment([A.HorizontalFlip(p=1)], outline(bow))
    assert len(rings) == 1
    _, rings = augment([A.Crop(0, 0, 200, 30, p=1)], outline(bow))
    np.testing.assert_allclose(rings.areas().sum(), 900)


EXACT = st.one_of(
    st.sampled_from([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), A.Transpose(p=1), A.D4(p=1), A.RandomRotate90(p=1)]),
    st.builds(
        lambda angle, zoom: A.Affine(rotate=(angle, angle), scale=zoom, p=1), st.floats(-180, 180), st.floats(0.4, 1.2)
    ),
    st.builds(lambda h, w: A.Resize(h, w, p=1), st.integers(200, 500), st.integers(200, 500)),
    st.builds(lambda x, y: A.Crop(x, y, x + 199, y + 199, p=1), st.integers(0, 101), st.integers(0, 101)),
)
RATIO_CHECKS = []


@settings(max_examples=200)
@given(
    transforms=st.lists(EXACT, min_size=1, max_size=3),
    points=st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=3, max_size=12),
    spread=st.floats(0.2, 1),
    twisted=st.booleans(),
)
def any_outline_stays_inside_and_keeps_its_share(transforms, points, spread, twisted):
    """Whatever the outline, even twisted; when nothing is cut, its area grows by the determinants."""
    points = (WIDTH / 2, HEIGHT / 2) + spread * (np.array(points) - (WIDTH / 2, HEIGHT / 2))
    if not twisted:  # in order around their middle
        points = points[np.argsort(np.arctan2(*(points - points.mean(axis=0)).T))]
    objects = outline(points)
    try:
        image, rings = augment(transforms, objects)
    except ConfigError as error:  # a crop that is larger than what the crop before it left
        assert "crop" in str(error)  # noqa: PT017
        return
    height, width = image.shape[:2]
    assert (rings.points >= 0).all()
    assert (rings.points <= (width, height)).all()
    ratio = 1.0
    for transform in transforms:
        rows, columns = transform.params["shape"][:2]
        if isinstance(transform, A.Affine):
            ratio *= abs(np.linalg.det(transform.params["matrix"]))
        elif isinstance(transform, A.Resize):
            ratio *= transform.height * transform.width / (rows * columns)
    whole = len(rings.areas()) == 1 and len(rings.points) == len(points)
    # A twisted outline that is cut comes apart, sometimes into as many vertices as it had.
    if (
        whole
        and shapely.Polygon(points).is_valid
        and (rings.points > 0).all()
        and (rings.points < (width, height)).all()
    ):
        np.testing.assert_allclose(rings.areas(), objects.areas() * ratio, rtol=1e-3, atol=0.5)
        RATIO_CHECKS.append(ratio)


def test_any_outline_stays_inside_and_keeps_its_share():
    any_outline_stays_inside_and_keeps_its_share()
    assert len(RATIO_CHECKS) > 20


def test_draws_depend_on_the_seed_alone_and_transforms_draw_independently():
    augmentation = Augmentation(A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.GaussNoise(p=1)]))
    image = blob_at(100, 80)
    first = {seed: augmentation(image, outline(), (0, 0, seed))[0] for seed in range(40)}
    for seed in reversed(range(40)):
        np.testing.assert_array_equal(augmentation(image, outline(), (0, 0, seed))[0], first[seed])
    assert not np.array_equal(augmentation(image, outline(), (0, 1, 0))[0], first[0])
    assert not np.array_equal(augmentation(image, outline(), (1, 0, 0))[0], first[0])
    # With albumentations' own set_random_seed the two flips would always agree.
    dot = outline([(90, 80), (96, 80), (90, 86)])
    places = [tuple(augmentation(image, dot, (0, 0, seed))[1].bounds()[0] > 150) for seed in range(40)]
    assert min(places.count(place) for place in set(places)) >= 4
    assert len(set(places)) == 4


def test_a_copy_in_another_process_draws_the_same():
    augmentation = Augmentation.from_file("original_2023.yaml")
    copy = pickle.loads(pickle.dumps(augmentation))
    for seed in range(5):
        ours, theirs = (a(blob_at(100, 80), outline(star((100, 100), 50)), (seed,)) for a in (augmentation, copy))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1].points, theirs[1].points)
