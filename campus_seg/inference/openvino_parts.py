"""The parts of a model computed by OpenVINO, and the cache of what they were converted to."""

import functools
import gc
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import filelock
import torch
from torch import Tensor, nn

from campus_seg.atomic_writes import cache_folder, sync
from campus_seg.inference.parts import Parts

# OpenVINO's import alone would tell Google Analytics that it is used here, and leave a folder in the user's home.
sys.modules.setdefault("openvino_telemetry", None)

import openvino as ov  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # noqa: E402
from openvino.preprocess import PrePostProcessor  # noqa: E402

logger = logging.getLogger(__name__)

NAMES = ("pyramid", "box_head", "mask_head")
FORMAT = 1  # of the graphs; a change of `parts.py` or of a backbone's code that changes them needs another
MAX_MODELS = 4  # kept in the cache; an R50-FPN takes 180 MB
TORCH_TO_OPENVINO = {torch.float32: ov.Type.f32, torch.bfloat16: ov.Type.bf16}


@functools.cache
def openvino_core() -> ov.Core:
    """OpenVINO's one entry for the whole process.

    One, and for as long as the process lives: each gives the thread that makes it a stack for signal handlers, and the
    one that was there before when it goes. Of two of them that may be gone too, and the next signal ends the process.
    """
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # a mapped file stays in memory beside the weights made from it
    return core


class Graph:
    """A compiled graph as a function of tensors. Not for several threads at once.

    Attributes:
        precision: what it computes in; a processor that has no bf16 takes fp32.

    Args:
        model: what `convert` made, with one input.
        precision: "fp32" or "bf16".
        wide_outputs: those that come in the graph's own precision, which in bf16 halves what is copied; the others
            are float32.
        wide_input: whether the input comes in it, too.
    """

    def __init__(self, model: ov.Model, precision: str, wide_outputs: Iterable[int] = (), wide_input: bool = False):
        if precision == "bf16":
            shaped = PrePostProcessor(model)
            for index in wide_outputs:
                shaped.output(index).tensor().set_element_type(ov.Type.bf16)
            if wide_input:
                shaped.input(0).tensor().set_element_type(ov.Type.bf16)
            model = shaped.build()
        options = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        compiled = openvino_core().compile_model(model, "CPU", options)
        self.precision = {ov.Type.f32: "fp32", ov.Type.bf16: "bf16"}.get(
            compiled.get_property("INFERENCE_PRECISION_HINT"), "fp32"
        )
        self._request = compiled.create_infer_request()

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Computes the outputs, which share memory with the graph and are valid until its next call."""
        self._request.set_input_tensor(0, to_openvino(x))
        self._request.infer()
        return tuple(to_torch(output) for output in self._request.output_tensors)

    def release_memory(self) -> None:
        """Frees what is kept for the next call, which makes it anew; outputs of the last one are not valid any more."""
        self._request.get_compiled_model().release_memory()


def to_openvino(x: Tensor) -> ov.Tensor:
    """A contiguous tensor as OpenVINO's, over the same memory."""
    array = x.view(torch.float16).numpy() if x.dtype == torch.bfloat16 else x.numpy()  # NumPy knows no bfloat16
    return ov.Tensor(array, list(x.shape), TORCH_TO_OPENVINO[x.dtype])


def to_torch(x: ov.Tensor) -> Tensor:
    """OpenVINO's tensor as PyTorch's, over the same memory."""
    tensor = torch.from_numpy(x.data)
    return tensor.view(torch.bfloat16) if x.element_type == ov.Type.bf16 else tensor


def convert(module: nn.Module, example: Tensor) -> ov.Model:
    """A module as an OpenVINO graph whose sizes are free, but for the channels.

    Through the frontend itself: `openvino.convert_model` would report each conversion to its makers.
    """
    with torch.no_grad():
        decoder = TorchScriptPythonDecoder(module, example_input=(example,))
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))


def openvino_parts(parts: Parts, precision: str, design: str) -> Parts:
    """The parts computed by OpenVINO, on as many threads as PyTorch has; their conversion is kept for the next start.

    Args:
        parts: of `parts_of`, on the CPU.
        precision: "fp32" or "bf16".
        design: text that differs where two models with the same weights compute something else.
    """
    models = cached_models(parts, design)
    levels = range(len(models["pyramid"].outputs) // 3)
    return Parts(
        Graph(models["pyramid"], precision, wide_outputs=levels),
        Graph(models["box_head"], precision, wide_input=True),
        Graph(models["mask_head"], precision, wide_input=True),
    )


def converted(parts: Parts) -> dict[str, ov.Model]:
    """The parts as OpenVINO graphs, by `NAMES`."""
    channels = parts.pyramid.channels
    examples = {
        "pyramid": torch.zeros(1, 3, 64, 96),
        "box_head": torch.zeros(2, *parts.box_head.bins, channels),
        "mask_head": torch.zeros(2, *parts.mask_head.bins, channels),
    }
    models = {name: convert(getattr(parts, name), examples[name]) for name in NAMES}
    gc.collect()  # traced modules hold one another, and their weights
    return models


def cached_models(parts: Parts, design: str) -> dict[str, ov.Model]:
    """As `converted`, from the user's cache where this model is in it.

    A lock lets one process at a time look, convert and clear out. What is read stays readable when it is removed.
    """
    try:
        folder = cache_folder() / "openvino"
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):
            return _read_or_convert(folder / model_key(parts, design), parts)
    except (OSError, RuntimeError) as error:  # the latter is OpenVINO's, where a write fails
        logger.warning("Converted models cannot be kept (%s): every start converts anew", error)
        return converted(parts)


def model_key(parts: Parts, design: str) -> str:
    """A name for a model's graphs: a hash of its weights, its design and what converts it."""
    digest = hashlib.sha256(f"{FORMAT} {ov.__version__} {torch.__version__} {design}".encode())
    for name in NAMES:
        for key, value in getattr(parts, name).state_dict().items():
            digest.update(f"{name}.{key} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.contiguous().numpy().data)
    return digest.hexdigest()[:32]


def _read_or_convert(folder: Path, parts: Parts) -> dict[str, ov.Model]:
    try:
        models = _read(folder)
        os.utime(folder)  # the most recently used stay longest
        return models
    except RuntimeError:  # not there, or damaged
        shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        ready = Path(temporary, "models")
        ready.mkdir()
        for name, model in converted(parts).items():
            ov.save_model(model, ready / f"{name}.xml", compress_to_fp16=False)
        for path in ready.iterdir():
            sync(path)
        ready.rename(folder)
    kept = sorted((path for path in folder.parent.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in kept[:-MAX_MODELS]:
        shutil.rmtree(old)
    return _read(folder)


def _read(folder: Path) -> dict[str, ov.Model]:
    return {name: openvino_core().read_model(folder / f"{name}.xml") for name in NAMES}
