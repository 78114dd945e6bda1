"""Detectron2 is no release on PyPI: how to install it, and a clear word when it is missing or broken.

This file runs by itself (`python campus_seg/environment.py install`) before anything else is installed, so it
imports the standard library alone.
"""

import argparse
import ctypes
import importlib
import logging
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path

# A build of upstream commit a59f0563 (2024-04) with one later upstream fix. Its wheel is tagged cp310, but it is
# pure Python and runs on later ones; only rotated boxes and deformable convolution need the compiled `_C`.
DETECTRON2 = "sal-detectron2==0.7.2"
DETECTRON2_SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
UPSTREAM = "git+https://github.com/facebookresearch/detectron2.git@a59f05630a8f205756064244bf5beb8661f96180"

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h

# What Detectron2 makes newer torch and setuptools say at every start, which helps no user.
NOISE = (
    ".*pkg_resources is deprecated.*",
    ".*torch.jit.(script|trace|trace_method). is deprecated.*",
    ".*torch.meshgrid.*",
    ".*`broadcast_buffers` is deprecated.*",
    ".*torch.cuda.amp.*",  # deprecated, and made by Detectron2 where there is no GPU, too
)


def pip_arguments(purelib: str) -> list[str]:
    """Arguments after `python -m pip install` that put the pinned build into `purelib`, over a broken one too."""
    return ["--upgrade", "--no-deps", "--only-binary=:all:", "--python-version", "3.10", "--target", purelib]


def pip_command() -> str:
    """`pip_arguments` for this environment, as one types them."""
    return shlex.join(pip_arguments(sysconfig.get_path("purelib")))


def install_detectron2() -> None:
    """Installs the pinned build into the running interpreter's environment, its checksum verified.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder, "detectron2.txt")
        pin.write_text(f"{DETECTRON2} --hash=sha256:{DETECTRON2_SHA256}\n")
        arguments = pip_arguments(sysconfig.get_path("purelib"))
        command = [sys.executable, "-m", "pip", "install", *arguments, "-r", str(pin)]
        subprocess.run(command, check=True)


def share_cores() -> None:
    """Lets PyTorch's waiting threads sleep, for a program whose other threads need the cores too; before torch loads.

    By default they turn in circles for a while after every operation, and OpenVINO's wait for them.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def take_large_pages() -> None:
    """Lets PyTorch keep large tensors in large pages of memory, where Linux has them; before torch loads.

    Each new tensor of a small-paged 100 MB costs 25,000 faults, half of the time of a convolution that fills it. The
    switch is PyTorch's own (c10/core/impl/alloc_cpu.cpp).
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def keep_memory() -> None:
    """Has this process keep the memory that it frees, for its next tensors, instead of giving it back; glibc alone.

    Of each step of a training on a CPU, which asks for the same again, a tenth went into new pages; see mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_MMAP_MAX, 0)


def require_detectron2() -> None:
    """Ends the program with the exact install commands where Detectron2 cannot be imported.

    Tools call it before they import anything that needs Detectron2; it also silences what old and new releases
    warn of each other.

    Raises:
        SystemExit: with status 2 and the commands on standard error.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of torch.distributed, which has a page for every end
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # "No CUDA runtime is found"
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # how it ends processes
    try:
        for module in ("torch", "torchvision", "detectron2.config", "detectron2.model_zoo"):
            importlib.import_module(module)
    except (ImportError, OSError, RuntimeError, ValueError, AttributeError) as error:
        python = sys.executable
        print(
            f"campus_seg needs Detectron2, which does not load here ({type(error).__name__}: {error}).\n"
            "In a clone of campus_seg:  make install\n"
            "Elsewhere, without a GPU:\n"
            f"  {python} -m pip install torch torchvision 'setuptools<81'\n"
            f"  {python} -m pip install {pip_command()} {DETECTRON2}\n"
            "With a GPU, built from upstream (needs nvcc and a C++ compiler):\n"
            f"  {python} -m pip install torch torchvision 'setuptools<81' wheel ninja\n"
            f"  {python} -m pip install --no-build-isolation '{UPSTREAM}'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["install", "check"])
    if parser.parse_args().action == "install":
        install_detectron2()
    else:
        require_detectron2()
