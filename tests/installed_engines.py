"""The engines that can be tested here, and what they compute in."""

import importlib.util

from campus_seg.processes import cpu_has_bf16

INSTALLED = ["eager", *(["openvino"] if importlib.util.find_spec("openvino") else [])]


def computed_precision(engine: str, precision: str) -> str:
    """What a CPU computes in when asked for `precision`: OpenVINO takes fp32 where bf16 would have to be emulated."""
    return "fp32" if engine == "openvino" and not cpu_has_bf16() else precision
