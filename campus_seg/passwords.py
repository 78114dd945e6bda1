"""Secrets from files and the environment, and passwords that requests bring."""

import base64
import binascii
import hmac
import os
import re
from pathlib import Path

from campus_seg.errors import ConfigError

CHALLENGE = 'Basic realm="campus_seg"'  # of WWW-Authenticate, which has browsers ask for a password


def find_secret(file: Path | None, variable: str, missing: str) -> str:
    """A token or password from a file, else from the environment; never from the command line, which others can see.

    Args:
        file: as given with the command.
        variable: of the environment, asked where no file is given.
        missing: what to say where there is none.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    try:
        secret = os.environ.get(variable, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{file}: cannot be read ({reason}); give another file") from None
    secret = secret.strip()
    if not secret:
        raise ConfigError(missing if file is None else f"{file}: is empty; write the secret into it")
    if not re.fullmatch(r"[\x21-\x7e]+", secret):  # what an HTTP header can carry
        raise ConfigError(
            f"{file or variable}: has a space, a second line or a letter beyond ASCII in it, which no request can "
            "carry; write another"
        )
    return secret


def brings_password(authorization: str, password: str) -> bool:
    """Whether a request's Authorization header (HTTP Basic, RFC 7617) brings this password, with any user."""
    kind, _, value = authorization.partition(" ")
    try:
        given = base64.b64decode(value, validate=True).partition(b":")[2] if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    return hmac.compare_digest(given, password.encode())
