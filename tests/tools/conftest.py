"""A run of the training command that several tests look at."""

import pytest
from drawn import draw_export
from small_runs import train


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return draw_export(photos=20).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


@pytest.fixture(scope="module")
def run(export, tmp_path_factory):
    """A short training; its folder is not to be changed."""
    output = tmp_path_factory.mktemp("run") / "output"
    train(export, output, "SOLVER.MAX_ITER", 40, "SOLVER.WARMUP_ITERS", 10)
    return output
