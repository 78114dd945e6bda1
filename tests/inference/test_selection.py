"""Which scores count, at a threshold and a hair beside it."""

import numpy as np
import pytest
import torch
from detectron2.structures import Instances

from campus_seg.inference.selection import Selection

BELOW = float(np.nextafter(np.float32(1), np.float32(0)))  # the float32 before 1


@pytest.mark.parametrize(
    "threshold, kept",
    [
        (0.7, [1.0, BELOW]),  # 0.7 itself is more than the float32 next to it
        (float(np.float32(0.7)), [1.0, BELOW, float(np.float32(0.7))]),  # a score as JSON gives it back
        ((1 + BELOW) / 2, [1.0]),  # rounded to a float32 it would be 1 or the score below
        (1.0, [1.0]),
        (0.0, [1.0, BELOW, float(np.float32(0.7)), 0.0]),
    ],
)
def test_a_score_counts_from_the_threshold_on_as_in_an_evaluation(threshold, kept):
    scores = torch.tensor([1.0, BELOW, 0.7, 0.0])
    instances = Instances((9, 9), scores=scores, pred_classes=torch.tensor([0, 0, 0, 0]))
    for selection in (Selection(threshold), Selection(0.9999, {"car": threshold})):
        assert selection.of(instances, ["car"]).scores.tolist() == kept
    by_the_model = scores[scores > Selection(threshold).least].tolist()  # before, and 0 is no score to it
    assert {score for score in kept if score} <= {*by_the_model} <= {*kept, float(scores[2])}
