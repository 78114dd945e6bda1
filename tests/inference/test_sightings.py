"""Which instances of two views are one object, with masks whose pixels are known."""

import numpy as np
from blobs import view
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_seg.inference.paste import instance_region
from campus_seg.inference.sightings import Sightings


def test_masks_decide_and_not_boxes():
    rng = np.arange(28)
    above = (rng[:, None] < rng).astype(np.float32)  # the triangle above the diagonal, and the one below
    views = np.array([(0, 0, 100, 100), (0, 0, 80, 80)])
    box = [20, 20, 60, 60]
    found = [view([box], [0], [0.9], masks=above[None]), view([box], [0], [0.8], masks=1 - above[None])]
    seen = Sightings(found, views, (200, 400))
    assert seen.near(0).tolist() == [1]
    assert not seen.same(0, 1, seen.shared(0, 1))


@settings(max_examples=100)
@given(
    a=st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(3, 60)] * 2),
    b=st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(3, 60)] * 2),
    window=st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 60)] * 2),
    seed=st.integers(0, 99),
)
def test_shared_and_visible_pixels_are_those_of_full_masks(a, b, window, seed):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (a, b)]
    masks = np.random.default_rng(seed).random((2, 28, 28)).astype(np.float32)
    found = [view([box], [0], [0.9], (100, 110), masks[n : n + 1]) for n, box in enumerate(boxes)]
    seen = Sightings(found, np.array([(0, 0, 110, 100), (0, 0, 100, 90)]), (100, 110))
    full = [instance_region(each, 0).full((100, 110)) for each in found]
    assert seen.areas.tolist() == [mask.sum() for mask in full]
    assert seen.shared(0, 1) == (full[0] & full[1]).sum()
    x, y, w, h = window
    assert seen.visible(0, np.array([x, y, x + w, y + h])) == full[0][y : y + h, x : x + w].sum()
