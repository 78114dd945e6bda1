"""Photos scaled down keep their format, their turn and what they show."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageOps

from campus_seg.photos import PhotoError, photo_size
from campus_seg.upload.preparing import Changes
from campus_seg.upload.scaling import scale_down

pillow_heif.register_heif_opener()
TAGS, IFD = ExifTags.Base, ExifTags.IFD
RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 180, 30), (30, 30, 200), (240, 240, 240)


def quarters(width: int = 400, height: int = 200) -> Image.Image:
    """Red and green above, blue and white below."""
    pixels = np.empty((height, width, 3), np.uint8)
    for rows, columns, color in ((0, 0, RED), (0, 1, GREEN), (1, 0, BLUE), (1, 1, WHITE)):
        pixels[rows * height // 2 :, columns * width // 2 :][: height // 2, : width // 2] = color
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "JPEG", orientation: int = 1, **options) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[TAGS.Orientation] = orientation
    details = exif.get_ifd(IFD.Exif)
    details[TAGS.ExifImageWidth], details[TAGS.ExifImageHeight] = image.size
    details[TAGS.DateTimeOriginal], details[TAGS.MakerNote] = "2026:11:26 14:00:00", b"places in a file"
    exif.get_ifd(IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    image.save(stream, kind, **({} if kind == "BMP" else {"exif": exif.tobytes()}), **options)
    return stream.getvalue()


def shown(content: bytes) -> Image.Image:
    """As a viewer shows it."""
    with Image.open(io.BytesIO(content)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "BMP"])
def test_the_format_stays_and_the_longer_side_fits(kind):
    small = scale_down(encoded(quarters(), kind), 100)
    with Image.open(io.BytesIO(small)) as image:
        assert (image.format, image.size) == (kind, (100, 50))


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_shown_as_before(kind, orientation, strip):
    content = encoded(quarters(), kind, orientation=orientation)
    small = Changes(strip, 100).apply(content)
    width, height, turned = photo_size(io.BytesIO(small))
    assert (width, height) == ((50, 100) if orientation >= 5 else (100, 50))
    assert turned == photo_size(io.BytesIO(content))[2] and (kind in ("HEIF", "AVIF") or turned == orientation)
    before, after = shown(content), shown(small)
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)):
        old = before.getpixel((int(x * before.width), int(y * before.height)))
        new = after.getpixel((int(x * after.width), int(y * after.height)))
        assert np.abs(np.subtract(old, new)).max() <= 4


def test_exif_data_say_the_new_size():
    with Image.open(io.BytesIO(scale_down(encoded(quarters()), 100))) as image:
        exif = image.getexif()
    details = exif.get_ifd(IFD.Exif)
    assert (details[TAGS.ExifImageWidth], details[TAGS.ExifImageHeight]) == (100, 50)
    assert details[TAGS.DateTimeOriginal] == "2026:11:26 14:00:00" and TAGS.MakerNote not in details
    assert exif.get_ifd(IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"  # which --strip-gps takes out


@pytest.mark.parametrize("limit", [400, 4000])
def test_a_photo_that_is_small_enough_stays_as_it_is(limit):
    content = encoded(quarters())
    assert scale_down(content, limit) is content


def test_palettes_and_transparency_are_kept():
    palette = quarters().convert("P")
    assert shown(scale_down(encoded(palette, "PNG"), 100)).size == (100, 50)
    clear = quarters().convert("RGBA")
    clear.putalpha(100)
    with Image.open(io.BytesIO(scale_down(encoded(clear, "PNG"), 100))) as image:
        assert image.mode == "RGBA" and image.getpixel((5, 5))[3] == 100


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda: encoded(Image.new("I;16", (400, 200)), "PNG"), "a PNG of I;16 pixels cannot be scaled"),
        (lambda: encoded(quarters(), "TIFF"), "a TIFF of RGB pixels cannot be scaled"),
        (lambda: encoded(quarters())[:900], "cut short|damaged"),
    ],
)
def test_what_cannot_be_scaled_is_refused(content, expected):
    with pytest.raises(PhotoError, match=expected):
        scale_down(content(), 100)
