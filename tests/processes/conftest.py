"""The run in two processes that others are compared with."""

import pytest
from drawn import draw_export
from small_processes import command, run


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    return draw_export(photos=20).write_zip(tmp_path_factory.mktemp("export") / "export.zip")


@pytest.fixture(scope="session")
def whole(export, tmp_path_factory):
    """A training that nothing happened to; not to be changed."""
    output = tmp_path_factory.mktemp("whole") / "output"
    done = run(command(export, output, "--num-gpus", 2))
    assert (done.returncode, done.stderr) == (0, "")
    return output
