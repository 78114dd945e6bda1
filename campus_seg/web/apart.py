"""HEIC and AVIF photos, read in a process of their own that may take only so much memory and time.

What their headers say of the size need not be what the codecs inside decode, and no library here compares the two
first. Run as a program it reads a photo from standard input, and writes a line of JSON, then the pixels, to standard
output.
"""

import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from campus_seg.photos import FORMATS, PhotoError, named_errors, read_photo_bytes

BASE = 384 << 20  # bytes beside what the photo's own pixels take
BYTES_A_PIXEL = 28  # of 16-bit planes without subsampling, and of Pillow's and our own pictures of them
SECONDS = 30  # of computing; waiting for the processors comes on top of it


def read_apart(content: bytes, max_pixels: int, *, decode: bool) -> tuple[tuple[int, int], np.ndarray | None]:
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
    paths = filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")))
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    own["MALLOC_ARENA_MAX"] = "1"  # or each thread of a codec takes 64 MB of what the process may take
    command = [sys.executable, "-m", "campus_seg.web.apart", str(max_pixels), *(["decode"] if decode else [])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        answer = subprocess.run(
            command, input=content, timeout=4 * SECONDS, env={**os.environ, **own}, check=False, **pipes
        ).stdout
    except subprocess.TimeoutExpired:
        raise PhotoError("takes too long") from None
    line = answer[: answer.find(b"\n") + 1]
    if not line:  # a codec crashed, or the system has ended it
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


def main() -> None:
    """The other process: reads and answers."""
    max_pixels, decode = int(sys.argv[1]), "decode" in sys.argv
    content = sys.stdin.buffer.read()
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    pixels = None
    try:
        _limit(0)
        with named_errors(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            size = image.size
        answer = {"size": size}
        if decode and size[0] * size[1] <= max_pixels:
            _limit(size[0] * size[1])
            pixels = read_photo_bytes(content)
            answer["shape"] = pixels.shape
    except (PhotoError, MemoryError) as error:
        answer = {"error": str(error) or "its header states another size than its picture has"}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    if pixels is not None:
        sys.stdout.buffer.write(pixels.data)


def _limit(pixels: int) -> None:
    """Lets this process take so much address space more than it has."""
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (has + BASE + pixels * BYTES_A_PIXEL, hard))


if __name__ == "__main__":
    main()
