"""HEIC and AVIF photos, read in a process of their own that may take only so much memory and time.

What their headers say of the size need not be what the codecs inside decode, and no library here compares the two
first. The process reads a photo from standard input, and writes a line of JSON, then the pixels, to standard output.
"""

import io
import json
import logging
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from campus_seg.photos import FORMATS, PhotoError, named_errors, read_photo_bytes

# What is opened there. A file that begins as either may be the other ("mif1"), but nothing else: it would have been
# looked through before it is opened.
CODECS = tuple(name for name in ("HEIF", "AVIF") if name in FORMATS)
BASE = 384 << 20  # bytes beside what the photo's own pixels take
BYTES_A_PIXEL = 28  # of 16-bit planes without subsampling, and of Pillow's and our own pictures of them
SECONDS = 5.0  # of computing; waiting for the processors comes on top of it
SECONDS_A_PIXEL = 0.2e-6  # more of them; of photos of 50 megapixels it is a tenth of this
ROOT = str(Path(__file__).parents[2])
# Not `-m`, which would have the current folder's files before all others: anybody may have put a json.py there.
COMMAND = (
    "import sys; ROOT in sys.path or sys.path.insert(0, ROOT); from campus_seg.web.codec_process import main; main()"
).replace("ROOT", repr(ROOT))
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")  # of the environment, in which there may be passwords
LOG = logging.getLogger(__name__)


def read_in_process(content: bytes, max_pixels: int, *, decode: bool) -> tuple[tuple[int, int], np.ndarray | None]:
    """Reads a photo in another process.

    Args:
        content: of its file.
        max_pixels: no more memory is given than for so many.
        decode: whether it is decoded, too.

    Returns:
        Width and height by the header, and (H, W, 3) uint8 BGR upright, or None.

    Raises:
        PhotoError: it cannot be read within these bounds.
    """
    command = [sys.executable, "-P", "-c", COMMAND, str(max_pixels), *(["decode"] if decode else [])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    seconds = 4 * (SECONDS + max_pixels * SECONDS_A_PIXEL)
    try:
        done = subprocess.run(command, input=content, timeout=seconds, env=_environment(), check=False, **pipes)
    except subprocess.TimeoutExpired:
        raise PhotoError("takes too long") from None
    answer = done.stdout
    line = answer[: answer.find(b"\n") + 1]
    if not line:  # a codec crashed, or the system has ended it
        if done.returncode > 0:  # or Python does not work there, which is no fault of a photo
            LOG.warning("no HEIC or AVIF photo can be read: the process for it ends with status %d", done.returncode)
        raise PhotoError("damaged")
    about = json.loads(line)
    if "error" in about:
        raise PhotoError(about["error"])
    if not decode:
        return tuple(about["size"]), None
    pixels = np.frombuffer(answer, np.uint8, offset=len(line))
    if pixels.size != np.prod(about["shape"]):
        raise PhotoError("damaged")
    return tuple(about["size"]), pixels.reshape(about["shape"]).copy()  # drawn on


def _environment() -> dict[str, str]:
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path.startswith("/")]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    own["MALLOC_ARENA_MAX"] = "1"  # or each thread of a codec takes 64 MB of what the process may take
    return {**{name: os.environ[name] for name in PASSED_ON if name in os.environ}, **own}


def main() -> None:
    """The other process: reads and answers."""
    max_pixels, decode = int(sys.argv[1]), "decode" in sys.argv
    content = sys.stdin.buffer.read()
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):  # nothing of the photo gets on the disk
        resource.setrlimit(limit, (0, 0))
    pixels = None
    try:
        _limit(0)
        with named_errors(), Image.open(io.BytesIO(content), formats=CODECS) as image:
            size = image.size
        answer = {"size": size}
        if decode and size[0] * size[1] <= max_pixels:
            _limit(size[0] * size[1])
            pixels = read_photo_bytes(content, formats=CODECS)
            answer["shape"] = pixels.shape
    except (PhotoError, MemoryError) as error:
        answer = {"error": str(error) or "its header states another size than its picture has"}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    if pixels is not None:
        sys.stdout.buffer.write(pixels.data)


def _limit(pixels: int) -> None:
    """Lets this process take so much address space, and compute for so long, more than it has."""
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (has + BASE + pixels * BYTES_A_PIXEL, hard))
    seconds = math.ceil(time.process_time() + SECONDS + pixels * SECONDS_A_PIXEL)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
