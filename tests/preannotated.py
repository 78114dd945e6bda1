"""Photos of filled boxes, stored for any orientation, and a stand-in for the model that sees them exactly."""

import numpy as np
from blobs import Eye, draw
from drawn import encode
from fake_label_studio import INTERFACE
from PIL import Image

BOX = (12, 8, 44, 20)  # x0, y0, x1, y1 of 80 x 40 pixels
CORNERS = {(15, 20), (55, 20), (55, 50), (15, 50)}  # the same in per cent
CARS = INTERFACE.replace('value="dog"', 'value="bench"')
# What brings an upright photo to how a camera stores it for each orientation: the way back of the EXIF standard's.
STORED = {
    **{1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM},
    **{5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE},
    **{8: Image.Transpose.ROTATE_270},
}


class Model(Eye):
    """Knows benches and cars, and what its answers depend on."""

    def __init__(self):
        super().__init__()
        self.class_names, self.made_with = ["bench", "car"], {"model": "abc", "engine": "eager fp32"}


def photo(*boxes, orientation=1, classes=None):
    """A PNG, stored for an orientation, whose upright pixels show filled boxes; benches, unless classes are given."""
    upright = Image.fromarray(draw((40, 80), boxes, classes)[..., ::-1])
    way = STORED[orientation]
    stored = upright if way is None else upright.transpose(way)
    return encode(np.asarray(stored), ending=".png", orientation=orientation)
