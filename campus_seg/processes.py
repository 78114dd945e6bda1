"""How many processes can work on this machine, and on what."""

import os

from campus_seg.errors import ConfigError


def check_processes(processes: int, machines: int = 1, device: str = "") -> str:
    """Whether so many processes can work on this machine; says on what, "" for a single one.

    Args:
        processes: on this machine, from --num-gpus.
        machines: of the run.
        device: MODEL.DEVICE, where that is known.

    Raises:
        ConfigError: they cannot.
    """
    import torch

    gpus = torch.cuda.device_count()
    if processes < 1:
        raise ConfigError(f"--num-gpus {processes}: give at least 1; on a machine without a GPU, processes on the CPU")
    if gpus and processes > gpus:
        raise ConfigError(f"--num-gpus {processes}: this machine has {gpus} GPU{'s' * (gpus > 1)}")
    if processes * machines == 1:
        return ""
    if gpus and device not in ("", "cuda"):
        raise ConfigError(
            f"MODEL.DEVICE {device} with {processes * machines} processes: where there are GPUs each takes its own, by "
            "MODEL.DEVICE cuda; CUDA_VISIBLE_DEVICES=0,1 in front of the command chooses among them, and "
            "CUDA_VISIBLE_DEVICES= hides all"
        )
    many = f", {processes * machines} on {machines} machines" if machines > 1 else ""
    if gpus:
        return f"Processes: {processes}, each on a GPU{many}"
    threads = compute_threads(processes)
    return (
        f"There is no GPU: --num-gpus {processes} makes {processes} processes on the CPU, with {threads} compute "
        f"thread{'s' * (threads > 1)} each{many}"
    )


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself."""
    import torch

    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.cpu._is_avx512_bf16_supported()


def compute_threads(processes: int) -> int:
    """Compute threads of each process on this machine."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else max(1, len(os.sched_getaffinity(0)) // processes)
