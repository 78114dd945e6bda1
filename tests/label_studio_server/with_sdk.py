"""Run in Label Studio's own environment: what its SDK makes of values.

Each line of standard input, [function, value] in JSON, is answered with a line of JSON.
"""

import json
import sys

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle
from label_studio_sdk.label_interface import LabelInterface


def decode(rles):
    """The alpha channel of brush masks, 0 or 1, as text."""
    return ["".join(map(str, (decode_rle(rle).reshape(-1, 4)[:, 3] > 0).astype(int).tolist())) for rle in rles]


def encode(masks):
    """Brush masks of masks, lists of rows."""
    return [mask2rle(255 * np.array(mask, dtype=np.uint8)) for mask in masks]


def faults(value):
    """What is wrong with predictions by a labelling interface."""
    interface = LabelInterface(value["interface"])
    return [interface.validate_prediction(one, return_errors=True) for one in value["predictions"]]


if __name__ == "__main__":
    for line in sys.stdin:
        function, value = json.loads(line)
        print(json.dumps({"decode": decode, "encode": encode, "faults": faults}[function](value)), flush=True)
