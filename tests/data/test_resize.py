import cv2
import numpy as np
import pytest

from campus_seg.data.resize import resize_photo, resized_shape, to_tensor


@pytest.mark.parametrize(
    ("height", "width", "mode", "expected"),
    [
        (480, 640, "fit", (768, 1024)),
        (640, 480, "fit", (1024, 768)),
        (4032, 3024, "fit", (1024, 768)),
        (1000, 1000, "fit", (1024, 1024)),
        (333, 1000, "fit", (341, 1024)),  # 340.99
        (1, 5000, "fit", (1, 1024)),
        (480, 640, "stretch", (1024, 1024)),
        (1, 1, "stretch", (1024, 1024)),
    ],
)
def test_resized_shape(height, width, mode, expected):
    assert resized_shape(height, width, 1024, mode) == expected
    photo = np.zeros((height, width, 3), np.uint8)
    assert resize_photo(photo, 1024, mode).shape == (*expected, 3)


def test_an_unknown_mode_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match='"crop"; give one of fit, stretch'):
        resized_shape(480, 640, 1024, "crop")


@pytest.mark.parametrize("input_size", [100, 157, 400, 801])
@pytest.mark.parametrize("mode", ["fit", "stretch"])
def test_points_move_as_the_pixels_do(input_size, mode):
    height, width = 200, 301
    x, y = 140.3, 90.8  # continuous: the first pixel's centre is (0.5, 0.5)
    rows, columns = np.mgrid[:height, :width] + 0.5
    spot = (255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6**2))).round().astype(np.uint8)
    resized = resize_photo(spot, input_size, mode).astype(float)
    new_rows, new_columns = np.indices(resized.shape) + 0.5
    seen = (resized * new_columns).sum() / resized.sum(), (resized * new_rows).sum() / resized.sum()
    expected = x * resized.shape[1] / width, y * resized.shape[0] / height
    np.testing.assert_allclose(seen, expected, atol=0.1)


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(resize_photo(stripes, 100, "fit"), 100)


def test_a_photo_of_the_right_size_is_left_alone_and_enlarging_is_linear():
    photo = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert resize_photo(photo, 4, "fit") is photo
    linear = cv2.resize(photo, (8, 8), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_photo(photo, 8, "fit"), linear)


@pytest.mark.parametrize(
    ("image_format", "wanted_format", "order"),
    [("RGB", "RGB", [0, 1, 2]), ("BGR", "BGR", [0, 1, 2]), ("RGB", "BGR", [2, 1, 0]), ("BGR", "RGB", [2, 1, 0])],
)
def test_packing_orders_the_colours(image_format, wanted_format, order):
    photo = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)
    tensor = to_tensor(photo, image_format, wanted_format)
    assert tensor.is_contiguous()
    np.testing.assert_array_equal(tensor.numpy(), photo.transpose(2, 0, 1)[order])
