"""Label Studio's brush masks: run lengths of an RGBA picture, packed in bits; and its bitmasks, which are PNGs.

The packing is that of thi.ng/rle-pack (https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack): a header of
32 bits with the number of values, 5 bits with the width of a value less one, and four times 4 bits with the widths of
run lengths less one; then blocks of 1 bit "run or values", 2 bits that choose one of the four widths, the length less
one, and the value of the run, or each of the values.
"""

import base64
import binascii
import io
from typing import Any

import numpy as np
from PIL import Image

from campus_seg.label_studio.masks import MAX_PIXELS

HEADER_BITS = 32 + 5 + 4 * 4
LENGTH_BITS = (3, 4, 8, 16)  # widths of run lengths, as Label Studio itself chooses them
CHANNELS = 4  # red, green, blue and alpha


def decode_brush(rle: Any, width: int, height: int) -> np.ndarray:
    """The mask of a brush region.

    Args:
        rle: the bytes, as a list of numbers 0 to 255.
        width: of the photo as seen, in pixels.
        height: likewise.

    Returns:
        (height, width) bool: where the picture is not wholly transparent.

    Raises:
        ValueError: no such bytes, or of a picture of another size.
    """
    if width * height > MAX_PIXELS:
        raise ValueError("its RLE is of a picture that is too large")
    try:
        packed = bytes(rle)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("its RLE is no list of bytes") from None
    values = _unpack(packed, 4 * width * height)
    return values.reshape(height, width, 4)[..., 3] > 0


def encode_brush(mask: np.ndarray) -> list[int]:
    """What `decode_brush` reads: the mask as a white picture on a transparent one.

    Args:
        mask: (H, W) bool.
    """
    flat = mask.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts, ends = np.append(0, edges), np.append(edges, flat.size)
    parts = [f"{CHANNELS * flat.size:032b}{8 - 1:05b}", *(f"{width - 1:04b}" for width in LENGTH_BITS)]
    for value, length in zip(flat[starts].tolist(), (CHANNELS * (ends - starts)).tolist(), strict=True):
        while length:
            choice = next((i for i, width in enumerate(LENGTH_BITS) if length <= 1 << width), len(LENGTH_BITS) - 1)
            run = min(length, 1 << LENGTH_BITS[choice])
            parts.append(f"1{choice:02b}{run - 1:0{LENGTH_BITS[choice]}b}{255 * value:08b}")
            length -= run
    bits = "".join(parts)
    return np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0")).tolist()


def decode_bitmask(address: Any, width: int, height: int) -> np.ndarray:
    """The mask of a bitmask region.

    Args:
        address: its `imageDataURL`, "data:image/png;base64,…".
        width: of the photo as seen, in pixels.
        height: likewise.

    Returns:
        (height, width) bool: where the picture is not wholly transparent; of one without transparency, not black.

    Raises:
        ValueError: no such picture, or one of another size.
    """
    head, _, content = address.partition(",") if isinstance(address, str) else ("", "", "")
    try:
        with Image.open(io.BytesIO(base64.b64decode(content, validate=True)), formats=["PNG"]) as picture:
            if head != "data:image/png;base64" or picture.size != (width, height):
                raise ValueError("its picture is of another size")
            shown = picture.convert("RGBA").getchannel("A") if "A" in picture.getbands() else picture.convert("L")
            return np.asarray(shown) > 0
    except (OSError, binascii.Error, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"its picture cannot be read ({error})") from None


def _unpack(packed: bytes, expected: int) -> np.ndarray:
    """All values, (expected,) uint8, of a packed sequence."""
    total = 8 * len(packed)
    position = 0

    def take(count: int) -> int:
        nonlocal position
        if position + count > total:
            raise ValueError("its RLE is cut short")
        first, last = position // 8, (position + count + 7) // 8
        window = int.from_bytes(packed[first:last], "big")
        position += count
        return (window >> (8 * last - position)) & ((1 << count) - 1)

    if total < HEADER_BITS:
        raise ValueError("its RLE is cut short")
    number, value_bits = take(32), take(5) + 1
    if number != expected or value_bits != 8:
        raise ValueError("its RLE is of another picture")
    length_bits = [take(4) + 1 for _ in range(4)]
    values = np.zeros(number, dtype=np.uint8)
    done = 0
    while done < number:
        is_run = take(1)
        end = done + take(length_bits[take(2)]) + 1
        if end > number:
            raise ValueError("its RLE is longer than its picture")
        if is_run:
            values[done:end] = take(8)
        else:
            values[done:end] = [take(8) for _ in range(end - done)]
        done = end
    return values
