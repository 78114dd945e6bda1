"""Values of the tags that are kept, put together by hand: a tag says nothing of what a file has there."""

import io
import struct

import pytest
from PIL import ExifTags, Image
from telling_photos import SECRET, TIME, picture

from campus_seg.photos import PhotoError
from campus_seg.upload.exif import encoded, kept_exif
from campus_seg.upload.preparing import Changes, Preparer

TAGS, IFD = ExifTags.Base, ExifTags.IFD
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE = 1, 2, 3, 4, 5, 7, 12
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, DOUBLE: 8}
TEXT = SECRET.encode()


def directory(at: int, entries) -> bytes:
    """A TIFF's directory that lies at a place, with (tag, type, value's bytes) in it, and values behind it."""
    head, values = struct.pack("<H", len(entries)), b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in entries:
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", behind + len(values))
        values += value if len(value) > 4 else b""
        head += struct.pack("<HHI", tag, kind, len(value) // SIZES[kind]) + place
    return head + bytes(4) + values


def photo(entries=(), details=()) -> bytes:
    """A JPEG with the orientation 6 and other values."""
    entries = [*entries, (TAGS.Orientation, SHORT, struct.pack("<H", 6))]
    first = directory(8, [*entries, (IFD.Exif, LONG, bytes(4))])
    entries.append((IFD.Exif, LONG, struct.pack("<I", 8 + len(first))))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + directory(8, sorted(entries)) + directory(8 + len(first), list(details))
    stream = io.BytesIO()
    picture().save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def kept(content: bytes) -> tuple[bytes, dict]:
    """What is kept of a photo: as a TIFF, and by tag."""
    with Image.open(io.BytesIO(content)) as image:
        tiff = encoded(kept_exif(image))
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + tiff)
    tags = {tag: exif[tag] for tag in exif if tag != IFD.Exif}
    return tiff, tags | exif.get_ifd(IFD.Exif)


@pytest.mark.parametrize(
    ("tag", "kind", "value", "expected"),
    [
        (TAGS.Make, ASCII, b"Phone & Co\0", "Phone & Co"),
        (TAGS.Make, ASCII, b"Phone & Co\0" + TEXT, "Phone & Co"),  # a count that takes the neighbour's text along
        (TAGS.Make, BYTE, TEXT, None),
        (TAGS.Make, UNDEFINED, TEXT, None),
        (TAGS.Make, RATIONAL, struct.pack("<II", 1, 2), None),
        (TAGS.Model, ASCII, b"x" * 65, None),
        (TAGS.Model, ASCII, b"Phone\n" + TEXT, None),
        (TAGS.DateTime, ASCII, TIME.encode() + b"\0" + TEXT, TIME),
        (TAGS.DateTime, ASCII, TIME.encode() + b" " + TEXT, None),
        (TAGS.YCbCrPositioning, ASCII, TEXT, None),
    ],
)
def test_a_value_is_kept_where_it_is_of_its_tag(tag, kind, value, expected):
    tiff, tags = kept(photo([(tag, kind, value)]))
    assert tags.get(tag) == expected
    assert TEXT not in tiff and tags[TAGS.Orientation] == 6


@pytest.mark.parametrize(
    ("tag", "kind", "value", "expected"),
    [
        (TAGS.DateTimeOriginal, ASCII, TIME.encode() + b"\0" + TEXT, TIME),
        (TAGS.SubsecTimeOriginal, ASCII, b"123\0", "123"),
        (TAGS.SubsecTimeOriginal, ASCII, TEXT, None),
        (TAGS.ExposureTime, RATIONAL, struct.pack("<II", 1, 32000), 1 / 32000),
        (TAGS.ExposureTime, DOUBLE, struct.pack("<d", 0.01), 0.01),
        (TAGS.ExposureTime, RATIONAL, struct.pack("<II", 1, 0), None),
        (TAGS.ExposureTime, RATIONAL, struct.pack("<IIII", 1, 2, 3, 4), None),
        (TAGS.FNumber, DOUBLE, struct.pack("<d", float("nan")), None),
        (TAGS.ISOSpeedRatings, SHORT, struct.pack("<H", 400), 400),
        (TAGS.ISOSpeedRatings, UNDEFINED, TEXT, None),
        (TAGS.ExifImageWidth, LONG, TEXT[:4], None),
    ],
)
def test_likewise_of_the_details(tag, kind, value, expected):
    tiff, tags = kept(photo(details=[(tag, kind, value)]))
    assert tags.get(tag) == (expected if expected is None or isinstance(expected, str) else pytest.approx(expected))
    assert TEXT not in tiff and tags[TAGS.Orientation] == 6


def test_a_number_that_is_a_text_becomes_another_number():
    tiff, tags = kept(photo(details=[(TAGS.ExposureTime, RATIONAL, b"\x01ETC" + TEXT[:4])]))
    assert TEXT[:4] not in tiff and float(tags[TAGS.ExposureTime]) == pytest.approx(0x43544501 / 0x52434553, rel=1e-4)


@pytest.mark.parametrize("orientation", [b"\0\0", b"\x09\0", b"\xff\xff"])
def test_an_orientation_that_is_none_goes(orientation):
    entry = struct.pack("<HHI", TAGS.Orientation, SHORT, 1)
    content = photo().replace(entry + b"\x06\0", entry + orientation)
    assert kept(content)[1] == {}


@pytest.mark.parametrize("changes", [Changes(strip=True), Changes(max_size=24), Changes(strip=True, max_size=24)])
def test_a_value_of_an_odd_type_stops_nothing_and_the_photo_stays_turned(changes):
    changed = changes.apply(photo([(TAGS.Make, RATIONAL, struct.pack("<II", 1, 2))]))
    with Image.open(io.BytesIO(changed)) as image:
        assert image.getexif()[TAGS.Orientation] == 6


def test_nothing_is_made_of_nothing():
    stream = io.BytesIO()
    picture().save(stream, "JPEG")
    with Image.open(stream) as image:
        assert encoded(kept_exif(image)) == b""


def test_whatever_a_library_raises_is_that_photos_failure(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(photo())
    monkeypatch.setattr(Changes, "apply", lambda self, content: content.nothing)
    with pytest.raises(PhotoError, match="of a kind that is not known here .AttributeError"):
        Preparer(Changes(), tmp_path).make(tmp_path / "a.jpg")


def test_a_photo_that_no_memory_is_left_for(tmp_path, monkeypatch):
    def apply(self, content):
        raise MemoryError

    (tmp_path / "a.jpg").write_bytes(photo())
    monkeypatch.setattr(Changes, "apply", apply)
    with pytest.raises(PhotoError, match="too large for this machine's memory"):
        Preparer(Changes(), tmp_path).make(tmp_path / "a.jpg")
