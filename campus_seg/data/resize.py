"""The one resize of this project: training and prediction show the model photos of the same size."""

import cv2
import numpy as np

MODES = ("fit", "stretch")


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
