"""What the charts of a run say."""

import warnings

import pytest

from campus_seg.evaluation.run_charts import schedule_chart


@pytest.mark.parametrize(
    "times, said",
    [
        ([], "Learning rate over iterations: at most 0.001, at the end 0.0001."),
        ([0.25, 0.5, 0.75], "at the end 0.0001. Seconds a step, median 0.50."),
    ],
)
def test_a_run_of_a_few_steps_has_no_time(times, said):
    lines = [{"iteration": i, "lr": lr} for i, lr in enumerate((1e-3, 5e-4, 1e-4))]
    for line, time in zip(lines, times, strict=False):
        line["time"] = time
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert schedule_chart(lines).alt.endswith(said)
