"""What people send: refused in plain words before it is decoded, or read as visualize.py reads it."""

import io
import re
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from drawn import encode
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features
from preannotated import STORED

from campus_seg.photos import PhotoError, read_photo
from campus_seg.web import photo_costs, received
from campus_seg.web.received import ReceivedPhoto, decode, receive

PLAIN = re.compile(r"This (photo|file) [^<>\[\]{}/\\_]+\.")  # no path, no number of memory, no class of an exception


def scene(height=30, width=44):
    """(H, W, 3) uint8 RGB."""
    small = np.random.default_rng(0).integers(0, 256, (height // 5, width // 4, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def stored(image, kind, **options):
    """The bytes of an (H, W, 3) or (H, W) array in a format of Pillow."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def jpeg(**options):
    return stored(scene(), "JPEG", **options)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks):
    """A PNG with chunks behind its first one."""
    content = stored(scene(), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def png_of(width, height):
    """A PNG whose header names a size that it does not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0"))
        + png_chunk(b"IEND", b"")
    )


def repeated_passes(count, image=None):
    """A progressive JPEG whose last pass is there so often that there are `count`."""
    content = stored(scene() if image is None else image, "JPEG", progressive=True)
    begins = [match.start() for match in re.finditer(rb"\xff\xda", content)]
    last = content[begins[-1] : -2]
    return content[:-2] + last * (count - len(begins)) + b"\xff\xd9"


def greedy_exif(entries, length):
    """EXIF data, many entries of which name the same `length` bytes."""
    body = b"".join(struct.pack("<HHII", 300 + i, 7, length, 8) for i in range(entries))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + body + bytes(4)).ljust(length + 8, b"\0")


def segments(*exif):
    """A JPEG with these APP1 segments."""
    content = jpeg()
    parts = [b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in exif]
    return content[:2] + b"".join(parts) + content[2:]


def refused(content, name="a.jpg", most=50):
    """The words in which a photo is refused, which have to be plain."""
    with pytest.raises(PhotoError) as error:
        receive(name, content, most)
    assert PLAIN.match(str(error.value)), error.value
    return str(error.value)


KINDS = ["JPEG", "PNG", "WEBP", "BMP", "HEIF", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("kind", KINDS)
def test_photos_are_read_as_the_commands_read_them(tmp_path, kind):
    content = stored(scene(), kind)
    (tmp_path / "a").write_bytes(content)
    photo = receive("walk/a.x", content)
    assert (photo.name, photo.kind, photo.width, photo.height) == ("a.x", kind, 44, 30)
    pixels = decode(photo)
    assert np.array_equal(pixels, read_photo(tmp_path / "a"))
    pixels[0, 0] = 0  # is drawn on


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_turned_photos_come_upright(tmp_path, orientation, ending):
    content = encode(scene(), ending=ending, orientation=orientation)
    (tmp_path / "a").write_bytes(content)
    pixels = decode(receive("a", content))
    assert np.array_equal(pixels, read_photo(tmp_path / "a"))
    assert pixels.shape == ((44, 30, 3) if orientation >= 5 else (30, 44, 3))


@pytest.mark.parametrize(
    "content",
    [
        stored((scene()[..., 0].astype(np.uint16) << 8) + 9, "PNG"),
        stored(Image.fromarray(scene()).convert("P"), "PNG"),
        stored(Image.fromarray(scene()).convert("RGBA"), "PNG"),
        stored(Image.fromarray(scene()).convert("CMYK"), "JPEG"),
        stored(scene()[..., 0], "JPEG"),
        jpeg(progressive=True, quality=80),
        stored(scene(), "WEBP", save_all=True, append_images=[Image.new("RGB", (44, 30))] * 3, lossless=True),
        stored(scene(), "PNG", save_all=True, append_images=[Image.new("RGB", (44, 30))] * 3),
        stored(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (44, 30))]),
        jpeg() + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\0" * 5000,  # a film behind it, as phones write
    ],
    ids=["16 bits", "palette", "alpha", "cmyk", "grey", "progressive", "moving webp", "moving png", "mpo", "film"],
)
def test_every_kind_of_photo_is_taken(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert np.array_equal(decode(receive("a", content)), read_photo(tmp_path / "a"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\0", "no photo"),
        (b"Dear all, this is no photo", "no photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no photo"),
        (stored(scene(), "TIFF"), r"\(TIFF\). Save it as JPEG or PNG"),
        (stored(scene(), "GIF"), "GIF"),
        (stored(scene(), "JPEG2000"), "JPEG 2000"),
        (stored(scene(), "PPM"), "no photo"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\0\0\0\x18ftypmp42" + bytes(99), "film"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no photo"),
        (jpeg()[:40], "damaged|not whole"),
        (b"\x89PNG\r\n\x1a\nabcdefgh", "not whole"),
        (b"BM" + bytes(60), "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "damaged"),
        (b"\0\0\0\x18ftypheic" + bytes(80), "damaged"),
    ],
)
def test_files_that_are_no_photos_are_refused_in_plain_words(content, words):
    assert re.search(words, refused(content))


@pytest.mark.parametrize("kind", KINDS)
def test_photos_that_are_cut_short_are_refused(kind):
    content = stored(scene(200, 320), kind)
    cut = content[: len(content) * 2 // 3]
    with pytest.raises(PhotoError, match="damaged|not whole") as error:
        decode(receive("a", cut))
    assert PLAIN.match(str(error.value))


@pytest.mark.parametrize("size", [(60_000, 60_000), (10_000, 5_001), (2**31 - 1, 2**31 - 1), (17_000, 17_000)])
def test_bombs_are_refused_by_their_headers(monkeypatch, size):
    monkeypatch.setattr(received, "read_photo_bytes", None)
    assert "too large" in refused(png_of(*size))
    header = bytearray(jpeg())
    at = header.index(b"\xff\xc0") + 5
    header[at : at + 4] = struct.pack(">HH", min(size[1], 65535), min(size[0], 65535))
    assert "too large" in refused(bytes(header))


def test_the_limit_of_pixels_is_what_was_said():
    content = stored(Image.new("L", (1000, 501)), "PNG")
    assert "1,000 x 501 pixels are 0.5 megapixels, and at most 0.5 are taken" in refused(content, most=0.5)
    assert receive("a", content, 0.501).width == 1000
    assert "at most 178" in refused(png_of(13_350, 13_350), most=1e9)
    assert "too long" in refused(png_of(65_501, 1))


def test_a_jpeg_of_many_passes_is_refused_before_it_is_decoded(monkeypatch):
    sound = repeated_passes(100)
    assert decode(receive("a", sound)).shape == (30, 44, 3)
    monkeypatch.setattr(received, "read_photo_bytes", None)
    assert "stored in 101 passes" in refused(repeated_passes(101))
    assert "stored in 101 passes" in refused(repeated_passes(20_000))
    hidden = sound[:-2] + b"\xff\xbf\xff\xff" + sound[sound.rindex(b"\xff\xda") : -2] + b"\xff\xd9"  # in a segment
    assert "stored in 101 passes" in refused(hidden)


def test_passes_of_large_photos_count_for_more(monkeypatch):
    monkeypatch.setattr(photo_costs, "MAX_WORK", 11 * 44 * 30 / 1e6)
    receive("a", repeated_passes(11))
    assert "passes" in refused(repeated_passes(12))


def test_two_sizes_in_a_jpeg_are_refused():
    content = jpeg()
    at = content.index(b"\xff\xc0")
    second = content[at : at + 5] + struct.pack(">HH", 60_000, 60_000) + content[at + 9 : at + 19]
    for bad in (content[:at] + second + content[at:], content[: at + 19] + second + content[at + 19 :]):
        assert re.search("damaged|too large", refused(bad))


@pytest.mark.parametrize(
    "content",
    [
        segments(b"Exif\0\0" + greedy_exif(3000, 60_000)),
        segments(*[b"Exif\0\0" + part for part in (greedy_exif(3000, 60_000)[:60_000], *[bytes(60_000)] * 4)]),
        png_with(png_chunk(b"eXIf", greedy_exif(60_000, 5_000_000))),
        png_with(
            png_chunk(
                b"zTXt",
                b"Raw profile type exif\0\0"
                + zlib.compress(
                    b"\nexif\n  99\n" + b"Exif\0\0".hex().encode() + greedy_exif(9000, 200_000).hex().encode()
                ),
            )
        ),
        stored(scene(), "WEBP", exif=b"Exif\0\0" + greedy_exif(60_000, 1_000_000)),
        segments(*[b"x"] * 6000),
        png_with(*[png_chunk(b"abCd", b"")] * 60_000),
        png_with(*[png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\n" * 1_000_000))] * 3),
        segments(*[b"Exif\0\0" + bytes(60_000)] * 80),
    ],
    ids=["exif", "exif in parts", "png", "png text", "webp", "segments", "chunks", "png texts", "much exif"],
)
def test_metadata_that_cost_more_than_the_picture_are_refused(content):
    began = time.process_time()
    assert "beside its picture" in refused(content)
    assert time.process_time() - began < 2


def test_usual_metadata_are_taken():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9286] = 6, "a camera", b"x" * 50_000
    for kind in ("JPEG", "PNG", "WEBP"):
        assert decode(receive("a", stored(scene(), kind, exif=exif))).shape == (44, 30, 3)
    text = b"\nexif\n      99\n" + (b"Exif\0\0" + exif.tobytes()[6:]).hex().encode()
    packed = png_with(png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
    assert decode(receive("a", packed)).shape == (44, 30, 3)


def test_packed_bitmaps_are_refused():
    content = bytearray(stored(Image.fromarray(scene()).convert("P"), "BMP"))
    content[30] = 1  # compression: RLE8
    assert "beside its picture" in refused(bytes(content))


@pytest.mark.parametrize("size", [(20, 10), (1000, 1000), (40, 31)])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in ("HEIF", "AVIF")])
def test_a_header_that_lies_costs_no_more_than_it_says(kind, size):
    """Libheif refuses it; libavif shrinks the picture to what the header says."""
    content = stored(scene(600, 800), kind)
    at = content.index(b"ispe") + 8
    lying = content[:at] + struct.pack(">II", *size) + content[at + 8 :]
    try:
        pixels = decode(receive("a", lying))
    except PhotoError as error:
        assert PLAIN.match(str(error))
    else:
        assert pixels.shape == (size[1], size[0], 3)


def test_another_size_than_the_header_s_is_refused():
    photo = receive("a", jpeg())
    with pytest.raises(PhotoError, match="damaged"):
        decode(ReceivedPhoto(photo.name, photo.content, photo.kind, 44, 31, photo.end))


@given(
    st.binary(max_size=200), st.sampled_from(["", "\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "BM", "RIFF\x40\0\0\0WEBPVP8 "])
)
def test_any_bytes_are_a_photo_or_refused_in_plain_words(rest, beginning):
    try:
        decode(receive("a", beginning.encode("latin-1") + rest))
    except PhotoError as error:
        assert PLAIN.match(str(error))
