"""The reader of photos: orientations, kinds of pixels, sizes from headers, and files that are damaged."""

import io
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from PIL import Image, features

from campus_seg import photos
from campus_seg.errors import StorageError
from campus_seg.photos import PhotoError, photo_size, read_photo


def marked(height=24, width=40):
    """(H, W, 3) uint8 RGB: dark, red in the upper left corner, green in the upper right."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[:8, :8] = (250, 10, 10)
    image[:8, -8:] = (10, 250, 10)
    return image


# How a camera stores the upright picture under each orientation, written down from the EXIF standard:
# the tag says which upright sides the stored first row and first column are.
STORED = {
    1: lambda up: up,  # top, left
    2: lambda up: up[:, ::-1],  # top, right
    3: lambda up: up[::-1, ::-1],  # bottom, right
    4: lambda up: up[::-1],  # bottom, left
    5: lambda up: up.transpose(1, 0, 2),  # left, top
    6: lambda up: up[:, ::-1].transpose(1, 0, 2),  # right, top
    7: lambda up: up[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: lambda up: up[::-1].transpose(1, 0, 2),  # left, bottom
}


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("band", [1 << 20, 100])  # pixels read at a time
@pytest.mark.parametrize("orientation", STORED)
def test_photos_come_upright(tmp_path, orientation, kind, band, monkeypatch):
    monkeypatch.setattr(photos, "BAND", band)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    options = {"quality": 95} if kind == "jpg" else {"lossless": True} if kind == "webp" else {}
    Image.fromarray(np.ascontiguousarray(STORED[orientation](marked()))).save(path, exif=exif, **options)
    image = read_photo(path)
    assert image.dtype == np.uint8
    assert image.flags["C_CONTIGUOUS"]
    assert image.shape == (24, 40, 3)
    assert np.abs(image[..., ::-1].astype(int) - marked())[2:6, [2, 3, 4, 35, 36, 37]].max() < 30
    assert image[-8:].max() < 60
    with path.open("rb") as stream:  # Pillow turns TIFFs by itself
        assert photo_size(stream) == (40, 24, 1 if kind == "tif" else orientation)


def test_an_orientation_that_is_none_is_left_alone(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(marked()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "a.png")[..., ::-1], marked())
    assert photo_size((tmp_path / "a.png").open("rb")) == (40, 24, 1)


def test_damaged_exif_is_none(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(marked()).save(stream, "JPEG", exif=b"Exif\0\0II*\0\xff\xff")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    assert read_photo(tmp_path / "a.jpg").shape == (24, 40, 3)
    stream.seek(0)
    assert photo_size(stream) == (40, 24, 1)


GREY16 = np.array([[0, 255, 256, 32768, 65535]] * 2, np.uint16)


@pytest.mark.parametrize(
    ("image", "kind", "bgr"),
    [
        (Image.fromarray(np.uint8([[0, 200]])), "png", [[0, 0, 0], [200, 200, 200]]),
        (Image.fromarray(np.uint8([[0, 1]]) * 255).convert("1"), "png", [[0, 0, 0], [255, 255, 255]]),
        (Image.fromarray(np.uint8([[[9, 8, 7], [255, 0, 30]]])).convert("P"), "png", None),
        (Image.fromarray(np.uint8([[[9, 8, 7, 255], [1, 2, 3, 90]]])), "png", [[7, 8, 9], [3, 2, 1]]),
        (Image.fromarray(np.uint8([[[9, 255], [77, 3]]])), "png", [[9, 9, 9], [77, 77, 77]]),
        (Image.fromarray(GREY16), "png", [[v] * 3 for v in (0, 0, 1, 128, 255)]),
        (Image.fromarray(GREY16), "tif", [[v] * 3 for v in (0, 0, 1, 128, 255)]),
        (Image.fromarray(GREY16.astype(np.int32)), "tif", [[v] * 3 for v in (0, 0, 1, 128, 255)]),
        (Image.fromarray(np.full((2, 2, 4), 0, np.uint8), mode="CMYK"), "tif", [[255] * 3, [255] * 3]),
    ],
)
def test_every_kind_of_pixel_becomes_8_bit_bgr(tmp_path, image, kind, bgr):
    image.save(tmp_path / f"a.{kind}")
    read = read_photo(tmp_path / f"a.{kind}")
    assert read.dtype == np.uint8
    assert read.shape == (image.height, image.width, 3)
    if bgr is not None:
        assert read[0].tolist() == bgr


def test_16_bit_colour(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[[0, 32768, 65535]]], np.uint16))
    assert np.abs(read_photo(tmp_path / "a.png")[0, 0].astype(int) - [0, 128, 255]).max() <= 1


def jpeg(size=64):
    """The bytes of a noisy JPEG."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a photo", "no image"),
        (jpeg()[:300], "Truncated|damaged|truncated"),
        (jpeg()[:-500], "truncated"),
        (None, "No such file"),
    ],
)
def test_unreadable_photos_have_a_reason(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(PhotoError, match=reason) as error:
        read_photo(tmp_path / "a.jpg")
    assert str(tmp_path) not in str(error.value)  # the same reason everywhere
    assert "0x" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no image"),
        (b"not a photo", "no image"),
        (jpeg()[:300], "cut short|damaged|[Tt]runcated"),
        (jpeg()[:-500], "cut short"),
        (jpeg(400)[:-500], "cut short"),  # of more than the 64 KiB that are looked at
    ],
)
def test_sizes_of_unreadable_photos_have_a_reason(content, reason):
    with pytest.raises(PhotoError, match=reason):
        photo_size(io.BytesIO(content))


def test_a_film_behind_a_jpeg_is_no_cut():
    """As in phones' motion photos."""
    assert photo_size(io.BytesIO(jpeg() + b"\0" * 200_000)) == (64, 64, 1)


def test_the_size_of_a_whole_jpeg_is_read_without_decoding(monkeypatch):
    monkeypatch.delattr("PIL.JpegImagePlugin.JpegImageFile.load_read")
    assert photo_size(io.BytesIO(jpeg(400))) == (400, 400, 1)


def test_photos_that_are_too_large(tmp_path, monkeypatch):
    Image.new("L", (70000, 1)).save(tmp_path / "long.png")
    with pytest.raises(PhotoError, match="too large: 70000 x 1 pixels"):
        read_photo(tmp_path / "long.png")
    with pytest.raises(PhotoError, match="too large: 70000 x 1 pixels"):
        photo_size((tmp_path / "long.png").open("rb"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (30, 30)).save(tmp_path / "bomb.png")
    with pytest.raises(PhotoError, match="too large"):
        read_photo(tmp_path / "bomb.png")
    with pytest.raises(PhotoError, match="too large"):
        photo_size((tmp_path / "bomb.png").open("rb"))


def test_floats_have_no_white(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(PhotoError, match="floating point"):
        read_photo(tmp_path / "a.tif")
    with pytest.raises(PhotoError, match="floating point"):
        photo_size((tmp_path / "a.tif").open("rb"))


def test_a_bug_or_a_full_memory_is_no_unreadable_photo(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg())

    def load(_):
        raise MemoryError

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", load)
    with pytest.raises(MemoryError):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    rng = random.Random(0)
    outcomes = set()
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", *(["AVIF"] if features.check("avif") else [])):
        stream = io.BytesIO()
        Image.fromarray(marked()).save(stream, kind, **({} if kind == "BMP" else {"exif": exif}))
        for _ in range(150):
            content = bytearray(stream.getvalue())
            for _ in range(rng.choice((1, 4, 16))):
                content[rng.randrange(min(len(content), rng.choice((40, 300))))] = rng.randrange(256)
            (tmp_path / "a.jpg").write_bytes(content)
            try:
                size = photo_size(io.BytesIO(content))
            except PhotoError:
                size = None
            try:
                image = read_photo(tmp_path / "a.jpg")
            except PhotoError:
                outcomes.add("refused")
            else:
                outcomes.add(image.dtype)
                assert size is not None and image.shape[:2] == (size[1], size[0])
    assert outcomes == {np.dtype(np.uint8), "refused"}


def test_a_photo_that_is_refused_alone_fails_alone_and_a_key_that_is_refused_stops_all(bucket):
    bucket.objects = {"b/walk/a.jpg": b"a", "b/walk/c.jpg": b"c"}
    bucket.faults = [PermissionError("AccessDenied")]
    with pytest.raises(PhotoError, match="cannot be read: the server refuses this file") as raised:
        read_photo("s3://b/walk/a.jpg")
    assert raised.value.refused
    bucket.faults = [PermissionError("Forbidden"), PermissionError("Forbidden")]  # of the folder as well
    with pytest.raises(StorageError, match="access is refused"):
        read_photo("s3://b/walk/a.jpg")
    with pytest.raises(PhotoError, match="no such file"):
        read_photo("s3://b/walk/b.jpg")
    bucket.faults = [OSError(22, "a server's own trouble")]
    with pytest.raises(StorageError):
        read_photo("s3://b/walk/a.jpg")


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_photo_that_a_web_server_refuses_fails_alone(tmp_path, monkeypatch, status):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - http.server's names
            self.send_error(status)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(PhotoError, match="cannot be read: the server refuses this file") as raised:
            read_photo(f"http://127.0.0.1:{server.server_port}/a.jpg")
        server.shutdown()
    assert raised.value.refused
