"""From a photo to what the model sees: its size and its packing, the same in training and prediction."""

import cv2
import numpy as np
import torch

from campus_seg.errors import ConfigError

MODES = ("fit", "stretch")


def check_input_keys(*, input_size: int, resize: str, image_format: str, mask_format: str) -> None:
    """Refuses values of `CAMPUS.INPUT_SIZE`, `CAMPUS.RESIZE`, `INPUT.FORMAT` and `INPUT.MASK_FORMAT`.

    Raises:
        ConfigError: a value that cannot be; the message names its key and what it may be.
    """
    for key, value, known in (
        ("CAMPUS.RESIZE", resize, MODES),
        ("INPUT.FORMAT", image_format, ("BGR", "RGB")),
        ("INPUT.MASK_FORMAT", mask_format, ("polygon", "bitmask")),
    ):
        if value not in known:
            raise ConfigError(f'{key} is "{value}"; give one of {", ".join(known)}')
    if input_size < 1:
        raise ConfigError(f"CAMPUS.INPUT_SIZE is {input_size}; give a number of pixels, for example 1024")


def resized_shape(height: int, width: int, input_size: int, mode: str) -> tuple[int, int]:
    """Size of a photo as the model sees it.

    Args:
        height: of the upright photo, in pixels.
        width: of the upright photo, in pixels.
        input_size: `CAMPUS.INPUT_SIZE`, in pixels.
        mode: `CAMPUS.RESIZE`: "fit" makes the longest side exactly `input_size` and rounds the other (at least
            1 pixel), "stretch" makes both sides `input_size`.

    Returns:
        (height, width) in pixels.

    Raises:
        ValueError: `mode` is neither.
    """
    if mode == "stretch":
        return input_size, input_size
    if mode == "fit":
        longest = max(height, width)
        return max(1, round(height * input_size / longest)), max(1, round(width * input_size / longest))
    raise ValueError(f'CAMPUS.RESIZE is "{mode}"; give one of {", ".join(MODES)}')


def resize_photo(image: np.ndarray, input_size: int, mode: str) -> np.ndarray:
    """Brings a photo to the size that the model sees.

    A continuous point (x, y) of the photo moves to (x * new_width / width, y * new_height / height): OpenCV's
    "area" and "linear" both keep the outer edges of the image where they are.

    Args:
        image: (H, W) or (H, W, C) uint8, any colour order.
        input_size: `CAMPUS.INPUT_SIZE`, in pixels.
        mode: `CAMPUS.RESIZE`, see `resized_shape`.

    Returns:
        (h, w) or (h, w, C) uint8; `image` itself where the size is right already.
    """
    height, width = image.shape[:2]
    new_height, new_width = resized_shape(height, width, input_size, mode)
    if (new_height, new_width) == (height, width):
        return image
    # "Area" averages what shrinks, so that fine patterns do not alias; it is meant for shrinking alone.
    shrinks = new_height <= height and new_width <= width
    return cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def to_tensor(image: np.ndarray, image_format: str, wanted_format: str) -> torch.Tensor:
    """(H, W, 3) uint8 to (3, H, W) uint8; each format is the order of the colours there, "BGR" or "RGB"."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, list(planes if image_format == wanted_format else planes[::-1]))  # 5 x as fast as a transpose
    return torch.from_numpy(planes)
