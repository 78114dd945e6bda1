import pytest
from torch.utils.data import DataLoader, Dataset

from campus_seg.errors import CampusError, ConfigError, ExportError, WeightsError, exits_on_bad_input


class Faulty(Dataset):
    """Fails as the mapper does; at the top of the module so that workers can be started in any way."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise ExportError("a b.jpg: annotation 0 has no outline: check the export")


def end_of(main, capsys):
    """Runs a tool's `main` that is to fail; returns the lines on standard error."""
    with pytest.raises(SystemExit) as stopped:
        exits_on_bad_input(main)()
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()


@pytest.mark.parametrize("kind", [CampusError, ConfigError, ExportError, WeightsError])
def test_bad_input_ends_with_status_2_and_one_line(kind, capsys):
    def main():
        raise kind("my.yaml: no such\n  key;\tcheck it")

    assert end_of(main, capsys) == ["error: my.yaml: no such key; check it"]


def test_an_error_in_a_loaders_worker_comes_out_as_its_own_line(capsys):
    photos = iter(DataLoader(Faulty(), num_workers=1))

    def main():
        next(photos)

    assert end_of(main, capsys) == ["error: a b.jpg: annotation 0 has no outline: check the export"]
    photos._shutdown_workers()  # left to the garbage collector it would halt a later test for 5 s


def test_what_is_no_fault_of_the_input_keeps_its_traceback():
    @exits_on_bad_input
    def main():
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        main()


def test_arguments_and_the_result_are_passed_on():
    @exits_on_bad_input
    def main(argv, *, status):
        """Runs."""
        return argv, status

    assert main(["a"], status=3) == (["a"], 3)
    assert (main.__name__, main.__doc__) == ("main", "Runs.")


def test_an_interrupt_is_one_line_that_says_how_to_go_on(capsys):
    @exits_on_bad_input(advice="the same command with --resume goes on")
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "stopped; the same command with --resume goes on\n"
