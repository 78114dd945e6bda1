"""PNG files written a band of rows at a time: a picture of a panorama never exists as a whole."""

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

COLOR_TYPES = {1: 0, 3: 2, 4: 6}  # PNG's numbers for grey, RGB and RGBA, by channels
UP = 2  # PNG's filter that keeps each row's difference from the one above: zeros within an object


def write_png(file: BinaryIO, shape: tuple[int, int], bands: Iterable[np.ndarray]) -> None:
    """Writes a picture. As fast as OpenCV's encoder, with the same compression (zlib's level 1 for runs).

    The format is that of https://www.w3.org/TR/png-3/.

    Args:
        file: open for writing.
        shape: (H, W) of the picture, neither 0.
        bands: its rows from top to bottom, (h, W) grey or (h, W, 3 or 4) RGB or RGBA, uint8 or uint16.
    """
    file.write(b"\x89PNG\r\n\x1a\n")
    compressor = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    above = None
    for band in bands:
        pixels = band if band.itemsize == 1 else band.astype(band.dtype.newbyteorder(">"))
        rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(band), -1)
        if above is None:
            channels = band.shape[2] if band.ndim == 3 else 1
            header = struct.pack(">IIBBBBB", shape[1], shape[0], 8 * band.itemsize, COLOR_TYPES[channels], 0, 0, 0)
            _write_chunk(file, b"IHDR", header)
            above = np.zeros_like(rows[0])
        filtered = np.empty((len(rows), 1 + rows.shape[1]), dtype=np.uint8)
        filtered[:, 0] = UP
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above = rows[-1].copy()
        _write_chunk(file, b"IDAT", compressor.compress(filtered))
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)))
    file.write(kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
