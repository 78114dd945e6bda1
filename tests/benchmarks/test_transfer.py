"""What is made of the curves of two arms, by hand; whole measures are in tests/tools/test_benchmark.py."""

import pytest

from campus_seg.benchmarks import curves as curves_module
from campus_seg.benchmarks.curves import Point, ap_at, draw_export, table, time_to
from campus_seg.benchmarks.transfer import compare
from campus_seg.errors import ConfigError


def curve(*points):
    """(seconds, AP) at 0 and after each 10 iterations."""
    return [Point(10 * i, seconds, ap) for i, (seconds, ap) in enumerate([(0.0, 0.0), *points])]


@pytest.mark.parametrize(
    ("ap", "seconds"),
    [(0, 0), (5, 2), (10, 4), (15, 6), (20, 8), (21, None)],
)
def test_the_time_to_an_ap(ap, seconds):
    assert time_to(ap, curve((4, 10), (8, 20), (12, 16))) == seconds


def test_the_first_time_counts():
    assert time_to(8, curve((4, 10), (8, 2), (12, 16))) == pytest.approx(3.2)
    assert time_to(12, curve((4, 10), (8, 2), (12, 16))) == pytest.approx(8 + 4 * 10 / 14)


@pytest.mark.parametrize(("seconds", "ap"), [(0, 0), (2, 5), (4, 10), (6, 15), (12, 16)])
def test_the_ap_at_a_time(seconds, ap):
    assert ap_at(seconds, curve((4, 10), (8, 20), (12, 16))) == ap


def test_the_arms_are_compared_seed_by_seed():
    curves = {
        "scratch": [curve((10, 0), (20, 4)), curve((10, 2), (20, 8))],
        "transfer": [curve((10, 8), (20, 20)), curve((12, 16), (24, 28))],
    }
    # Seed 0: 20 - 4 after 20 s; 4 is reached after 5 s and 20 s. Seed 1: 16 + 12 * 8 / 12 - 8; 8 after 6 s and 20 s.
    assert compare(curves) == {
        "transfer_ap_gain": pytest.approx((16 + 16) / 2),
        "transfer_time_to_same_ap": pytest.approx((5 / 20 + 6 / 20) / 2),
    }
    assert table(curves, ("from scratch", "with transfer")).splitlines()[2:] == [
        "| 10 | 10 / 11 | 1.0 (0.0 to 2.0) | 12.0 (8.0 to 16.0) |",
        "| 20 | 20 / 22 | 6.0 (4.0 to 8.0) | 24.0 (20.0 to 28.0) |",
    ]


def test_a_scratch_that_was_better_before_is_measured_by_its_first_time():
    curves = {"scratch": [curve((10, 8), (20, 6))], "transfer": [curve((10, 12), (20, 12))]}
    assert compare(curves)["transfer_time_to_same_ap"] == pytest.approx(5 / 7.5)


@pytest.mark.parametrize(
    ("scratch", "transferred", "gain"), [((20, 0), (20, 5), 5), ((20, 5), (20, 3), -2), ((20, 0), (20, 0), 0)]
)
def test_where_no_time_can_be_said_none_is(scratch, transferred, gain):
    """From scratch nothing was learned, or transfer never got as far."""
    assert compare({"scratch": [curve(scratch)], "transfer": [curve(transferred)]}) == {"transfer_ap_gain": gain}


def test_without_a_clone_there_is_nothing_to_draw_with(tmp_path, monkeypatch):
    monkeypatch.setattr(curves_module, "MAKE_SAMPLE", tmp_path / "make_sample.py")
    with pytest.raises(ConfigError, match="wants a clone"):
        draw_export(tmp_path, ["car"], 1, 0)
