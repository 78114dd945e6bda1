"""What tells of a photo's owner is gone from its bytes, whatever part of the file it is in; its pixels are the same."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, PngImagePlugin
from telling_photos import FORMATS, SECRET, TIME, picture, telling, telling_exif

from campus_seg.photos import PhotoError, photo_size
from campus_seg.upload.privacy import strip_personal

TAGS, IFD = ExifTags.Base, ExifTags.IFD


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def exif_of(content: bytes) -> Image.Exif:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.getexif()


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_that_tells_is_left_and_no_pixel_changes(kind):
    content = telling(kind, telling_exif())
    assert content.count(SECRET.encode()) >= 10
    stripped = strip_personal(content)
    assert SECRET.encode() not in stripped
    assert np.array_equal(pixels(stripped), pixels(content))
    assert photo_size(io.BytesIO(stripped)) == photo_size(io.BytesIO(content))
    exif = exif_of(stripped)
    assert not exif.get_ifd(IFD.GPSInfo)
    details = exif.get_ifd(IFD.Exif)
    assert set(details) == {TAGS.DateTimeOriginal, TAGS.ExposureTime}
    assert (details[TAGS.DateTimeOriginal], float(details[TAGS.ExposureTime])) == (TIME, 0.01)
    assert (exif[TAGS.Make], exif[TAGS.Model], exif[TAGS.DateTime]) == ("Phone & Co", "Phone 9", TIME)
    with Image.open(io.BytesIO(stripped)) as after, Image.open(io.BytesIO(content)) as before:
        assert after.info["icc_profile"] == before.info["icc_profile"]
    assert strip_personal(stripped) == stripped


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_stays(kind, orientation):
    stripped = strip_personal(telling(kind, telling_exif(orientation)))
    assert exif_of(stripped)[TAGS.Orientation] == orientation
    assert photo_size(io.BytesIO(stripped)) == ((48, 64) if orientation >= 5 else (64, 48)) + (orientation,)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_stays_in_the_files_own_boxes(kind, orientation):
    content = telling(kind, telling_exif(orientation))
    stripped = strip_personal(content)
    upright = (48, 64) if orientation >= 5 else (64, 48)
    assert photo_size(io.BytesIO(stripped))[:2] == photo_size(io.BytesIO(content))[:2] == upright
    before, after = (ImageOps.exif_transpose(Image.open(io.BytesIO(one))) for one in (content, stripped))
    assert after.size == upright and np.array_equal(np.asarray(before), np.asarray(after))


def test_what_is_encoded_stays_byte_for_byte():
    content = telling("progressive JPEG", telling_exif())
    stripped = strip_personal(content)
    tables = content.index(b"\xff\xdb")  # from the first quantization table on, to the end marker
    begin = stripped.index(b"\xff\xdb")
    end = content.index(b"\xff\xd9film") + 2
    assert stripped[begin:].count(b"\xff\xda") > 3  # scans
    assert stripped[begin:] == content[tables:end]


def test_an_orientation_that_stands_in_xmp_alone_stays():
    stream = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6" a="SECRET"/></x:xmpmeta>'
    picture().save(stream, "JPEG", xmp=xmp)
    content = stream.getvalue()
    assert photo_size(io.BytesIO(content)) == (48, 64, 6)
    stripped = strip_personal(content)
    assert photo_size(io.BytesIO(stripped)) == (48, 64, 6) and b"SECRET" not in stripped


def test_the_preview_in_a_jpegs_head_goes_too():
    """JFIF has room for one, of which an edited photo may still show what was cut away."""
    content = telling("JPEG", telling_exif())
    at = content.index(b"JFIF\0")
    length = struct.unpack(">H", content[at - 2 : at])[0]
    thumbnail = b"\x02\x01" + SECRET.encode()
    head = content[at : at + 12] + thumbnail
    content = content[: at - 2] + struct.pack(">H", len(head) + 2) + head + content[at - 2 + length :]
    stripped = strip_personal(content)
    assert SECRET.encode() not in stripped and b"JFIF\0" in stripped
    assert np.array_equal(pixels(stripped), pixels(content))


def test_segments_that_no_reader_looks_at_go():
    content = telling("JPEG", telling_exif())
    at = content.index(b"\xff\xdb")
    hidden = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(SECRET) + 2) + SECRET.encode() for marker in (0xC8, 0xDF, 0xF0, 0xFE)
    )
    stripped = strip_personal(content[:at] + hidden + content[at:])
    assert stripped == strip_personal(content) and SECRET.encode() not in stripped


def test_what_lies_behind_a_pngs_pixels_in_their_own_chunks_goes():
    content = telling("PNG", telling_exif())
    at = content.index(b"IDAT") - 4
    length = int.from_bytes(content[at : at + 4], "big")
    packed, rest = content[at + 8 : at + 8 + length], content[at + 12 + length :]

    def chunk(body):
        return struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))

    chunks = (packed[:700], b"", packed[700:] + SECRET.encode(), SECRET.encode(), b"")
    stripped = strip_personal(content[:at] + b"".join(map(chunk, chunks)) + rest)
    assert SECRET.encode() not in stripped and np.array_equal(pixels(stripped), pixels(content))
    left = [chunk(body) for body in (packed[:700], b"", packed[700:], b"", b"")]
    end = content[content.index(b"IEND") - 4 :][:12]
    assert stripped.endswith(b"".join([*left, end]))


def test_packed_text_goes():
    stream, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Comment", SECRET, zip=True)
    picture().save(stream, "PNG", pnginfo=info)
    plain = io.BytesIO()
    picture().save(plain, "PNG")
    assert b"zTXt" in stream.getvalue() and strip_personal(stream.getvalue()) == plain.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_what_lies_around_a_bitmaps_pixels_goes(mode):
    stream = io.BytesIO()
    picture().convert(mode).save(stream, "BMP")
    content = stream.getvalue()
    begin = int.from_bytes(content[10:14], "little")
    hidden = SECRET.encode()
    head = content[:10] + struct.pack("<I", begin + len(hidden)) + content[14:begin]
    stripped = strip_personal(head + hidden + content[begin:] + hidden)
    assert hidden not in stripped and np.array_equal(pixels(stripped), pixels(content))
    assert strip_personal(stripped) == stripped


@pytest.mark.parametrize("length", [600, 200_000])
def test_a_colour_profile_stays_and_what_is_put_behind_it_goes(length):
    profile = struct.pack(">I", length) + np.random.default_rng(0).bytes(length - 4)
    sound, longer = io.BytesIO(), io.BytesIO()
    picture().save(sound, "JPEG", icc_profile=profile)
    picture().save(longer, "JPEG", icc_profile=profile + SECRET.encode())
    assert strip_personal(longer.getvalue()) == strip_personal(sound.getvalue())
    with Image.open(io.BytesIO(strip_personal(longer.getvalue()))) as image:
        assert image.info["icc_profile"] == profile


def test_a_second_photo_in_the_file_goes():
    """As phones write them: a larger or brighter one, which the first one's MPF segment points to."""
    stream = io.BytesIO()
    second = picture().rotate(180)
    second.encoderinfo = {"exif": telling_exif()}
    picture().save(stream, "MPO", save_all=True, append_images=[second], exif=telling_exif())
    with Image.open(stream) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    stripped = strip_personal(stream.getvalue())
    with Image.open(io.BytesIO(stripped)) as image:
        assert image.format == "JPEG"
    assert stripped.count(b"\xff\xd8") == 1 and SECRET.encode() not in stripped


def test_all_of_several_exif_and_xmp_segments_go():
    """More XMP than a segment has room for lies in others, by the first one's number (extended XMP)."""
    content = telling("JPEG", telling_exif())
    hidden = b"".join(
        struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body
        for body in (
            b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + SECRET.encode(),
            telling_exif(3),
            b"Exif\0\0" + SECRET.encode(),
        )
    )
    at = content.index(b"\xff\xdb")
    stripped = strip_personal(content[:at] + hidden + content[at:])
    assert SECRET.encode() not in stripped and stripped.count(b"Exif\0\0") == 1
    assert photo_size(io.BytesIO(stripped)) == (48, 64, 6)


def test_a_photo_without_anything_to_tell_stays_readable():
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        stream = io.BytesIO()
        picture().save(stream, kind)
        assert np.array_equal(pixels(strip_personal(stream.getvalue())), pixels(stream.getvalue()))


def test_cmyk_keeps_its_colours():
    stream = io.BytesIO()
    picture().convert("CMYK").save(stream, "JPEG")
    assert np.array_equal(pixels(strip_personal(stream.getvalue())), pixels(stream.getvalue()))


def test_an_animation_stays_one():
    frames = [picture(), picture().rotate(180)]
    for kind in ("WEBP", "PNG"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=100)
        with Image.open(io.BytesIO(strip_personal(stream.getvalue()))) as image:
            assert image.n_frames == 2


def test_damaged_exif_goes():
    content = telling("JPEG", b"Exif\0\0II*\0\xff\xff\xff\x7fSECRET")
    stripped = strip_personal(content)
    assert SECRET.encode() not in stripped and np.array_equal(pixels(stripped), pixels(content))


def test_other_readers_agree():
    content = telling("JPEG", telling_exif())
    flags = cv2.IMREAD_COLOR  # which turns the photo by its orientation
    before, after = (cv2.imdecode(np.frombuffer(one, np.uint8), flags) for one in (content, strip_personal(content)))
    assert before.shape == (64, 48, 3) and np.array_equal(before, after)


def tiff() -> bytes:
    stream = io.BytesIO()
    picture().save(stream, "TIFF")
    return stream.getvalue()


def half_jpeg() -> bytes:
    content = telling("JPEG", b"")
    return content[: content.index(b"\xff\xda") + 40]


def odd_heif(old: bytes, new: bytes) -> bytes:
    return telling("HEIF", telling_exif()).replace(old, new)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (tiff, "this format; save it as JPEG or PNG"),
        (half_jpeg, "cut short"),
        (lambda: b"no photo at all", "no image"),
        (lambda: odd_heif(b"mpvd", b"moov"), "a sequence of photos"),
        (lambda: odd_heif(b"iinf", b"iinx"), "no image|damaged|cannot be read"),
    ],
)
def test_what_cannot_be_stripped_is_refused(make, expected):
    with pytest.raises(PhotoError, match=expected):
        strip_personal(make())


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_refused_or_leaves_a_photo(kind):
    """Bytes changed at random never end in another error, nor in a file that tells."""
    content = telling(kind, telling_exif())
    rng = np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(content), 700), 3):
            damaged[at] = rng.integers(256)
        try:
            stripped = strip_personal(bytes(damaged))
        except PhotoError:
            continue
        photo_size(io.BytesIO(stripped))
        assert SECRET.encode() not in stripped
