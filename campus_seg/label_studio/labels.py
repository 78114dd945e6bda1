"""The one file of labels among an export's files, known by its content."""

from collections.abc import Iterator
from typing import Any

import msgspec

from campus_seg.errors import ExportError
from campus_seg.label_studio.coco import is_coco, read_coco
from campus_seg.label_studio.files import ExportFiles
from campus_seg.label_studio.native import is_native, is_native_min, read_native
from campus_seg.label_studio.raw import RawExport, strict_json

_json = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[Any])


def find_labels(files: ExportFiles) -> tuple[RawExport, str]:
    """What the file of labels states, and its name for messages.

    Raises:
        ExportError: there is none, there are several, or it cannot be used.
    """
    found, reasons = [], []
    for name in _candidates(files):
        source = files.full_name(name)
        if files.shrinks_too_much(name):
            reasons.append(f"{source} is packed as no labels are")
            continue
        try:
            value = _parse(files.read(name))
        except (OSError, ValueError, RecursionError) as error:
            reasons.append(f"{source} is no JSON ({error})")
            continue
        if isinstance(value, dict) and is_coco(value):
            found.append((read_coco, value, source))
        elif is_native(value):
            found.append((read_native, value, source))
        elif value == []:
            reasons.append(f"{source} is an empty list")
        elif is_native_min(value):
            reasons.append(f"{source} is JSON_MIN, which lacks what is wanted here")
        else:
            reasons.append(f"{source} is other JSON")
    if len(found) > 1:
        names = ", ".join(source for _, _, source in found)
        raise ExportError(
            f"{files.place}: several files of labels ({names}); leave one of them there, or give CAMPUS.EXPORT that "
            ".json itself and CAMPUS.IMAGE_ROOT the photos"
        )
    if not found:
        why = "; ".join(reasons[:3]) or f"{files.place} holds no .json"
        raise ExportError(
            f"{why}: no labels in it; export from Label Studio as JSON or 'COCO with images', "
            "or download it again where it was cut short"
        )
    reader, value, source = found[0]
    return reader(value, source), source


def _candidates(files: ExportFiles) -> Iterator[str]:
    """Files that are JSON by their names; where there are none, those that begin as JSON does, on this disk."""
    named = [name for name in files.names if name.lower().endswith(".json")]
    if named or files.bare or isinstance(files.place, str):
        yield from named or (files.names if files.bare else ())
        return
    for name in files.names:
        try:
            with files.open(name) as stream:
                start = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        except OSError:  # a photo, as whoever reads it will say
            continue
        if start[:1] in (b"{", b"["):
            yield name


def _parse(content: bytes) -> dict[str, msgspec.Raw] | list[Any] | None:
    """A JSON list, or an object whose values are still bytes; None for other JSON.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        try:
            return _json.decode(content)
        except msgspec.ValidationError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _json.decode(strict_json(content))
    except msgspec.ValidationError:
        return None
