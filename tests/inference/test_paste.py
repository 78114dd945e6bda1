"""Pasted masks against Detectron2's."""

import tracemalloc

import numpy as np
import pytest
import torch
from detectron2.layers import paste_masks_in_image
from detectron2.structures import Boxes, Instances
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campus_seg.inference import regions
from campus_seg.inference.paste import found_objects, instance_region, paste_mask

ROUNDING = 1e-5  # Detectron2's weights are 32-bit, ours 64-bit


def assert_as_detectron2(mask, box, shape):
    """The pasted mask is Detectron2's, but for pixels whose value lies within ROUNDING of the threshold."""
    box = np.array(box, np.float32)
    sure, possible = (
        paste_masks_in_image(torch.tensor(mask)[None], torch.tensor(box)[None], shape, 0.5 + tolerance)[0].numpy()
        for tolerance in (ROUNDING, -ROUNDING)
    )
    pasted = paste_mask(mask, box, shape).full(shape)
    assert not (sure & ~pasted).any()
    assert not (pasted & ~possible).any()
    return pasted


@settings(max_examples=300)
@given(
    seed=st.integers(0, 1000),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    corner=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),  # shares of the photo's sides
    sides=st.tuples(*[st.floats(-7, 6).map(lambda power: 2**power)] * 2),
    band=st.sampled_from([1, 300, 1 << 18]),
)
@example(seed=0, height=50, width=60, corner=(0.0, 0.0), sides=(60.0, 50.0), band=1000)  # the photo itself
@example(seed=0, height=50, width=60, corner=(-1.0, -1.0), sides=(5000.0, 4000.0), band=1000)
@example(seed=0, height=50, width=60, corner=(0.5, 0.5), sides=(0.001, 0.001), band=1000)
def test_pasting_is_detectron2s(seed, height, width, corner, sides, band):
    x, y = corner[0] * width, corner[1] * height
    box = [x, y, max(x, -0.5) + sides[0], max(y, -0.5) + sides[1]]  # in the photo, or over its edges
    mask = np.random.default_rng(seed).random((28, 28), dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "BAND", band)
        assert_as_detectron2(mask, box, (height, width))


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 2000, 1500),
        (1999.2, 1499.1, 2000, 1500),  # thinner than a pixel
        (0.3, 0.4, 0.9, 0.8),
        (-3000, -2000, 5000, 4000),
        (100.5, 200.25, 1800.75, 300.125),
        (3, 3, 4, 1500),
    ],
)
def test_pasting_is_detectron2s_in_a_large_photo(box):
    smooth = np.add.outer(np.hanning(28), np.hanning(28)).astype(np.float32) / 2
    for mask in (smooth, np.random.default_rng(0).random((28, 28), dtype=np.float32), np.ones((28, 28), np.float32)):
        pasted = assert_as_detectron2(mask, box, (1500, 2000))
    assert pasted.any() or box[2] - box[0] < 1  # of the full mask


def test_a_mask_of_two_by_two_cells_by_hand():
    # cells' centres lie at columns 1 and 3 of the box, 3 and 5 of the photo; between them the value falls from 1 to
    # 0 and outside it falls to 0 within a cell: at the pixels' centres 1.5 … 5.5 it is .25 .75 .75 .25 0
    region = paste_mask(np.array([[1, 0], [1, 0]], np.float32), np.array([2, 0, 6, 4], np.float32), (4, 8))
    assert (region.x, region.y, region.mask.shape) == (1, 0, (4, 6))
    # rows' factors at .5 … 3.5: .75 1 1 .75; .75 * .75 is above .5 as well
    assert np.array_equal(region.full((4, 8))[:, 1:7], np.array([[0, 1, 1, 0, 0, 0]] * 4, bool))


def test_a_box_outside_the_photo_has_no_pixels():
    mask = np.ones((28, 28), np.float32)
    for box in ((-50, -50, -20, -20), (100, 100, 120, 120), (-50, 5, -20, 9)):
        assert not paste_mask(mask, np.array(box, np.float32), (30, 40)).area
        assert not paste_mask(mask, np.array(box, np.float32), (30, 40)).tight().area


def full_masks(count, shape, scores=None):
    """Instances whose masks fill nearly the whole photo."""
    height, width = shape
    instances = Instances(shape)
    instances.pred_boxes = Boxes(torch.tensor([[1.0, 1, width - 1, height - 1]] * count))
    instances.scores = torch.linspace(0.9, 0.5, count)
    instances.pred_classes = torch.zeros(count, dtype=torch.int64)
    instances.pred_masks = torch.ones(count, 1, 28, 28)
    return instances


def peak(work):
    """Bytes that Python, NumPy and OpenCV's arrays took more than before while `work` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_masks_exist_one_at_a_time():
    shape = (1000, 1500)
    instances = full_masks(30, shape)
    areas = []

    def work():
        for found in found_objects(instances):
            areas.append(found.region.area)
            del found

    taken = peak(work)
    assert len(areas) == 30
    assert min(areas) > 0.98 * 1000 * 1500
    assert taken < 1.5 * 1000 * 1500 + 1.5e6  # a mask and bands of 1 MB


def test_temporaries_of_a_panoramas_mask_stay_small():
    shape = (5000, 20_000)  # 100 megapixels
    instances = full_masks(1, shape)
    assert peak(lambda: instance_region(instances, 0)) < 5000 * 20_000 + 64e6


def test_objects_come_by_score_and_without_empty_masks():
    instances = Instances((20, 30))
    instances.pred_boxes = Boxes(torch.tensor([[2.0, 3, 8, 9], [10, 3, 16, 9], [20, 3, 26, 9]]))
    instances.scores = torch.tensor([0.6, 0.9, 0.8])
    instances.pred_classes = torch.tensor([0, 1, 2])
    instances.pred_masks = torch.stack([torch.full((1, 28, 28), value) for value in (1.0, 0.1, 0.9)])
    found = list(found_objects(instances))
    assert [(f.class_id, round(f.score, 6), f.region.bbox) for f in found] == [
        (2, 0.8, (20, 3, 6, 6)),
        (0, 0.6, (2, 3, 6, 6)),
    ]
    assert not instance_region(instances, 1).area
    equal = full_masks(3, (20, 30))
    equal.scores[:] = 0.5
    equal.pred_classes = torch.tensor([2, 0, 1])
    assert [f.class_id for f in found_objects(equal)] == [2, 0, 1]  # as they came
