"""Smaller photos, in their own format, turned as before."""

import io

from PIL import ExifTags, Image

from campus_seg.photos import DAMAGED, FORMATS, UPRIGHT_QUALITY, PhotoError, named_errors, photo_size
from campus_seg.upload.exif import kept_exif

SCALES = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP")  # formats that are written as they are read
MODES = ("L", "LA", "RGB", "RGBA", "CMYK")  # that can be scaled and saved as they are
MAKER_NOTE = 0x927C  # its entries lie at places in the file that was


def scale_down(content: bytes, max_size: int) -> bytes:
    """A photo's file, with no side longer than `max_size` pixels; one that is small enough stays as it is.

    It is encoded anew, with its colour profile and its EXIF data, of which the maker's notes, the preview and XMP are
    left out; its orientation stays what it was. Of an animation the first frame is taken.

    Args:
        content: the file's.
        max_size: pixels, at least 1.

    Raises:
        PhotoError: it cannot be read, or not be written in its format.
    """
    if max(photo_size(io.BytesIO(content))[:2]) <= max_size:
        return content
    stream = io.BytesIO()
    with named_errors(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        kind = "JPEG" if image.format == "MPO" else image.format
        if kind not in SCALES or image.mode[0] in "IF":
            raise PhotoError(f"a {kind} of {image.mode} pixels cannot be scaled here; save it as 8-bit JPEG or PNG")
        exif = _exif(image)
        profile = image.info.get("icc_profile")
        if image.mode not in MODES:
            transparent = "A" in image.mode or "transparency" in image.info
            small = image.convert("RGBA" if transparent else "RGB")
            small.thumbnail((max_size, max_size), Image.Resampling.LANCZOS)
        else:
            small = image
            small.thumbnail((max_size, max_size), Image.Resampling.LANCZOS)  # decodes a JPEG at less than its size
        details = exif.get_ifd(ExifTags.IFD.Exif)
        for tag, side in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), small.size, strict=True):
            if tag in details:
                details[tag] = side
        options = {} if kind == "BMP" else {"quality": UPRIGHT_QUALITY, "icc_profile": profile, "exif": exif.tobytes()}
        small.save(stream, kind, **options)
    return stream.getvalue()


def _exif(image: Image.Image) -> Image.Exif:
    """Its EXIF data as far as they can be written anew; of damaged ones what is sound."""
    try:
        exif = image.getexif()
        exif.get_ifd(ExifTags.IFD.Exif).pop(MAKER_NOTE, None)
        exif.get_ifd(ExifTags.IFD.GPSInfo)
        exif.tobytes()
    except (*DAMAGED, AttributeError):  # the latter of a value that is not of its tag's type
        return kept_exif(image)
    return exif
