import numpy as np
import pytest

from campus_seg.active_learning.uncertainty import entropy, look_of


@pytest.mark.parametrize(
    ("probability", "bits"),
    # A quarter: 1/4 * log2(4) + 3/4 * log2(4/3) = 0.5 + 0.75 * 0.4150375.
    [(0, 0), (1, 0), (0.5, 1), (0.25, 0.8112781), (0.75, 0.8112781)],
)
def test_entropy(probability, bits):
    assert entropy(np.array([[probability]], np.float32)) == pytest.approx(np.array([[bits]]))


def test_what_is_unknown_is_added_up_by_class():
    masks = np.zeros((3, 2, 2), np.float32)
    masks[0] = [[0.5, 0.5], [1, 0]]  # half of its cells are open: 0.5 bits a cell
    masks[1] = 0.5  # all of them: 1 bit a cell
    masks[2] = [[0.25, 1], [1, 1]]  # 0.8112781 / 4
    look = look_of(np.array([0.5, 0.75, 1.0]), np.array([2, 0, 2]), masks, np.zeros(4), 4)
    assert look.found == pytest.approx([0.75, 0, 1.5, 0])
    assert look.class_bits == pytest.approx([0.8112781, 0, 1, 0])
    assert look.mask_bits == pytest.approx([0.75, 0, 0.5 * 0.5 + 0.8112781 / 4, 0])
    assert look.bits == pytest.approx(look.class_bits + look.mask_bits)


def test_a_photo_without_finds():
    look = look_of(np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 28, 28)), np.ones(4), 3)
    assert look.bits.tolist() == look.found.tolist() == [0, 0, 0]


def test_a_sure_object_teaches_less_than_an_unsure_one_and_a_clear_outline_less_than_a_blurred_one():
    clear, blurred = np.ones((1, 4, 4)), np.full((1, 4, 4), 0.7)

    def bits(score, mask):
        return look_of(np.array([score]), np.array([0]), mask, np.zeros(1), 1).bits[0]

    assert bits(0.95, clear) < bits(0.6, clear) < bits(0.6, blurred)
    assert bits(0.02, blurred) < bits(0.95, blurred)  # what is hardly there has hardly an outline
