import platform
import subprocess
import sys
from pathlib import Path

import pytest

from campus_seg import environment

ROOT = Path(__file__).resolve().parents[1]


def test_detectron2_loads_here():
    environment.require_detectron2()


@pytest.mark.parametrize(
    "broken, reason",
    [
        ("raise ImportError('no such module here')", "ImportError: no such module here"),
        ("raise OSError('libtorch.so: wrong version')", "OSError: libtorch.so: wrong version"),
    ],
)
@pytest.mark.parametrize("module", ["detectron2", "torch"])
def test_a_missing_or_broken_one_answers_with_the_commands(module, broken, reason, tmp_path):
    """Every tool, with a package of that name in front that cannot be imported."""
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text(broken)
    for tool in ("train_net", "visualize", "visualize_data"):
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from campus_seg.tools.{tool} import main; "
        arguments = ["--config-file", "x.yaml", "--input", "x", "--output", "y", "--source", "annotation"]
        known = {"train_net": [], "visualize": arguments[:6], "visualize_data": [*arguments[:2], *arguments[4:]]}
        done = subprocess.run(
            [sys.executable, "-c", f"{code} main({known[tool]!r})"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert reason in done.stderr
        assert f"-m pip install {environment.pip_command()} {environment.DETECTRON2}" in done.stderr
        assert "git+https://github.com/facebookresearch/detectron2.git@" in done.stderr


def test_the_pinned_stack_is_what_runs_here():
    """requirements.lock, and the Detectron2 that environment.py pins, are what is installed."""
    from importlib.metadata import version

    pins = [line.split(";")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    pins = [pin for pin in pins if pin and not pin.startswith("#")]
    assert len(pins) > 50 and all("==" in pin for pin in pins)
    for pin in [*pins, environment.DETECTRON2]:
        name, wanted = pin.split("==")
        assert version(name) == wanted, pin


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is done for glibc alone")
def test_memory_that_was_freed_is_there_for_the_next_tensor():
    """Page faults of tensors of 64 MB, one after the other, as in train_net."""
    code = """
import resource
from campus_seg.environment import keep_memory, take_large_pages
take_large_pages()
keep_memory()
import torch
torch.ones(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {}
    for name, source in (("kept", code), ("given back", code.replace("\nkeep_memory()", ""))):
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
        faults[name] = int(done.stdout)
    assert faults["kept"] < 0.8 * faults["given back"]  # where the system has large pages, hardly any
