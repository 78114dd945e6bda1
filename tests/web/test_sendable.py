"""Which photos go to Label Studio as they are, and what becomes of the others."""

import io
import re

import cv2
import numpy as np
import pytest
from drawn import encode
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from preannotated import STORED

from campus_seg.photos import PhotoError, read_photo_bytes
from campus_seg.web.sendable import sendable

WIDTH, HEIGHT = 48, 32
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
HTML = '<img src=x onerror="alert(1)">.jpg'


def picture():
    """(32, 48, 3) uint8, no two corners alike, and smooth enough for JPEG to keep it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows * 7, columns * 5, 255 - rows * 3 - columns * 2], axis=2).astype(np.uint8)


def saved(image_format, image=None, **options):
    stream = io.BytesIO()
    (image or Image.fromarray(picture())).save(stream, image_format, **options)
    return stream.getvalue()


def turned(orientation):
    """EXIF with nothing but an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("content", "ending", "media_type"),
    [
        *[(encode(picture(), orientation=number), "jpg", "image/jpeg") for number in STORED],
        (saved("MPO"), "jpg", "image/jpeg"),
        (saved("JPEG", progressive=True), "jpg", "image/jpeg"),
        (saved("PNG"), "png", "image/png"),
        (saved("PNG", Image.fromarray(picture()).convert("P")), "png", "image/png"),
        (saved("PNG", Image.fromarray(np.full((9, 9), 40_000, np.uint16))), "png", "image/png"),
        (saved("WEBP"), "webp", "image/webp"),
        (saved("PNG", Image.fromarray(picture()).convert("RGBA")), "png", "image/png"),  # opaque, as of a screen
        (saved("PNG", Image.fromarray(picture()).convert("LA")), "png", "image/png"),
        (saved("PNG", exif=turned(0)), "png", "image/png"),  # turned by nothing
    ],
)
def test_what_browsers_show_alike_goes_as_it_is(content, ending, media_type):
    photo = sendable("walk.heic", content)
    assert photo.content == content
    assert (photo.name, photo.media_type) == (f"walk{photo.mark}", media_type)
    assert photo.mark.endswith(f".{ending}")


def others():
    with_a_hole = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    with_a_hole[3, 4, 3] = 254
    transparent = np.dstack([picture(), np.full((HEIGHT, WIDTH), 100, np.uint8)])
    frames = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    return {
        "bmp": saved("BMP"),
        "heif": saved("HEIF", quality=95),
        "avif": saved("AVIF", quality=95),
        "transparent png": saved("PNG", Image.fromarray(transparent)),
        "one clear pixel": saved("PNG", Image.fromarray(with_a_hole)),
        "transparent colour": saved("PNG", Image.fromarray(picture()).convert("L"), transparency=0),
        "animated webp": saved("WEBP", frames[0], save_all=True, append_images=frames[1:], lossless=True),
        "animated png": saved("PNG", frames[0], save_all=True, append_images=frames[1:]),
        "printed jpeg": saved("JPEG", Image.fromarray(picture()).convert("CMYK"), quality=95),
        "png on its side": saved("PNG", exif=turned(6)),
        "webp on its side": saved("WEBP", exif=turned(8), lossless=True),
        "jpeg turned by xmp": saved("JPEG", xmp=XMP.encode(), quality=95),
    }


@pytest.mark.parametrize("kind", others())
def test_all_else_becomes_an_upright_jpeg_of_what_is_seen(kind):
    content = others()[kind]
    photo = sendable("walk.png", content)
    assert (photo.name, photo.media_type) == (f"walk{photo.mark}", "image/jpeg")
    assert photo.mark.endswith(".jpg")
    with Image.open(io.BytesIO(photo.content)) as image:
        assert (image.format, image.mode, dict(image.getexif())) == ("JPEG", "RGB", {})
        assert image.size == ((HEIGHT, WIDTH) if "side" in kind or "turned" in kind else (WIDTH, HEIGHT))
    seen = read_photo_bytes(content)  # what the model saw
    stored = cv2.imdecode(np.frombuffer(photo.content, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(stored.astype(int) - seen).mean() < 3


def test_what_is_no_photo_is_refused():
    for content in (b"", b"hello", saved("JPEG")[:100], saved("HEIF")[:100]):
        with pytest.raises(PhotoError):
            sendable("a.bmp", content)


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("IMG_0001.HEIC", "IMG_0001"),
        ("Süd Platz (1).jpg", "Süd_Platz_1"),
        ("no ending", "no_ending"),
        ("walk.2026.jpeg", "walk_2026"),
        ("my.photograph", "my_photograph"),
        (HTML, "img_src_x_onerror_alert_1"),
        ("../../etc/passwd.jpg", "etc_passwd"),
        (".jpg", "jpg"),
        ("…", "photo"),
        ("9" * 200 + ".png", "9" * 40),
    ],
)
def test_names_stay_readable(name, begins):
    photo = sendable(name, saved("PNG"))
    assert photo.name == f"{begins}{photo.mark}"
    assert re.fullmatch(r"-[0-9a-f]{10}\.png", photo.mark)


PHOTO, OTHER = saved("PNG"), saved("PNG", Image.fromarray(255 - picture()))


@settings(max_examples=200)
@given(st.text(max_size=150))
@example("İ" * 60 + ".jpg")
@example("\u202egpj.exe")
@example("a\u0308" * 50)
def test_any_name_is_one_that_label_studio_keeps(name):
    """Django keeps of a file's name what this expression leaves (django.utils.text.get_valid_filename), 100 letters
    with its folder, which may take 30, and the file system 255 bytes.
    """
    given = sendable(name, PHOTO).name
    assert given == re.sub(r"(?u)[^-\w.]", "", given.strip().replace(" ", "_"))
    assert len(given) <= 70 and len(given.encode()) <= 240
    assert not given.startswith("-") and given.endswith(".png") and given.count(".") == 1


def test_a_mark_is_the_contents_own():
    one, same, other = (sendable(*given).mark for given in (("a", PHOTO), ("b", PHOTO), ("a", OTHER)))
    assert one == same != other
