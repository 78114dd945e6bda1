"""What servers of all kinds say of a file: its size, when it may have changed, its hash."""

import base64
import re
from datetime import datetime
from typing import Any, NamedTuple

MD5 = re.compile(r"[0-9a-f]{32}")  # what an ETag of S3's is, where the object was sent in one piece
CHANGES = (
    "ETag",
    "etag",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "mtime",
    "updated",
    "generation",
    "md5Hash",
)


class Stat(NamedTuple):
    """What a server says of a file.

    Attributes:
        size: in bytes; None where it does not say.
        stamp: differs when the file may have changed; "" where that cannot be told.
        md5: of the content, in hex; "" where it does not say.
    """

    size: int | None
    stamp: str
    md5: str = ""


def stat_of(told: dict[str, Any]) -> Stat:
    """What fsspec's file systems tell of a file, under names of their own."""
    size = told.get("size")
    stamps = [f"{_as_number(told[key])}" for key in CHANGES if told.get(key)]
    return Stat(size, " ".join([f"{size}", *stamps]) if stamps else "", _told_md5(told))


def _told_md5(told: dict) -> str:
    """The hash of a file's content in hex: Google's and Azure's, else an ETag that looks like one."""
    google, azure = told.get("md5Hash"), (told.get("content_settings") or {}).get("content_md5")
    if google or azure:
        return (base64.b64decode(google) if google else bytes(azure)).hex()
    etag = str(told.get("ETag") or told.get("etag") or "").strip('"')
    return etag if MD5.fullmatch(etag) else ""


def _as_number(value: Any) -> Any:
    """A time as whole seconds, whatever its zone: a list and a single question tell it differently."""
    return int(value.timestamp()) if isinstance(value, datetime) else value
