"""What tells of a photo's owner is gone from its bytes, whatever part of the file it is in; its pixels are the same."""

import io
import struct

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from campus_seg.photos import PhotoError, photo_size
from campus_seg.upload.privacy import strip_personal

pillow_heif.register_heif_opener()
SECRET = "SECRET"  # every part that is to go has it
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>{SECRET}</a></x:xmpmeta>'.encode()
TIME = "2026:11:26 14:00:00"
TAGS, IFD = ExifTags.Base, ExifTags.IFD
FORMATS = {
    "JPEG": {"quality": 90},
    "progressive JPEG": {"quality": 90, "progressive": True},
    "PNG": {},
    "WEBP": {"quality": 80},
    "lossless WEBP": {"lossless": True},
    "HEIF": {"quality": 80},
    "AVIF": {"quality": 80},
}


def picture() -> Image.Image:
    """64 x 48, a colour in each corner."""
    pixels = np.random.default_rng(0).integers(0, 60, (48, 64, 3), dtype=np.uint8)
    pixels[:24, :32, 0] += 180
    pixels[24:, 32:, 2] += 180
    return Image.fromarray(pixels)


def telling_exif(orientation: int = 6) -> bytes:
    """EXIF data of a phone that tells all."""
    exif = Image.Exif()
    exif[TAGS.Orientation] = orientation
    exif[TAGS.Make], exif[TAGS.Model], exif[TAGS.DateTime] = "Phone & Co", "Phone 9", TIME
    exif[TAGS.Artist] = exif[TAGS.Copyright] = exif[TAGS.ImageDescription] = exif[TAGS.HostComputer] = SECRET
    details = exif.get_ifd(IFD.Exif)
    details[TAGS.DateTimeOriginal], details[TAGS.ExposureTime] = TIME, 0.01
    details[TAGS.OffsetTimeOriginal] = "+01:00"
    details[TAGS.BodySerialNumber] = details[TAGS.LensSerialNumber] = details[TAGS.CameraOwnerName] = SECRET
    details[TAGS.MakerNote] = details[TAGS.UserComment] = SECRET.encode()
    place = exif.get_ifd(IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (41.0, 17.0, 30.0)
    place[ExifTags.GPS.GPSProcessingMethod], place[ExifTags.GPS.GPSAreaInformation] = SECRET.encode(), SECRET.encode()
    return exif.tobytes()


def telling(kind: str, exif: bytes) -> bytes:
    """A photo that tells all in every part that its format has for it."""
    stream, name = io.BytesIO(), kind.split()[-1]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif, "icc_profile": profile, **FORMATS[kind]}
    if name == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", SECRET)
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    else:
        options["xmp"] = XMP
    if name == "JPEG":
        options["comment"] = SECRET.encode()
    picture().save(stream, name, **options)
    content = stream.getvalue()
    if name == "JPEG":
        return b"".join([content[:2], *others_of_jpeg(), content[2:], b"film after the photo, " + SECRET.encode()])
    if name in ("HEIF", "AVIF"):
        return content + struct.pack(">I4s", 14, b"mpvd") + SECRET.encode()  # a motion photo's film
    return content + SECRET.encode()


def others_of_jpeg():
    """Segments that Pillow does not write."""
    for marker, name in ((0xE2, b"MPF\0"), (0xED, b"Photoshop 3.0\0"), (0xE7, b"maker"), (0xE0, b"JFXX\0")):
        body = name + SECRET.encode()
        yield struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


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
