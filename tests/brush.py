"""A packer of Label Studio's brush masks."""

import itertools

import numpy as np


def pack(picture: np.ndarray, length_bits: tuple[int, int, int, int] = (3, 4, 8, 16)) -> list[int]:
    """(H, W, 4) uint8 as thi.ng/rle-pack packs it: long runs as runs, the rest as single values."""
    bits = []

    def put(value: int, width: int) -> None:
        bits.extend(int(bit) for bit in f"{value:0{width}b}")

    values = picture.ravel().tolist()
    put(len(values), 32)
    put(8 - 1, 5)
    for width in length_bits:
        put(width - 1, 4)
    for value, run in itertools.groupby(values):
        left = len(list(run))
        while left:
            choice = next((i for i, width in enumerate(length_bits) if left <= 2**width), 3)
            length = min(left, 2 ** length_bits[choice])
            put(1 if length > 2 else 0, 1)
            put(choice, 2)
            put(length - 1, length_bits[choice])
            for _ in range(1 if length > 2 else length):
                put(value, 8)
            left -= length
    bits += [0] * (-len(bits) % 8)
    return [int("".join(map(str, bits[i : i + 8])), 2) for i in range(0, len(bits), 8)]
