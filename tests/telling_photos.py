"""Photos that tell all about their owner, in every part that a file of their format has for it."""

import io
import struct

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

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
