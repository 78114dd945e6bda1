"""What OpenVINO's graphs compute, and the cache of their conversions."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("openvino", reason="the extra openvino is not installed")

from detectron2.modeling import build_model  # noqa: E402
from drawn import SMALL_MODEL  # noqa: E402

from campus_seg.config import load_config  # noqa: E402
from campus_seg.inference import openvino_parts as module  # noqa: E402
from campus_seg.inference.openvino_parts import MAX_MODELS, cached_models, openvino_parts  # noqa: E402
from campus_seg.inference.parts import Parts, parts_of  # noqa: E402
from campus_seg.modeling.mini_backbone import register_mini_backbone  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def small_parts(seed: int = 0) -> Parts:
    register_mini_backbone()
    torch.manual_seed(seed)
    return parts_of(build_model(load_config("mask_rcnn_mini_FPN.yaml", [*SMALL_MODEL, *CLASSES])))


ROOT = Path(__file__).parents[2]
CLASSES = ["MODEL.ROI_HEADS.NUM_CLASSES", "3"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Folder of the converted models, empty at first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "campus_seg" / "openvino"


@pytest.fixture
def conversions(monkeypatch):
    """What was converted, one entry a part."""
    done = []
    convert = module.convert
    monkeypatch.setattr(module, "convert", lambda part, example: done.append(part) or convert(part, example))
    return done


@pytest.mark.parametrize(("precision", "share"), [("fp32", 1e-5), ("bf16", 0.05)])
@pytest.mark.parametrize("size", [(1, 64, 64), (1, 160, 96), (2, 32, 64)])
def test_the_graphs_compute_what_the_parts_do(precision, share, size, cache):
    parts = small_parts()
    graphs = openvino_parts(parts, precision, "")
    count, height, width = size
    features = torch.randn(7, 7, 7, 16), torch.randn(7, 14, 14, 16)
    if precision == "bf16":
        features = tuple(x.bfloat16() for x in features)
    inputs = {"pyramid": torch.randn(count, 3, height, width), "box_head": features[0], "mask_head": features[1]}
    for name, x in inputs.items():
        with torch.no_grad():
            expected = getattr(parts, name)(x.float())
        got = getattr(graphs, name)(x)
        assert len(got) == len(expected)
        for ours, theirs in zip(got, expected, strict=True):
            assert (ours.float() - theirs).abs().max() <= share * theirs.abs().max()


def test_the_second_start_converts_nothing(cache, conversions):
    first = cached_models(small_parts(), "a")
    assert len(conversions) == 3 and len(list(cache.glob("*/*.xml"))) == 3
    again = cached_models(small_parts(), "a")
    assert len(conversions) == 3
    assert {name: len(model.outputs) for name, model in first.items()} == {
        name: len(model.outputs) for name, model in again.items()
    }


@pytest.mark.parametrize("other", [{"seed": 1}, {"design": "b"}])
def test_other_weights_or_another_design_are_another_model(other, cache, conversions):
    cached_models(small_parts(), "a")
    cached_models(small_parts(other.get("seed", 0)), other.get("design", "a"))
    assert len(conversions) == 6


def test_the_cache_keeps_the_models_used_last(cache, conversions):
    for number in range(MAX_MODELS):
        cached_models(small_parts(), str(number))
        age_all(cache)
    cached_models(small_parts(), "0")  # used again
    age_all(cache)
    cached_models(small_parts(), "new")
    assert len([path for path in cache.iterdir() if path.is_dir()]) == MAX_MODELS
    conversions.clear()
    cached_models(small_parts(), "0")
    assert conversions == []
    cached_models(small_parts(), "1")
    assert len(conversions) == 3


def age_all(cache):
    """Makes everything in the cache a minute older."""
    for path in cache.iterdir():
        time = path.stat().st_mtime - 60
        os.utime(path, (time, time))


@pytest.mark.parametrize("ending", ["xml", "bin"])
@pytest.mark.parametrize("kept", [0, 100])
def test_a_damaged_entry_is_converted_anew(ending, kept, cache, conversions):
    cached_models(small_parts(), "a")
    (file,) = cache.glob(f"*/box_head.{ending}")
    file.write_bytes(file.read_bytes()[:kept])
    conversions.clear()
    cached_models(small_parts(), "a")
    assert len(conversions) == 3
    conversions.clear()
    cached_models(small_parts(), "a")
    assert conversions == []


def test_without_a_cache_every_start_converts(tmp_path, monkeypatch, conversions, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for count in (3, 6):
        assert set(cached_models(small_parts(), "a")) == {"pyramid", "box_head", "mask_head"}
        assert len(conversions) == count
    assert "Converted models cannot be kept" in caplog.text


NO_ROOM = """
import resource, signal, sys
sys.path.insert(0, "tests/inference")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from test_openvino_parts import small_parts, openvino_parts
import torch
parts = small_parts()
expected = parts.pyramid(torch.ones(1, 3, 64, 64))[0]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
graphs = openvino_parts(parts, "fp32", "a")
print(bool(torch.allclose(graphs.pyramid(torch.ones(1, 3, 64, 64))[0], expected, atol=1e-4)))
"""


def test_a_full_disk_is_no_cache(cache, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", NO_ROOM]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "Converted models cannot be kept" in done.stderr
    assert list(cache.glob("*/*")) == []


def start(folder, queue):
    os.environ["XDG_CACHE_HOME"] = folder
    done = []
    convert = module.convert
    module.convert = lambda part, example: done.append(1) or convert(part, example)
    torch.set_num_threads(1)
    graphs = openvino_parts(small_parts(), "fp32", "a")
    queue.put((len(done), float(graphs.pyramid(torch.ones(1, 3, 64, 64))[0].sum())))


def test_two_processes_at_once_convert_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    both = [context.Process(target=start, args=(str(tmp_path), queue)) for _ in range(2)]
    for process in both:
        process.start()
    said = [queue.get(timeout=120) for _ in both]
    for process in both:
        process.join()
    assert sorted(count for count, _ in said) == [0, 3]
    assert said[0][1] == said[1][1]


SIGNALLED = """
import os, signal
import torch
from campus_seg.inference.openvino_parts import Graph, convert

handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
first, second = (Graph(convert(torch.nn.Linear(4, 4), torch.zeros(2, 4)), "fp32") for _ in range(2))
del first
del second
os.kill(os.getpid(), signal.SIGUSR1)
print(len(handled))
"""


def test_signals_are_handled_after_graphs_are_gone():
    """A training, whose workers end with a signal each, may follow a prediction in one process."""
    command = [sys.executable, "-W", "ignore", "-c", SIGNALLED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "1\n")
