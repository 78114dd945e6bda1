"""The ways to compute a model: which one suits this machine, and how it is set up."""

import importlib
import importlib.util
from dataclasses import dataclass, replace

import torch
from detectron2.config import CfgNode
from torch import Tensor, nn

from campus_seg.config import on_cpu
from campus_seg.errors import ConfigError
from campus_seg.inference.parts import Parts, parts_of, reason_against_parts, replace_parts
from campus_seg.processes import cpu_has_bf16

ENGINES = ("auto", "eager", "openvino")
PRECISIONS = ("auto", "fp32", "bf16")
GPU_BATCH = 8  # photos; on a CPU a batch gains nothing


@dataclass(frozen=True)
class Engine:
    """How a model is computed.

    Attributes:
        name: "eager" or "openvino".
        precision: "fp32", or "bf16": products of bfloat16 added up in float32.
        remarks: why it is not what was asked for, or not the fastest there is; empty where it is.
    """

    name: str
    precision: str
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"{self.name} in {self.precision}", *(f"({remark})" for remark in self.remarks)])


def check_inference_keys(cfg: CfgNode) -> None:
    """Refuses values of `CAMPUS.INFERENCE` that cannot be.

    Raises:
        ConfigError: names the key and what it may be.
    """
    for key, known in (("ENGINE", ENGINES), ("PRECISION", PRECISIONS)):
        value = cfg.CAMPUS.INFERENCE[key]
        if value not in known:
            raise ConfigError(f'CAMPUS.INFERENCE.{key} is "{value}"; give one of {", ".join(known)}')


def choose_engine(cfg: CfgNode) -> Engine:
    """The engine and precision that `CAMPUS.INFERENCE` asks for; "auto" is what is fastest on this machine.

    On a CPU that is OpenVINO, and bfloat16 where the processor multiplies it (elsewhere it is emulated, slowly); on a
    GPU, PyTorch with autocast.

    Raises:
        ConfigError: a value that cannot be.
    """
    check_inference_keys(cfg)
    name, precision = cfg.CAMPUS.INFERENCE.ENGINE, cfg.CAMPUS.INFERENCE.PRECISION
    remarks = []
    try:
        cpu = on_cpu(cfg)
    except RuntimeError:
        raise ConfigError(f'MODEL.DEVICE is "{cfg.MODEL.DEVICE}"; give cpu or cuda') from None
    if name == "auto":
        name = "openvino" if cpu else "eager"
    if name == "openvino" and not cpu:
        remarks.append("openvino computes on a CPU: MODEL.DEVICE cpu")
        name = "eager"
    if name == "openvino" and (fault := fault_of_openvino()):
        remarks.append(f"openvino would be faster, but {fault}")
        name = "eager"
    native = cpu_has_bf16() if cpu else torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    if precision == "auto":
        precision = "bf16" if native else "fp32"
    elif precision == "bf16" and not native:
        instead = "openvino computes in fp32" if name == "openvino" else "emulating it is slow"
        remarks.append(f"this processor has no bf16: {instead}")
    return Engine(name, precision, tuple(remarks))


def fault_of_openvino() -> str:
    """Why OpenVINO cannot be used here; "" where it can."""
    if importlib.util.find_spec("openvino") is None:
        return "is not installed: pip install openvino"
    try:
        importlib.import_module("campus_seg.inference.openvino_parts")
    except (ImportError, OSError, AttributeError, RuntimeError) as error:  # of an install that is broken or too old
        return f"does not load: {error}"
    return ""


def design_of(cfg: CfgNode) -> str:
    """What decides, beside its weights, what a model computes in the parts that engines take over."""
    model = cfg.MODEL
    nodes = model.BACKBONE, model.FPN, model.RESNETS, model.RPN, model.ROI_BOX_HEAD, model.ROI_MASK_HEAD
    return "".join(map(str, (*nodes, cfg.CAMPUS.MINI_BACKBONE)))


def apply_engine(model: nn.Module, engine: Engine, design: str) -> Engine:
    """Sets a loaded model up to be computed by an engine, in place.

    Args:
        model: in evaluation mode.
        engine: from `choose_engine`.
        design: from `design_of`.

    Returns:
        The engine that it is in the end: another where the model is of a design that the engine does not know.
    """
    against = reason_against_parts(model)
    if against:
        return Engine("eager", "fp32", (*engine.remarks, f"as Detectron2 computes it, since {against}"))
    parts = parts_of(model)
    computed = None
    if engine.name == "openvino":
        from campus_seg.inference.openvino_parts import openvino_parts  # an extra

        try:
            computed = openvino_parts(parts, engine.precision, design)
            engine = replace(engine, precision=computed.pyramid.precision)
        except RuntimeError as error:  # an operation that it does not know
            first = (str(error).strip().splitlines() or ["no reason"])[0]
            engine = Engine("eager", engine.precision, (*engine.remarks, f"openvino refused the model: {first}"))
    replace_parts(model, computed or eager_parts(parts, engine.precision, model.device.type))
    return engine


def eager_parts(parts: Parts, precision: str, device_type: str) -> Parts:
    """The parts computed by PyTorch, with the strides that its convolutions are fastest with."""

    def computed(module: nn.Module):
        module.to(memory_format=torch.channels_last)

        def compute(x: Tensor) -> tuple[Tensor, ...]:
            if x.shape[1] == 3:  # photos come as planes
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device_type, torch.bfloat16, enabled=precision == "bf16"):
                return module(x)

        return compute

    return Parts(computed(parts.pyramid), computed(parts.box_head), computed(parts.mask_head))
