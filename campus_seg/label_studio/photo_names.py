"""The files that a project's photos become: the import finds them by name, and every system takes the names."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from campus_seg.label_studio.answers import without_password
from campus_seg.label_studio.index import photo_path

PHOTOS = "images"
SHOWN = 100  # letters of an address in a reason
DEVICE = r"(?:aux|con|nul|prn|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)"  # with whatever ending
# What some system does not take in a name, of Windows' devices the first letter.
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
UNSAFE = re.compile(rf'[\x00-\x1f\x7f<>:"|?*\\]|^\.+|[. ]+$|^(?={DEVICE})\w', re.IGNORECASE)


def photo_names(addresses: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Where photos are to lie, below the folder of the export.

    Args:
        addresses: as tasks have them.

    Returns:
        address -> name, and address -> reason where there is none.
    """
    names = {address: "/".join(_safe_parts(photo_path(address).removeprefix("/data/"))) for address in addresses}
    owners = defaultdict(list)
    for address, name in names.items():
        owners[_file(name)].append(address)
    given, reasons = {}, {}
    for address, name in names.items():
        others = [other for other in owners[_file(name)] if other != address]
        if not name:
            reasons[address] = "its address has no path, by which an export tells photos apart"
        elif others:
            other = without_password(others[0])[:SHOWN]
            reasons[address] = f"has one path with {other}, by which an export tells photos apart; rename one of them"
        else:
            given[address] = f"{PHOTOS}/{name}"
    return given, reasons


def _file(name: str) -> str:
    """What is equal for names of one file: Windows and macOS do not look at the case of letters, macOS decomposes ü."""
    return unicodedata.normalize("NFC", name).casefold()


def _safe_parts(path: str) -> Iterator[str]:
    """The parts of a path, with what some system does not take in a name percent-encoded, which the import decodes."""
    for part in path.split("/"):
        if part:
            yield UNSAFE.sub(lambda found: "".join(f"%{ord(letter):02X}" for letter in found[0]), part)
