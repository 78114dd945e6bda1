"""The fixed class colours."""

import colorsys

import pytest

from campus_seg.palette import PICKED, class_colors


@pytest.mark.parametrize("n", [0, 1, 20, 21, 1000])
def test_colors_are_distinct_and_neither_black_nor_grey(n):
    colors = class_colors(n)
    assert len(set(colors)) == len(colors) == n
    for color in colors:
        assert all(isinstance(channel, int) and 0 <= channel <= 255 for channel in color)
        assert max(color) >= 90
        assert max(color) - min(color) >= 60


def test_a_class_keeps_its_color_when_others_follow():
    assert class_colors(50)[:7] == class_colors(7) == list(PICKED[:7])


def test_the_picked_colors_are_far_apart():
    for i, one in enumerate(PICKED):
        for other in PICKED[:i]:
            assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) >= 90, (one, other)


def test_drawn_hues_are_spread():
    hues = sorted(colorsys.rgb_to_hsv(*(c / 255 for c in color))[0] for color in class_colors(70)[20:])
    gaps = [b - a for a, b in zip(hues, hues[1:], strict=False)]
    assert max(gaps) < 0.05
